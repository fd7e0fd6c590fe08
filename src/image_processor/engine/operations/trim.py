"""Finds what is inside a border of one colour, in one pass over a picture as it is stored."""

from __future__ import annotations

import pyvips

from image_processor.domain.geometry import Box
from image_processor.domain.transformation import Colour

from .pixels import to_srgb

_VISIBLE = 0


def trim_box(picture: pyvips.Image, tolerance: int, colour: Colour | None) -> Box:
    """The least box that holds every pixel with a channel further than ``tolerance`` (0-255) from the
    border's colour: ``colour``, or that of the top left pixel. The whole picture where there is none.

    What is transparent is border; where the top left pixel is, nothing else is.
    """
    # libvips' own find_trim blurs with a median and lays alpha over black before it looks.
    whole = to_srgb(picture)
    differs = _differs(whole, tolerance, colour)
    columns, rows = (_counts(line) for line in differs.project())
    if not any(columns):
        return Box(0, 0, whole.width, whole.height)
    (left, right), (top, bottom) = _ends(columns), _ends(rows)
    return Box(left, top, right - left, bottom - top)


def _differs(picture: pyvips.Image, tolerance: int, colour: Colour | None) -> pyvips.Image:
    """One band: 255 where a pixel is no border."""
    corner = picture(0, 0)
    colours, alpha = (picture[:3], picture[3]) if picture.hasalpha() else (picture, None)
    if alpha is not None and colour is None and corner[3] == _VISIBLE:
        return alpha > _VISIBLE
    border = [colour.red, colour.green, colour.blue] if colour else corner[:3]
    far = ((colours - border).abs() > tolerance).bandor()
    return far if alpha is None else far & (alpha > _VISIBLE)


def _counts(line: pyvips.Image) -> list[int]:
    return list(memoryview(line.write_to_memory()).cast("I"))


def _ends(counts: list[int]) -> tuple[int, int]:
    """Where the first count lies that is not 0, and behind the last one."""
    there = [index for index, count in enumerate(counts) if count]
    return there[0], there[-1] + 1
