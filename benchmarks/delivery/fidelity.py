"""Fidelity of renditions: PSNR against the original resized by Pillow with the Lanczos filter.

Compared in sRGB values, not in linear light, because all servers resize in sRGB too.
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
    """PSNR in decibels, and the size in bytes."""

    psnr: float
    size: float

    @classmethod
    def of(cls, body: bytes, reference: Pixels) -> Self:
        """Raises RuntimeError if the image has another size than ``reference``."""
        got = _pixels(Image.open(io.BytesIO(body)))
        if got.shape != reference.shape:
            raise RuntimeError(f"expected an image of {reference.shape}, got {got.shape}")
        return cls(float(10 * np.log10(255**2 / np.mean((got - reference) ** 2))), len(body))

    @classmethod
    def mean_of(cls, items: Iterable[Self]) -> Self:
        items = list(items)
        return cls(mean(item.psnr for item in items), mean(item.size for item in items))

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB {self.size / 1000:.1f} kB"


def reference_pixels(original: Path, target: Target) -> Pixels:
    """The pixels of ``target`` before encoding."""
    image = Image.open(original)
    width, height = image.size
    if not target.is_crop:
        size = (target.width, round(target.width * height / width))
        return _pixels(image.resize(size, Image.Resampling.LANCZOS))
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return _pixels(image.resize((target.width, target.width), Image.Resampling.LANCZOS, box=box))


def _pixels(image: Any) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.float64)
