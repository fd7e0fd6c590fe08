"""Conversion between the engine's images and NumPy arrays: (height, width, bands) of 8 bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyvips
from drawing import photograph
from numpy.typing import NDArray

LUMA = np.array([0.2126, 0.7152, 0.0722])
"""ITU-R BT.709-6, 3.2."""


def vips_of(planes: NDArray[Any]) -> pyvips.Image:
    """An image like those of a level: in memory, 8 bits, sRGB."""
    height, width, bands = planes.shape
    picture = pyvips.Image.new_from_memory(planes.astype("uint8").tobytes(), width, height, bands, "uchar")
    return picture.copy(interpretation="srgb")


def planes_of(picture: pyvips.Image) -> NDArray[Any]:
    """As floats, so that differences do not wrap around."""
    assert picture.format == "uchar"
    pixels = np.frombuffer(picture.write_to_memory(), dtype="uint8")
    return pixels.reshape(picture.height, picture.width, picture.bands).astype(float)


@cache
def photo(name: str = "chelsea.png") -> NDArray[Any]:
    """A part of a photo: colourful, dark and light, with sides that no block size divides."""
    return np.asarray(photograph(name).crop((100, 40, 281, 163)), dtype=float)


@cache
def photo_with_alpha() -> NDArray[Any]:
    """The photo with a soft round alpha: opaque inside, fully transparent in the corners."""
    height, width, _ = photo().shape
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    alpha = np.clip(2 - 4 * distance, 0, 1) * 255
    return np.dstack([photo(), np.round(alpha)])


PHOTOS = {"opaque": photo, "alpha": photo_with_alpha}


def luma(planes: NDArray[Any]) -> NDArray[Any]:
    light: NDArray[Any] = planes[..., :3] @ LUMA
    return light


def to_light(coded: NDArray[Any]) -> NDArray[Any]:
    """IEC 61966-2-1: sRGB's coded values, 0-255, as light, 0-1."""
    share = coded / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def from_light(light: NDArray[Any]) -> NDArray[Any]:
    clipped = np.clip(light, 0, 1)
    coded: NDArray[Any] = 255 * np.where(
        clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055
    )
    return coded
