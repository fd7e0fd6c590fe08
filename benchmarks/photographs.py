"""The benchmarks' photographs: scikit-image's, enlarged, with a camera's noise.

Without noise every codec would be too fast.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage
from PIL import Image

_NOISE_SIGMA = 4  # 0-255 scale


def make_photograph(path: Path, width: int, height: int, name: str = "coffee.png") -> Path:
    """Write a JPEG of that size: quality 90, 4:2:0, baseline, the same pixels every time. ``name`` is a
    file of scikit-image."""
    source = Path(skimage.__file__).parent / "data" / name
    enlarged = Image.open(source).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(enlarged, dtype=np.float32)
    noisy = pixels + np.random.default_rng(1).normal(0, _NOISE_SIGMA, pixels.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90, subsampling="4:2:0")
    return path
