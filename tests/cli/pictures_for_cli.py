"""A recipe and pictures for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

RECIPE = '[presets.p]\nwidths = [8, 16]\nformats = ["webp"]\n[[rules]]\nmatch = "**"\npresets = ["p"]\n'


def draw(path, size=(40, 30), format_="JPEG"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format_)
    return path.read_bytes()
