"""Scores renditions by SSIMULACRA2 (100 is equal to the eye, 70 is high quality). A program of .venv-bench:

    .venv-bench/bin/python benchmarks/score.py ORIGINAL FOLDER...

For each folder prints the mean score of the renditions in it, on a line. A rendition is compared with the
original, decoded at full resolution and resized by Pillow's Lanczos filter, which no compared engine does.
"""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path
from statistics import mean

from PIL import Image
from ssimulacra2 import compute_ssimulacra2

_LARGEST = 1300
"""Pixels of the widest rendition that is scored: a larger one takes many seconds."""


def main(original: Path, folders: list[Path]) -> None:
    whole = Image.open(original).convert("RGB")

    @cache
    def reference(size: tuple[int, int]) -> Image.Image:
        return whole.resize(size, Image.Resampling.LANCZOS)

    for folder in folders:
        scores = []
        for path in sorted(folder.iterdir()):
            rendition = Image.open(path).convert("RGB")
            if rendition.width > _LARGEST or rendition.width == rendition.height:
                continue  # of a square, engines may choose another part
            scores.append(_score(reference(rendition.size), rendition))
        print(f"{mean(scores):.2f}", flush=True)


def _score(before: Image.Image, after: Image.Image) -> float:
    with tempfile.TemporaryDirectory() as name:
        paths = [str(Path(name, file)) for file in ("before.png", "after.png")]
        for path, image in zip(paths, (before, after), strict=True):
            image.save(path, compress_level=1)
        score: float = compute_ssimulacra2(*paths)
        return score


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
