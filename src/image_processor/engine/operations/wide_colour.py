"""Render, step 1: the colours that a transformation names, for renditions in Display P3."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.transformation import Colour

from .pixels import to_p3


def in_p3(value: Any) -> Any:
    """A parameter's ``value`` with every sRGB colour in it, however deep, in the numbers of Display P3."""
    if isinstance(value, Colour):
        return _converted(value)
    if isinstance(value, tuple):
        return tuple(map(in_p3, value))
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: new for name, old in fields.items() if (new := in_p3(old)) != old}
        return replace(value, **changed) if changed else value
    return value


@lru_cache(maxsize=256)
def _converted(colour: Colour) -> Colour:
    channels = [colour.red, colour.green, colour.blue]
    pixel = pyvips.Image.black(1, 1, bands=3).linear(1, channels)
    return Colour(*map(int, to_p3(pixel.cast("uchar").copy(interpretation="srgb"))(0, 0)))
