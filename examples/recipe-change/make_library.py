"""Draws a library of images, each another one: python make_library.py 300 data/uploads."""

from __future__ import annotations

import sys
from pathlib import Path

import pyvips

WIDTH, HEIGHT = 720, 480
ALBUM = 25
"""Images in one folder."""


def draw(number: int) -> pyvips.Image:
    """Clouds in three colours."""
    bands = [
        pyvips.Image.perlin(WIDTH, HEIGHT, cell_size=240, uchar=True, seed=3 * number + band)
        for band in range(3)
    ]
    return bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")


def main(count: int, folder: Path) -> None:
    for number in range(count):
        file = folder / f"album-{number // ALBUM:02}" / f"{number:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        draw(number).jpegsave(str(file), Q=85)
    print(f"{count} images in {folder}")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
