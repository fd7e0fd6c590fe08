"""How near renditions come to the original: PSNR against the original reduced by Pillow with Lanczos'
filter, in sRGB's own values (not in linear light: both servers reduce in sRGB too), before any encoder.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .targets import Target

Pixels = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Decibels, and the bytes that they took."""

    psnr: float
    size: float

    @classmethod
    def of(cls, body: bytes, wanted: Pixels) -> Self:
        """Raises RuntimeError if the picture has another size than ``wanted``."""
        got = _pixels(Image.open(io.BytesIO(body)))
        if got.shape != wanted.shape:
            raise RuntimeError(f"expected a picture of {wanted.shape}, got {got.shape}")
        return cls(float(10 * np.log10(255**2 / np.mean((got - wanted) ** 2))), len(body))

    @classmethod
    def middle(cls, several: Iterable[Self]) -> Self:
        several = list(several)
        return cls(mean(one.psnr for one in several), mean(one.size for one in several))

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB {self.size / 1000:.1f} kB"


def wanted_pixels(original: Path, target: Target) -> Pixels:
    """What an encoder without loss would be given for ``target``."""
    picture = Image.open(original)
    width, height = picture.size
    if target.kind != "JPEG crop":
        size = (target.width, round(target.width * height / width))
        return _pixels(picture.resize(size, Image.Resampling.LANCZOS))
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return _pixels(picture.resize((target.width, target.width), Image.Resampling.LANCZOS, box=box))


def _pixels(picture: Any) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float64)
