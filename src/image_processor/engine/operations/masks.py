"""The steps that cut a picture's outline, by multiplying its alpha with an antialiased mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pyvips

_OPAQUE = 255

# From the top left corner, clockwise: how a top left corner becomes each one.
_CORNERS: tuple[Callable[[pyvips.Image], pyvips.Image], ...] = (
    lambda corner: corner,
    lambda corner: corner.fliphor(),
    lambda corner: corner.rot180(),
    lambda corner: corner.flipver(),
)


def round_corners(picture: pyvips.Image, radii: tuple[float, float, float, float]) -> pyvips.Image:
    """Round the corners by ``radii`` in pixels: top left, top right, bottom right, bottom left.

    Where two do not fit on their side all four are made smaller by one factor (CSS Backgrounds and
    Borders Level 3, 5.5). All 0 changes nothing.
    """
    if not any(radii):
        return picture
    factor = _fitting(picture, radii)
    return _cut(picture, [(radius * factor, radius * factor) for radius in radii])


def ellipse(picture: pyvips.Image) -> pyvips.Image:
    """Keep the ellipse that touches all four sides: a circle in a square."""
    return _cut(picture, [(picture.width / 2, picture.height / 2)] * 4)


def _fitting(picture: pyvips.Image, radii: Sequence[float]) -> float:
    top_left, top_right, bottom_right, bottom_left = radii
    sides = (
        (picture.width, top_left + top_right),
        (picture.width, bottom_left + bottom_right),
        (picture.height, top_left + bottom_left),
        (picture.height, top_right + bottom_right),
    )
    factor: float = min(1.0, *(side / taken for side, taken in sides if taken))
    return factor


def _cut(picture: pyvips.Image, radii: Sequence[tuple[float, float]]) -> pyvips.Image:
    mask = (pyvips.Image.black(picture.width, picture.height) + _OPAQUE).cast("uchar")
    # Equal corners are drawn once, and into memory: libvips would draw them for each use.
    drawn = {pair: _corner(*pair).copy_memory() for pair in set(radii) if all(pair)}
    for pair, turned in zip(radii, _CORNERS, strict=True):
        if pair in drawn:
            mask = _with_corner(mask, drawn[pair], turned)
    if not picture.hasalpha():
        return picture.bandjoin(mask)
    alpha = (picture[3] * mask / _OPAQUE).rint().cast("uchar")
    return picture[:3].bandjoin(alpha)


def _with_corner(
    mask: pyvips.Image, corner: pyvips.Image, turned: Callable[[pyvips.Image], pyvips.Image]
) -> pyvips.Image:
    """``mask`` with less in one corner. Corners can overlap (two large ones that face each other),
    so the lesser value counts; and the whole is turned, which spares reckoning with places."""
    upright = turned(mask)
    piece = upright.crop(0, 0, corner.width, corner.height).minpair(corner)
    return turned(upright.insert(piece, 0, 0))


def _corner(across: float, down: float) -> pyvips.Image:
    """The mask of a top left corner that is a quarter of an ellipse with these half axes.

    How much of a pixel is inside follows from the distance of its middle to the ellipse, for which
    the value of the ellipse's equation over the length of its gradient is a close approximation.
    """
    x, y = _places(across), _places(down)
    squares = _crossed(x**2, y**2)
    slopes = _crossed((2 * x / across) ** 2, (2 * y / down) ** 2) ** 0.5
    outside = (squares - 1) / slopes.maxpair(1e-6)  # flat at the centre itself
    return ((0.5 - outside) * _OPAQUE).rint().cast("uchar")


def _places(half_axis: float) -> pyvips.Image:
    """A row: how far the middle of each pixel is from the centre, in half axes. Beyond the centre
    it is 0: there the outline is straight."""
    return ((half_axis - 0.5 - pyvips.Image.xyz(math.ceil(half_axis), 1)[0]) / half_axis).maxpair(0)


def _crossed(row: pyvips.Image, column: pyvips.Image) -> pyvips.Image:
    """Every number of ``row`` plus every one of ``column``, which is a row as well."""
    return row.replicate(1, column.width) + column.rot90().replicate(row.width, 1)
