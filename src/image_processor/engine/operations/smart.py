"""Crops that look at pixels: which window of a level to keep, by what catches the eye, by how much
there is to see, or by faces.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyvips

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation import SMART, Colour, Gravity

from .pixels import flatten, resize

_ENTROPY_SIDE = 512
"""Entropy is judged on a copy of at most so many pixels a side. libvips cuts slices off the whole
picture again and again: 89 ms for 4096 x 4096, 24 ms with the copy, and the same window within 1 %.
With attention it makes a small copy of its own: 12 ms."""

_NEUTRAL = Colour(128, 128, 128)
"""What a transparent picture is laid over to be judged: a white thing and a black one both show."""


def window(picture: pyvips.Image, size: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of the window of ``size`` that stays of a level's ``picture``, which covers it.

    attention  edges, skin and saturated colours: libvips' smartcrop.
    entropy    the most detail: smartcrop drops the side that has less, until the size is met.
    faces      around all faces, if the window has room for them, else around the largest; as
               attention where there is none. Raises MissingExtra.

    What is invisible has no say. Any other gravity is a ValueError.
    """
    whole = Size(picture.width, picture.height)
    if gravity not in SMART:
        raise ValueError(f"expected a gravity that needs pixels, got {gravity}")
    if whole == size:
        return 0, 0
    opaque = flatten(picture, _NEUTRAL)
    if gravity is Gravity.ENTROPY:
        return _entropy(opaque, size)
    if gravity is Gravity.FACES and (boxes := _faces(opaque)):
        return _around(_wanted(boxes, size), whole, size)
    return _smartcrop(opaque, size, "attention")


def _entropy(picture: pyvips.Image, size: Size) -> tuple[int, int]:
    longest = max(picture.width, picture.height)
    if longest <= _ENTROPY_SIDE:
        return _smartcrop(picture, size, "entropy")
    small = Size(*(_part(side, longest) for side in (picture.width, picture.height)))
    inner = Size(*(_part(side, longest) for side in (size.width, size.height))).within(small)
    # In memory: smartcrop goes through the picture many times.
    left, top = _smartcrop(resize(picture, small).copy_memory(), inner, "entropy")
    return (
        _scaled(left, small.width - inner.width, picture.width - size.width),
        _scaled(top, small.height - inner.height, picture.height - size.height),
    )


def _part(side: int, longest: int) -> int:
    return max(1, side * _ENTROPY_SIDE // longest)


def _scaled(at: int, free: int, wanted: int) -> int:
    """A place among ``free`` pixels as one among ``wanted``: an end stays an end."""
    return at * wanted // free if free else wanted // 2


def _smartcrop(picture: pyvips.Image, size: Size, interesting: str) -> tuple[int, int]:
    cropped = picture.smartcrop(size.width, size.height, interesting=interesting)
    # A crop remembers where it came from as a negative offset.
    return -cropped.xoffset, -cropped.yoffset


def _faces(picture: pyvips.Image) -> tuple[Box, ...]:
    from .faces import find_faces  # noqa: PLC0415 - of no use to most transformations

    return find_faces(picture)


def _wanted(boxes: Sequence[Box], size: Size) -> Box:
    """What must stay: all of ``boxes``, which come largest first, or the first alone."""
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    width = max(box.left + box.width for box in boxes) - left
    height = max(box.top + box.height for box in boxes) - top
    fits = width <= size.width and height <= size.height
    return Box(left, top, width, height) if fits else boxes[0]


def _around(box: Box, whole: Size, size: Size) -> tuple[int, int]:
    """The window as near to having ``box`` in its middle as the picture allows."""
    return (
        _centred(2 * box.left + box.width, size.width, whole.width),
        _centred(2 * box.top + box.height, size.height, whole.height),
    )


def _centred(twice_middle: int, side: int, whole: int) -> int:
    return min(max(0, (twice_middle - side) // 2), whole - side)
