"""Smart crops: which window of a level to keep, by attention, entropy or faces."""

from __future__ import annotations

from collections.abc import Sequence

import pyvips

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation import SMART, Colour, Gravity

from . import faces
from .pixels import flatten, resize

_ENTROPY_SIDE = 512
"""Entropy is measured on a copy of at most this many pixels a side. libvips removes slices of the image
repeatedly: 89 ms for 4096 x 4096, 24 ms with the copy, and the same window within 1 %. For attention libvips
makes a small copy itself: 12 ms."""

_NEUTRAL = Colour(128, 128, 128)
"""Transparent images are flattened over this first, where both white and black objects show."""


def window(image: pyvips.Image, size: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of the window of ``size`` to keep of ``image``, which covers it.

    attention  edges, skin and saturated colours: libvips' smartcrop.
    entropy    the most detail: smartcrop removes the side with less, until the size is met.
    faces      around all faces if they fit into the window, else around the largest; as attention
               where there is none. Raises MissingExtra.

    Transparent pixels do not count. Raises ValueError for any other gravity.
    """
    whole = Size(image.width, image.height)
    if gravity not in SMART:
        raise ValueError(f"expected a gravity that needs pixels, got {gravity}")
    if whole == size:
        return 0, 0
    opaque = flatten(image, _NEUTRAL)
    if gravity is Gravity.ENTROPY:
        return _entropy(opaque, size)
    if gravity is Gravity.FACES and (boxes := _faces(opaque)):
        return _around(_faces_to_keep(boxes, size), whole, size)
    return _smartcrop(opaque, size, "attention")


def _entropy(image: pyvips.Image, size: Size) -> tuple[int, int]:
    longest = max(image.width, image.height)
    if longest <= _ENTROPY_SIDE:
        return _smartcrop(image, size, "entropy")
    small = Size(*(_part(side, longest) for side in (image.width, image.height)))
    inner = Size(*(_part(side, longest) for side in (size.width, size.height))).within(small)
    # In memory: smartcrop reads the image many times.
    left, top = _smartcrop(resize(image, small).copy_memory(), inner, "entropy")
    return (
        _scaled(left, small.width - inner.width, image.width - size.width),
        _scaled(top, small.height - inner.height, image.height - size.height),
    )


def _part(side: int, longest: int) -> int:
    return max(1, side * _ENTROPY_SIDE // longest)


def _scaled(at: int, free: int, target: int) -> int:
    """A position in 0-``free`` scaled to 0-``target``: an end stays an end."""
    return at * target // free if free else target // 2


def _smartcrop(image: pyvips.Image, size: Size, interesting: str) -> tuple[int, int]:
    cropped = image.smartcrop(size.width, size.height, interesting=interesting)
    # libvips stores the origin of a crop as a negative offset.
    return -cropped.xoffset, -cropped.yoffset


def _faces(image: pyvips.Image) -> tuple[Box, ...]:
    return faces.find_faces(image)


def _faces_to_keep(boxes: Sequence[Box], size: Size) -> Box:
    """The bounding box of all ``boxes``, which are ordered by size, if it fits; else the largest."""
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    width = max(box.left + box.width for box in boxes) - left
    height = max(box.top + box.height for box in boxes) - top
    fits = width <= size.width and height <= size.height
    return Box(left, top, width, height) if fits else boxes[0]


def _around(box: Box, whole: Size, size: Size) -> tuple[int, int]:
    """The window with ``box`` as close to its centre as the image allows."""
    return (
        _centred(2 * box.left + box.width, size.width, whole.width),
        _centred(2 * box.top + box.height, size.height, whole.height),
    )


def _centred(twice_centre: int, side: int, whole: int) -> int:
    return min(max(0, (twice_centre - side) // 2), whole - side)
