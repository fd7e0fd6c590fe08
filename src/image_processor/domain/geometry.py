"""Sizes and positions in whole pixels, from the natural size of an image and a transformation.

Pure integer and rational arithmetic, shared by the engine and delivery. Sides are rounded half up and
are at least 1. One side of the scaled image is exactly that of the box, the other follows from the
ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from msgspec import Struct

from .rounding import round_half_up
from .transformation import (
    MAX_SIDE,
    Fit,
    Gravity,
    Length,
    RelativeLength,
    Step,
    Transformation,
    in_pixels,
)


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
        """This size, each side limited to that of ``other``."""
        return Size(min(self.width, other.width), min(self.height, other.height))


class Box(Struct, frozen=True):
    """A rectangle of whole pixels within an image, both sides at least 1."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


class Anchor(Struct, frozen=True):
    """The part that a crop keeps, or the position of an image that is padded.

    A gravity with offsets inwards from its sides, or a focal point in fractions of the sides.
    """

    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    focal_point: tuple[float, float] | None = None


class Placement(Struct, frozen=True):
    """The image is scaled to ``level`` and then cropped or padded to ``output``.

    ``level`` covers ``output`` for a crop, ``output`` covers ``level`` for padding.
    """

    level: Size
    output: Size


class Stage(Struct, frozen=True):
    """One resize of the pyramid: the level ``size`` is made from the level ``made_from``."""

    size: Size
    made_from: Size


def place(natural: Size, transformation: Transformation) -> Placement:
    """The placement of an upright image of size ``natural``.

    cover      scaled by the larger ratio and cropped to the box. Without ``enlarge`` the scale is at
               most 1, and each side of the output at most that of the image.
    fill-down  like cover, but an output that cannot fill the box keeps the box's ratio.
    contain    scaled by the smaller ratio; the output is always the box.
    fill       stretched to the box; without ``enlarge`` each side is at most that of the image.
    inside     scaled by the smaller ratio; the output is the scaled image.
    outside    scaled by the larger ratio; the output is the scaled image.

    With one side or none the ratio is kept and nothing is cropped. A minimum width or height raises
    the scale, even above the box. An output that is not cropped has no side above MAX_SIDE. These
    are CSS's object-fit, sharp's fit and imgproxy's resizing types.
    """
    box = _box(natural, transformation)
    if transformation.fit is Fit.FILL:
        filled = _with_minimum(box, transformation)
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
    """Left and top of ``inner`` within ``outer``.

    An odd pixel of a centred side goes to the right or the bottom. Gravities that depend on the pixels
    count as the centre.
    """
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
    """``region`` of an image of ``size``, clipped to the image; None if it lies outside, which a region of
    fractions below 1 never does."""
    if region is None:
        return Box(0, 0, size.width, size.height)
    left, top = _start(region[0], size.width), _start(region[1], size.height)
    width, height = in_pixels(region[2], size.width), in_pixels(region[3], size.height)
    right, bottom = min(size.width, left + max(1, width)), min(size.height, top + max(1, height))
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _start(length: Length, side: int) -> int:
    """In pixels; rounding moves no fraction below 1 behind the last pixel."""
    start = in_pixels(length, side)
    is_within = isinstance(length, RelativeLength) and length.of_side < 1
    return min(start, side - 1) if is_within else start


def sizes_after(size: Size, steps: Iterable[Step]) -> Iterator[Size | None]:
    """The size of an image of ``size`` after each of ``steps``; None, and no more, where a crop lies outside
    it."""
    for step in steps:
        after = _size_after(size, step)
        yield after
        if after is None:
            return
        size = after


def _size_after(size: Size, step: Step) -> Size | None:
    if step.name == "crop":
        box = region_box(step.value, size)
        return box.size if box else None
    if step.name == "smart":
        return size.within(Size(*step.value[:2]))
    if step.new_sides:
        return Size(*step.new_sides)
    if step.name == "pad":
        return _padded(size, step.value)
    return _turned(size, step.value[0] % 360) if step.name == "rotate" else size


def _padded(size: Size, sides: Sequence[int]) -> Size:
    top, right, bottom, left = sides[:4]
    return Size(size.width + left + right, size.height + top + bottom)


def _turned(size: Size, degrees: float) -> Size:
    if degrees % 90:
        return tilted(size, degrees)
    return size.turned() if degrees % 180 else size


def tilted(size: Size, degrees: float) -> Size:
    """The smallest whole box around an image of ``size`` rotated by ``degrees``."""
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    width, height = size.width * cosine + size.height * sine, size.width * sine + size.height * cosine
    # Rounded first, so that floating-point noise does not add a pixel.
    return Size(math.ceil(round(width, 6)), math.ceil(round(height, 6)))


def cascade(natural: Size, sizes: Iterable[Size]) -> tuple[Size, tuple[Stage, ...]]:
    """The size to decode to (the base), and the resizes that make ``sizes``, largest first.

    The base is the smallest size that covers all of ``sizes``, but at most ``natural``. An enlarged level
    is made from the base; any other level from the smallest level that covers it. The base itself is
    not a stage.
    """
    wanted = sorted(set(sizes), key=lambda size: (-size.area, size))
    needed = [size.within(natural) for size in wanted]
    base = Size(max(size.width for size in needed), max(size.height for size in needed))
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
    """The ``stages``, in order, that are needed to make ``sizes``."""
    needed = set(sizes)
    kept: list[Stage] = []
    for stage in reversed(stages):
        if stage.size in needed:
            needed.add(stage.made_from)
            kept.append(stage)
    return tuple(reversed(kept))


def shrink_on_load(stored: Size, need: Size) -> int:
    """The factor by which a decoder may shrink, 1, 2, 4 or 8, so that no side falls below ``need``.

    The decoder drops the columns and rows at the right and bottom that make no whole pixel, at most
    the factor minus 1: less than one pixel of the rendition.
    """
    return max(shrink for shrink in (1, 2, 4, 8) if shrink == 1 or _shrinkable(stored, need, shrink))


def _shrinkable(stored: Size, need: Size, shrink: int) -> bool:
    return stored.covers(Size(need.width * shrink, need.height * shrink))


def _box(natural: Size, transformation: Transformation) -> Size:
    """The requested size; a free side is that of the image.

    With a ratio alone it is the largest such box within the image, for `contain` the smallest one
    around it.
    """
    if transformation.ratio is None:
        return Size(transformation.width or natural.width, transformation.height or natural.height)
    ratio, zoom = transformation.ratio, Fraction(str(transformation.zoom))
    wider = ratio > Fraction(natural.width, natural.height)
    by_width = wider != (transformation.fit is Fit.CONTAIN)
    width = natural.width if by_width else natural.height * ratio
    return Size(*(min(MAX_SIDE, _round_side(side * zoom)) for side in (Fraction(width), width / ratio)))


def _scale(natural: Size, box: Size, transformation: Transformation) -> Fraction:
    ratios = []
    if transformation.width is not None or transformation.ratio is not None:
        ratios.append(Fraction(box.width, natural.width))
    if transformation.height is not None or transformation.ratio is not None:
        ratios.append(Fraction(box.height, natural.height))
    if not ratios:
        ratios.append(Fraction(str(transformation.zoom)))
    scale = max(ratios) if transformation.fit in _LARGER else min(ratios)
    minimum = (
        Fraction(transformation.min_width or 0, natural.width),
        Fraction(transformation.min_height or 0, natural.height),
    )
    scale = max(scale, *minimum)
    return scale if transformation.enlarge else min(scale, Fraction(1))


_LARGER = frozenset({Fit.COVER, Fit.FILL_DOWN, Fit.OUTSIDE})


def _with_minimum(box: Size, transformation: Transformation) -> Size:
    return Size(
        max(box.width, transformation.min_width or 0), max(box.height, transformation.min_height or 0)
    )


def _shrunk_into(box: Size, level: Size) -> Size:
    """The largest size with the box's ratio within ``level``, at most the box itself."""
    scale = min(Fraction(1), Fraction(level.width, box.width), Fraction(level.height, box.height))
    return _scaled(box, scale).within(level)


def _scaled(natural: Size, scale: Fraction) -> Size:
    return Size(_round_side(natural.width * scale), _round_side(natural.height * scale))


def _round_side(side: Fraction) -> int:
    return max(1, round_half_up(side))


def _centred(outer: int, inner: int, share: float) -> int:
    """The start of ``inner`` if its middle is at the fraction ``share`` of ``outer``."""
    return math.floor((2 * Fraction(str(share)) * outer - inner) / 2)


def _along(free: int, gravity: Gravity, start: str, end: str, inwards: int) -> int:
    if start in gravity:
        return inwards
    return free - inwards if end in gravity else free // 2 + inwards
