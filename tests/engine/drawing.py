"""Small images for the engine's tests, drawn with Pillow and NumPy, which are independent of libvips."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pillow_heif
import pillow_jxl
import skimage
from numpy.typing import NDArray
from PIL import Image

from image_processor.domain.models import Limits, RenderedImage
from image_processor.domain.transformation import parse
from image_processor.engine.render import render

Pixels = NDArray[np.float64]
T = TypeVar("T")

pillow_heif.register_heif_opener()
assert pillow_jxl.Encoder is not None  # importing it registers the format

READABLE = ("jpeg", "progressive", "png", "webp", "avif", "gif", "tiff")
"""What `encoded` can write, one of every input format at least."""


class OnFirstUse(Mapping[str, T]):
    """Values by name, each made when a test first asks for it.

    Each process of `pytest -n` imports all tests, and only one of them runs those of a file.
    """

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = makers
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def photograph(name: str = "chelsea.png") -> Image.Image:
    """A real photo, small and colourful, without metadata."""
    return _photograph(name).copy()


@cache
def _photograph(name: str) -> Image.Image:
    picture = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
    picture.info.clear()
    return picture


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Four quarters of different colours, from which the orientation can be read."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("lime", (width // 2, 0, width, height // 2))
    picture.paste("blue", (0, height // 2, width // 2, height))
    picture.paste("yellow", (width // 2, height // 2, width, height))
    return picture


def flat(colour: Any, mode: str = "RGB", size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def encoded(picture: Image.Image, format_name: str = "png", **options: Any) -> bytes:
    """The encoded image; `progressive` is a progressive JPEG."""
    if format_name == "progressive":
        return encoded(picture, "jpeg", progressive=True, **options)
    body = io.BytesIO()
    picture.save(body, {"heic": "HEIF"}.get(format_name, format_name), **options)
    return body.getvalue()


def animated(
    frames: Sequence[Image.Image], format_name: str, delays: Sequence[int], loop: int = 0, **options: Any
) -> bytes:
    return encoded(
        frames[0],
        format_name,
        save_all=True,
        append_images=frames[1:],
        duration=list(delays),
        loop=loop,
        **options,
    )


def opened(body: bytes) -> Image.Image:
    """The image; a PNG's palette or grey as RGB or RGBA, since only its bytes depend on them."""
    picture = Image.open(io.BytesIO(body))
    picture.load()
    if picture.format != "PNG" or picture.mode not in {"1", "L", "LA", "P"}:
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def made(data: bytes, text: str, **options: Any) -> RenderedImage:
    """The rendition of one canonical text."""
    return render(data, [parse(text)], Limits(), summary=False, **options).renditions[0]


def picture_of(data: bytes, text: str, **options: Any) -> Image.Image:
    return opened(made(data, text, **options).body)


def pixel_at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The pixel at a position relative (0-1) to width and height."""
    value = picture.getpixel((int(x * picture.width), int(y * picture.height)))
    assert isinstance(value, tuple)
    return value


def near(got: Sequence[float], wanted: Sequence[float], tolerance: float) -> bool:
    return len(got) == len(wanted) and all(
        abs(one - other) <= tolerance for one, other in zip(got, wanted, strict=True)
    )


def as_floats(picture: Image.Image) -> Pixels:
    return np.asarray(picture, dtype=np.float64)


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of two images of one size and mode, on a scale of 0-255."""
    return float(np.abs(as_floats(one) - as_floats(other)).mean())
