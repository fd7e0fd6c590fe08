"""Pixel operations that cut the outline of an image: alpha is multiplied by an antialiased mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pyvips

_OPAQUE = 255

# From the top left corner, clockwise: what turns a top left corner into each one.
_CORNERS: tuple[Callable[[pyvips.Image], pyvips.Image], ...] = (
    lambda corner: corner,
    lambda corner: corner.fliphor(),
    lambda corner: corner.rot180(),
    lambda corner: corner.flipver(),
)


def round_corners(image: pyvips.Image, radii: tuple[float, float, float, float]) -> pyvips.Image:
    """Round the corners by ``radii`` in pixels: top left, top right, bottom right, bottom left.

    Where two do not fit on their side, all four are scaled down by one factor (CSS Backgrounds and Borders
    Level 3, 5.5). All 0 changes nothing.
    """
    if not any(radii):
        return image
    factor = _fitting_factor(image, radii)
    return _cut(image, [(radius * factor, radius * factor) for radius in radii])


def ellipse(image: pyvips.Image) -> pyvips.Image:
    """Keep the ellipse that touches all four sides: a circle in a square."""
    return _cut(image, [(image.width / 2, image.height / 2)] * 4)


def inner_area(
    width: int,
    height: int,
    sides: tuple[int, int, int, int],
    radii: tuple[float, float, float, float] | None,
) -> pyvips.Image:
    """A mask of ``width`` x ``height``: opaque inside a border of ``sides`` (top, right, bottom, left), with
    rounded corners of these ``radii``."""
    top, right, bottom, left = sides
    across, down = width - left - right, height - top - bottom
    if across < 1 or down < 1:
        return pyvips.Image.black(width, height)
    inner = (pyvips.Image.black(across, down, bands=3)).cast("uchar").copy(interpretation="srgb")
    rounded = round_corners(inner, radii or (0, 0, 0, 0))
    opaque = rounded[3] if rounded.hasalpha() else (pyvips.Image.black(across, down) + _OPAQUE).cast("uchar")
    return opaque.embed(left, top, width, height)


def elliptic_corners(image: pyvips.Image, across: float, down: float) -> pyvips.Image:
    """Round all corners to quarters of an ellipse with these semi-axes in pixels, at most half a side."""
    return _cut(image, [(min(across, image.width / 2), min(down, image.height / 2))] * 4)


def ellipse_at(image: pyvips.Image, x: float, y: float, across: float, down: float) -> pyvips.Image:
    """Keep the ellipse with its centre at ``x``, ``y`` and these semi-axes, in pixels."""
    position = pyvips.Image.xyz(image.width, image.height) + 0.5
    right, below = (position[0] - x) / max(across, 0.5), (position[1] - y) / max(down, 0.5)
    outside = right * right + below * below - 1
    gradient = ((right * (2 / max(across, 0.5))) ** 2 + (below * (2 / max(down, 0.5))) ** 2) ** 0.5
    mask = ((0.5 - outside / gradient.maxpair(1e-6)) * _OPAQUE).rint().cast("uchar")
    if not image.hasalpha():
        return image.bandjoin(mask)
    return image[:3].bandjoin((image[3] * mask / _OPAQUE).rint().cast("uchar"))


def _fitting_factor(image: pyvips.Image, radii: Sequence[float]) -> float:
    top_left, top_right, bottom_right, bottom_left = radii
    sides = (
        (image.width, top_left + top_right),
        (image.width, bottom_left + bottom_right),
        (image.height, top_left + bottom_left),
        (image.height, top_right + bottom_right),
    )
    factor: float = min(1.0, *(side / used for side, used in sides if used))
    return factor


def _cut(image: pyvips.Image, radii: Sequence[tuple[float, float]]) -> pyvips.Image:
    mask = (pyvips.Image.black(image.width, image.height) + _OPAQUE).cast("uchar")
    # Equal corners are drawn once, into memory: libvips would draw them for each use.
    drawn = {pair: _corner(*pair).copy_memory() for pair in set(radii) if all(pair)}
    for pair, oriented in zip(radii, _CORNERS, strict=True):
        if pair in drawn:
            mask = _with_corner(mask, drawn[pair], oriented)
    if not image.hasalpha():
        return image.bandjoin(mask)
    alpha = (image[3] * mask / _OPAQUE).rint().cast("uchar")
    return image[:3].bandjoin(alpha)


def _with_corner(
    mask: pyvips.Image, corner: pyvips.Image, oriented: Callable[[pyvips.Image], pyvips.Image]
) -> pyvips.Image:
    """``mask`` with one corner cut. Large corners can overlap, so the smaller value counts; the whole mask is
    turned to avoid computing positions."""
    upright = oriented(mask)
    piece = upright.crop(0, 0, corner.width, corner.height).minpair(corner)
    return oriented(upright.insert(piece, 0, 0))


def _corner(across: float, down: float) -> pyvips.Image:
    """The mask of a top left corner that is a quarter of an ellipse with these semi-axes.

    The coverage of a pixel follows from the distance of its centre to the ellipse, closely approximated by
    the value of the ellipse's equation over the length of its gradient.
    """
    x, y = _offsets(across), _offsets(down)
    squares = _outer_sum(x**2, y**2)
    gradients = _outer_sum((2 * x / across) ** 2, (2 * y / down) ** 2) ** 0.5
    outside = (squares - 1) / gradients.maxpair(1e-6)  # the gradient is 0 at the centre
    return ((0.5 - outside) * _OPAQUE).rint().cast("uchar")


def _offsets(semi_axis: float) -> pyvips.Image:
    """A row: the distance of each pixel's centre from the ellipse's centre, in semi-axes; 0 beyond the
    centre, where the outline is straight."""
    return ((semi_axis - 0.5 - pyvips.Image.xyz(math.ceil(semi_axis), 1)[0]) / semi_axis).maxpair(0)


def _outer_sum(row: pyvips.Image, column: pyvips.Image) -> pyvips.Image:
    """The sum of every number of ``row`` and every one of ``column``, both given as rows."""
    return row.replicate(1, column.width) + column.rot90().replicate(row.width, 1)
