"""Where a picture goes: from its natural size and a transformation to whole pixels.

Pure integer and rational arithmetic. Sides are rounded half up and are never less than 1. One
side of the scaled picture is always exactly the box's, the other follows from the ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from msgspec import Struct

from .transformation import MAX_SIDE, Fit, Gravity, Length, Transformation, in_pixels


class Size(Struct, frozen=True, order=True):
    """Whole pixels, each side at least 1."""

    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def turned(self) -> Size:
        return Size(self.height, self.width)

    def covers(self, other: Size) -> bool:
        return self.width >= other.width and self.height >= other.height

    def within(self, other: Size) -> Size:
        """Each side cut down to the other's."""
        return Size(min(self.width, other.width), min(self.height, other.height))


class Box(Struct, frozen=True):
    """A rectangle of whole pixels within a picture, both sides at least 1."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


class Anchor(Struct, frozen=True):
    """What stays of a picture that is cropped, and where one stands that is padded: a gravity with
    offsets from its sides inwards, or a focal point in shares of the picture's sides."""

    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    focal_point: tuple[float, float] | None = None


class Placement(Struct, frozen=True):
    """The whole picture is scaled to ``level``; ``output`` is cut out of it, or it stands in it.

    Either ``level`` covers ``output`` (a crop) or ``output`` covers ``level`` (padding).
    """

    level: Size
    output: Size


class Stage(Struct, frozen=True):
    """One resize of the cascade: ``size`` is made from the level of size ``made_from``."""

    size: Size
    made_from: Size


def place(natural: Size, transformation: Transformation) -> Placement:
    """The placement of an upright picture of size ``natural``.

    cover      scaled by the larger ratio; what is over the box is cut off. Without enlargement the
               scale is at most 1 and the output the box or the picture, whichever is less, by side.
    fill-down  as cover, but an output that cannot fill the box keeps the box's ratio.
    contain    scaled by the smaller ratio; the output is the box exactly, enlarged or not.
    fill       each side is the box's; without enlargement at most the picture's.
    inside     scaled by the smaller ratio; the output is the scaled picture.
    outside    scaled by the larger ratio; the output is the scaled picture.

    With one side or none the ratio is kept and nothing is cut. A least width or height raises the
    scale, even over the box. Where nothing cuts it, no side exceeds MAX_SIDE: the scale gives way.
    These are CSS's object-fit, sharp's fit and imgproxy's resizing types.
    """
    box = _box(natural, transformation)
    if transformation.fit is Fit.FILL:
        filled = _at_least(box, transformation)
        filled = filled if transformation.enlarge else filled.within(natural)
        return Placement(filled, filled)
    scale = _scale(natural, box, transformation)
    if transformation.boxed and transformation.fit is Fit.COVER:
        level = _scaled(natural, scale)
        return Placement(level, box.within(level))
    if transformation.boxed and transformation.fit is Fit.FILL_DOWN:
        level = _scaled(natural, scale)
        return Placement(level, _shrunk_into(box, level))
    capped = _scaled(natural, min(scale, Fraction(MAX_SIDE, max(natural.width, natural.height))))
    if transformation.boxed and transformation.fit is Fit.CONTAIN:
        return Placement(capped, Size(max(box.width, capped.width), max(box.height, capped.height)))
    return Placement(capped, capped)


def offset(outer: Size, inner: Size, anchor: Anchor) -> tuple[int, int]:
    """Left and top of ``inner`` within ``outer``. Odd remainders of a centred side go right
    and down. Gravities that need pixels count as the centre here."""
    free = (outer.width - inner.width, outer.height - inner.height)
    if anchor.focal_point is not None:
        across, down = anchor.focal_point
        wanted = (_centred(outer.width, inner.width, across), _centred(outer.height, inner.height, down))
    else:
        across, down = in_pixels(anchor.x, outer.width), in_pixels(anchor.y, outer.height)
        wanted = (
            _along(free[0], anchor.gravity, "west", "east", across),
            _along(free[1], anchor.gravity, "north", "south", down),
        )
    return min(max(wanted[0], 0), free[0]), min(max(wanted[1], 0), free[1])


def region_box(region: tuple[Length, Length, Length, Length] | None, size: Size) -> Box | None:
    """The part of a picture of ``size`` that ``region`` names, cut down to it; None if they do not meet."""
    if region is None:
        return Box(0, 0, size.width, size.height)
    left, width = (in_pixels(length, size.width) for length in region[::2])
    top, height = (in_pixels(length, size.height) for length in region[1::2])
    right, bottom = min(size.width, left + max(1, width)), min(size.height, top + max(1, height))
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def tilted(size: Size, degrees: float) -> Size:
    """The least whole box around a picture of ``size`` that was turned by ``degrees``."""
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    width, height = size.width * cosine + size.height * sine, size.width * sine + size.height * cosine
    # Rounded first, so that the noise of floats does not add a pixel.
    return Size(math.ceil(round(width, 6)), math.ceil(round(height, 6)))


def cascade(natural: Size, sizes: Iterable[Size]) -> tuple[Size, tuple[Stage, ...]]:
    """The size to decode to, and how each of ``sizes`` is made, largest first.

    The base is the least size that no wanted size exceeds, but never more than natural: an
    enlarged level is made from the base, not from another enlarged one. Every other level comes
    from the smallest one that covers it. The base itself is no stage.
    """
    wanted = sorted(set(sizes), key=lambda size: (-size.area, size))
    needs = [size.within(natural) for size in wanted]
    base = Size(max(need.width for need in needs), max(need.height for need in needs))
    stages: list[Stage] = []
    made = [base]
    for size in wanted:
        if size == base:
            continue
        covering = (level for level in made if level.covers(size))
        nearest = min(covering, key=lambda level: level.area, default=base)
        stages.append(Stage(size, nearest))
        if natural.covers(size):
            made.append(size)
    return base, tuple(stages)


def needed_for(stages: Sequence[Stage], sizes: Iterable[Size]) -> tuple[Stage, ...]:
    """Those of ``stages``, in order, that lead to one of ``sizes``."""
    needed = set(sizes)
    kept: list[Stage] = []
    for stage in reversed(stages):
        if stage.size in needed:
            needed.add(stage.made_from)
            kept.append(stage)
    return tuple(reversed(kept))


def shrink_on_load(stored: Size, need: Size) -> int:
    """By how much a decoder may shrink, 1, 2, 4 or 8, so that no side falls below ``need``.

    The decoder then drops the odd columns and rows that make no whole pixel, at most ``shrink`` - 1
    at the right and bottom: less than one pixel of the rendition.
    """
    return max(shrink for shrink in (1, 2, 4, 8) if shrink == 1 or _shrinkable(stored, need, shrink))


def _shrinkable(stored: Size, need: Size, shrink: int) -> bool:
    return stored.covers(Size(need.width * shrink, need.height * shrink))


def _box(natural: Size, transformation: Transformation) -> Size:
    """The wanted size; a free side is the picture's, and then has no say in the scale. With a ratio
    alone it is the largest such box within the picture, for `contain` the least one around it."""
    if transformation.ratio is None:
        return Size(transformation.width or natural.width, transformation.height or natural.height)
    ratio, zoom = transformation.ratio, Fraction(str(transformation.zoom))
    wider = ratio > Fraction(natural.width, natural.height)
    by_width = wider != (transformation.fit is Fit.CONTAIN)
    width = natural.width if by_width else natural.height * ratio
    return Size(*(min(MAX_SIDE, _rounded(side * zoom)) for side in (Fraction(width), width / ratio)))


def _scale(natural: Size, box: Size, transformation: Transformation) -> Fraction:
    ratios = []
    if transformation.width is not None or transformation.ratio is not None:
        ratios.append(Fraction(box.width, natural.width))
    if transformation.height is not None or transformation.ratio is not None:
        ratios.append(Fraction(box.height, natural.height))
    if not ratios:
        ratios.append(Fraction(str(transformation.zoom)))
    scale = max(ratios) if transformation.fit in _LARGER else min(ratios)
    least = (
        Fraction(transformation.min_width or 0, natural.width),
        Fraction(transformation.min_height or 0, natural.height),
    )
    scale = max(scale, *least)
    return scale if transformation.enlarge else min(scale, Fraction(1))


_LARGER = frozenset({Fit.COVER, Fit.FILL_DOWN, Fit.OUTSIDE})


def _at_least(box: Size, transformation: Transformation) -> Size:
    return Size(
        max(box.width, transformation.min_width or 0), max(box.height, transformation.min_height or 0)
    )


def _shrunk_into(box: Size, level: Size) -> Size:
    """The largest size of the box's ratio within ``level``, at most the box itself."""
    scale = min(Fraction(1), Fraction(level.width, box.width), Fraction(level.height, box.height))
    return _scaled(box, scale).within(level)


def _scaled(natural: Size, scale: Fraction) -> Size:
    return Size(_rounded(natural.width * scale), _rounded(natural.height * scale))


def _rounded(side: Fraction) -> int:
    return max(1, int(side + Fraction(1, 2)))


def _centred(outer: int, inner: int, share: float) -> int:
    """Where ``inner`` begins if its middle lies at ``share`` of ``outer``."""
    return math.floor((2 * Fraction(str(share)) * outer - inner) / 2)


def _along(free: int, gravity: Gravity, start: str, end: str, inwards: int) -> int:
    if start in gravity:
        return inwards
    return free - inwards if end in gravity else free // 2 + inwards
