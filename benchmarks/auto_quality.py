"""Compares fixed and automatic quality by the spread of SSIMULACRA2 scores.

    python -m benchmarks.auto_quality FOLDER

FOLDER holds photographs, 30 or more. Needs the package ssimulacra2.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyvips

from image_processor.domain.formats import FORMATS, sniff
from image_processor.engine import runtime
from image_processor.engine.auto_quality import auto_quality
from image_processor.engine.codecs.codec import EncodeOptions
from image_processor.engine.codecs.encode import AnimationTiming, encode
from image_processor.engine.codecs.registry import CODECS

FORMAT_NAMES = ("jpeg", "webp", "avif")
SIDE = 640
"""The largest side of the compared renditions, a typical size on the web."""


def main() -> None:
    runtime.start()
    images = [_load(path) for path in sorted(Path(sys.argv[1]).iterdir())]
    print(f"{len(images)} photographs, at most {SIDE} pixels wide and high")
    for name in FORMAT_NAMES:
        fixed = FORMATS[name].quality or 0

        def always(_image: pyvips.Image, _name: str, quality: int = fixed) -> int:
            return quality

        _print_scores(f"{name} fixed {fixed}", name, images, always)
        _print_scores(f"{name} auto", name, images, auto_quality)


def _print_scores(
    title: str, name: str, images: list[pyvips.Image], choose: Callable[[pyvips.Image, str], int]
) -> None:
    scores, size, cpu = [], 0, 0.0
    for image in images:
        started = time.process_time()
        quality = choose(image, name)
        cpu += time.process_time() - started
        body = encode([image], name, EncodeOptions(quality), profile=None, timing=AnimationTiming()).body
        size += len(body)
        scores.append(_score(image, body, name))
    print(
        f"{title:14} mean {statistics.mean(scores):5.1f}  deviation {statistics.pstdev(scores):4.2f}  "
        f"{min(scores):4.1f} to {max(scores):4.1f}  {size // len(images):7} bytes  "
        f"{1000 * cpu / len(images):4.0f} ms"
    )


def _load(path: Path) -> pyvips.Image:
    data = path.read_bytes()
    format_ = sniff(data[:1024])
    assert format_ is not None, f"{path} is not a photograph"
    source = pyvips.Source.new_from_memory(data)
    image = pyvips.Operation.call(f"{CODECS[format_.name].loader}_source", source).colourspace("srgb")[:3]
    return image.thumbnail_image(SIDE, height=SIDE, size="down").copy_memory()


def _score(image: pyvips.Image, body: bytes, name: str) -> float:
    from ssimulacra2 import compute_ssimulacra2  # noqa: PLC0415 - only this program needs it

    source = pyvips.Source.new_from_memory(body)
    decoded = pyvips.Operation.call(f"{CODECS[name].loader}_source", source)
    with tempfile.TemporaryDirectory() as folder:
        for file, written in (("before.png", image), ("after.png", decoded)):
            Path(folder, file).write_bytes(written.pngsave_buffer(compression=1))
        score: float = compute_ssimulacra2(f"{folder}/before.png", f"{folder}/after.png")
        return score


if __name__ == "__main__":
    main()
