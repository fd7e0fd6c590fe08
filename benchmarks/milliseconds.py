"""`python -m benchmarks.milliseconds`: the CPU milliseconds that `image-processor cost` reckons with.

Prints the table `[measured]` of src/image_processor/cli/prices.toml: straight lines through the cheapest of
several runs, in this process. Absolute times, so they depend on the machine; run it alone on it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Transformation
from image_processor.engine.render import render

from .photographs import make_photograph

_ORIGINALS = ((2000, 1500), (4000, 3000), (5656, 4242))
_WIDTHS = (640, 1280, 1920)
_FORMATS = ("jpeg", "avif", "webp", "png")
_RUNS = 3


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "photograph.jpg"
        bodies = {size: make_photograph(path, *size).read_bytes() for size in _ORIGINALS}
    areas = [width * height / 1e6 for width, height in bodies]
    decoding = [_milliseconds(body, ()) for body in bodies.values()]
    per_megapixel, fixed = np.polyfit(areas, decoding, 1)
    print(f"[measured]\ndecode = {fixed:.0f}\ndecode_per_megapixel = {per_megapixel:.1f}\n")
    print("[measured.encode_per_megapixel]")
    body = bodies[4000, 3000]
    for name in _FORMATS:
        made = [_milliseconds(body, (Transformation(width=width, format=name),)) for width in _WIDTHS]
        output = [width * width * 0.75 / 1e6 for width in _WIDTHS]
        print(f"{name} = {np.polyfit(output, made, 1)[0]:.0f}")
    built_in = parse_recipe(DEFAULT_RECIPE).transformations_for("photo.jpg")
    print(f"# the built-in recipe, 12 megapixels: {_milliseconds(body, built_in):.0f} ms")
    return 0


def _milliseconds(body: bytes, transformations: Sequence[Transformation]) -> float:
    """The fewest CPU milliseconds, of all threads, in which the renditions and the summary are made."""
    seconds = []
    for _ in range(_RUNS):
        started = process_time()
        render(body, transformations, Limits())
        seconds.append(process_time() - started)
    return 1000 * min(seconds)


if __name__ == "__main__":
    sys.exit(main())
