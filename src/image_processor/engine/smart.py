"""Crops that look at the picture: where the attention goes, or where the most detail is."""

from __future__ import annotations

import pyvips

from image_processor.transformation import Gravity

from .geometry import Size
from .steps import resize

_JUDGED_SIDE = 512
"""The longest side of the picture that is judged: what catches the eye shows in a small one too, and
libvips' entropy takes time by the area."""


def window(picture: pyvips.Image, size: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of the window of ``size`` in a level: libvips' smartcrop, by attention (edges, skin
    and saturated colours) or by entropy."""
    longest = max(picture.width, picture.height)
    if gravity is Gravity.ATTENTION or longest <= _JUDGED_SIDE:
        return _judged(picture, size, gravity)
    scale = _JUDGED_SIDE / longest
    small = Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    inner = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale))).within(small)
    left, top = _judged(resize(picture, small).copy_memory(), inner, gravity)
    return (
        _scaled_back(left, small.width - inner.width, picture.width - size.width),
        _scaled_back(top, small.height - inner.height, picture.height - size.height),
    )


def _judged(picture: pyvips.Image, size: Size, gravity: Gravity) -> tuple[int, int]:
    found = picture.smartcrop(size.width, size.height, interesting=str(gravity))
    # A crop remembers where it came from as a negative offset.
    return -found.xoffset, -found.yoffset


def _scaled_back(at: int, free: int, wanted_free: int) -> int:
    """The place at the same share of what may be moved."""
    return round(at * wanted_free / free) if free else wanted_free // 2
