"""Where a picture goes: from its natural size and a transformation to whole pixels.

Pure integer and rational arithmetic. Sides are rounded half up and are never less than 1. One
side of the scaled picture is always exactly the box's, the other follows from the ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from image_processor.transformation import MAX_SIDE, Fit, Gravity, Transformation


@dataclass(frozen=True, slots=True, order=True)
class Size:
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


@dataclass(frozen=True, slots=True)
class Placement:
    """The whole picture is scaled to ``level``; ``output`` is cut out of it, or it stands in it.

    Either ``level`` covers ``output`` (a crop) or ``output`` covers ``level`` (padding).
    """

    level: Size
    output: Size


@dataclass(frozen=True, slots=True)
class Stage:
    """One resize of the cascade: ``size`` is made from the level of size ``made_from``."""

    size: Size
    made_from: Size


def place(natural: Size, transformation: Transformation) -> Placement:
    """The placement of an upright picture of size ``natural``.

    cover    scaled by the larger ratio; what is over the box is cut off. Without enlargement the
             scale is at most 1 and the output the box or the picture, whichever is less, by side.
    contain  scaled by the smaller ratio; the output is the box exactly, enlarged or not.
    fill     each side is the box's; without enlargement at most the picture's.
    inside   scaled by the smaller ratio; the output is the scaled picture.
    outside  scaled by the larger ratio; the output is the scaled picture.

    With one side or none the ratio is kept and nothing is cut. Where nothing cuts it, no side
    exceeds MAX_SIDE: the scale gives way. These are CSS's object-fit and sharp's fit.
    """
    box = _box(natural, transformation)
    if transformation.fit is Fit.FILL:
        filled = box if transformation.enlarge else box.within(natural)
        return Placement(filled, filled)
    cut = transformation.width is not None and transformation.height is not None
    scale = _scale(natural, box, transformation)
    if cut and transformation.fit is Fit.COVER:
        level = _scaled(natural, scale)
        return Placement(level, box.within(level))
    if cut and transformation.fit is Fit.CONTAIN:
        return Placement(_scaled(natural, scale), box)
    level = _scaled(natural, min(scale, Fraction(MAX_SIDE, max(natural.width, natural.height))))
    return Placement(level, level)


def offset(outer: Size, inner: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of ``inner`` within ``outer``. Odd remainders of a centred side go right
    and down. ATTENTION, which needs pixels, counts as the centre here."""
    left = _along(outer.width - inner.width, gravity, "west", "east")
    top = _along(outer.height - inner.height, gravity, "north", "south")
    return left, top


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
    at the right and bottom: less than one pixel of the rendition, as in libvips' own thumbnail.
    """
    return max(shrink for shrink in (1, 2, 4, 8) if shrink == 1 or _shrinkable(stored, need, shrink))


def _shrinkable(stored: Size, need: Size, shrink: int) -> bool:
    return stored.covers(Size(need.width * shrink, need.height * shrink))


def _box(natural: Size, transformation: Transformation) -> Size:
    """The wanted size; a free side is the picture's, and then has no say in the scale."""
    return Size(transformation.width or natural.width, transformation.height or natural.height)


def _scale(natural: Size, box: Size, transformation: Transformation) -> Fraction:
    ratios = []
    if transformation.width is not None:
        ratios.append(Fraction(box.width, natural.width))
    if transformation.height is not None:
        ratios.append(Fraction(box.height, natural.height))
    if not ratios:
        return Fraction(1)
    scale = max(ratios) if transformation.fit in {Fit.COVER, Fit.OUTSIDE} else min(ratios)
    return scale if transformation.enlarge else min(scale, Fraction(1))


def _scaled(natural: Size, scale: Fraction) -> Size:
    return Size(_rounded(natural.width * scale), _rounded(natural.height * scale))


def _rounded(side: Fraction) -> int:
    return max(1, int(side + Fraction(1, 2)))


def _along(free: int, gravity: Gravity, start: str, end: str) -> int:
    if start in gravity:
        return 0
    return free if end in gravity else free // 2


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture in whole pixels; width and height are at least 1."""

    left: int
    top: int
    width: int
    height: int
