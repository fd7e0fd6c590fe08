"""Render, step 1, for a single cropped rendition: crops the source before it is resized.

The crop is then exact to half a pixel of the original, not of the rendition, and fewer pixels are resized.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.geometry import Box, Placement, Size, place, shrink_on_load
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import SMART, Fit, Gravity, Transformation
from image_processor.engine.codecs.codec import ShrinkOnLoad
from image_processor.engine.codecs.registry import CODECS

from .decode_plan import DecodePlan

_MAX_SCALE = Fraction(1, 2)
"""At a larger scale it is not worth it: here half a pixel of the original is a quarter of the rendition's."""


def crop_source(source: DecodePlan, transformation: Transformation) -> DecodePlan:
    """The part of ``source`` that ``transformation`` shows; ``source`` itself where all of it is shown or
    where the crop depends on pixels."""
    placement = place(source.size, transformation)
    scale = _scale(source.size, placement)
    if not _is_croppable(source, transformation) or scale is None or scale > _MAX_SCALE:
        return source
    window = _window(source.size, placement.output, scale, transformation)
    inner = source.orientation.stored_box(window, source.box.size)
    box = Box(source.box.left + inner.left, source.box.top + inner.top, inner.width, inner.height)
    step = _alignment(source, box.size, source.orientation.apply(placement.output))
    box = _aligned(box, source.box, step)
    cropped = replace(source, box=box, size=source.orientation.apply(box.size))
    # A ratio, a zoom or minimum sides may give the smaller source another output size.
    return cropped if place(cropped.size, transformation).output == placement.output else source


def _alignment(source: DecodePlan, shown: Size, needed: Size) -> int:
    """The largest shrink factor of the decoder: edges of the crop must be multiples of it. The decoder keeps
    twice the rendition's pixels, so that the possible edges are close enough to the exact ones."""
    if source.linear or source.header.shrink_on_load is ShrinkOnLoad.NONE:
        return 1
    return shrink_on_load(shown, Size(2 * needed.width, 2 * needed.height))


def _is_croppable(source: DecodePlan, transformation: Transformation) -> bool:
    is_simple = transformation.gravity not in SMART and not (
        transformation.gravity_x or transformation.gravity_y
    )
    is_cropped = transformation.fit in {Fit.COVER, Fit.FILL_DOWN}
    is_still = source.frames == 1 and not CODECS[source.header.format].vector
    return is_cropped and is_simple and is_still and not source.fine_rotation


def _scale(size: Size, placement: Placement) -> Fraction | None:
    """Output over source, where exactly one side is cropped."""
    level, output = placement.level, placement.output
    if (level.width == output.width) == (level.height == output.height):
        return None
    if level.width == output.width:
        return Fraction(level.width, size.width)
    return Fraction(level.height, size.height)


def _window(size: Size, output: Size, scale: Fraction, transformation: Transformation) -> Box:
    """The part of the upright source that becomes ``output``."""
    width = min(round_half_up(output.width / scale), size.width)
    height = min(round_half_up(output.height / scale), size.height)
    free = (size.width - width, size.height - height)
    gravity, focal_point = transformation.gravity, transformation.focal_point
    if focal_point is not None:
        x, y = Fraction(str(focal_point[0])) * size.width, Fraction(str(focal_point[1])) * size.height
        left, top = round_half_up(x - Fraction(width, 2)), round_half_up(y - Fraction(height, 2))
    else:
        left = _along(free[0], gravity, "west", "east")
        top = _along(free[1], gravity, "north", "south")
    return Box(min(max(left, 0), free[0]), min(max(top, 0), free[1]), width, height)


def _along(free: int, gravity: Gravity, start: str, end: str) -> int:
    if start in gravity:
        return 0
    return free if end in gravity else free // 2


def _aligned(box: Box, around: Box, step: int) -> Box:
    """``box`` with its edges at multiples of ``step``, within ``around``. Both sides are scaled by the same
    factor, so that nothing is stretched, and the centre moves as little as possible."""
    across = _Axis(around.left, around.left + around.width, step)
    down = _Axis(around.top, around.top + around.height, step)
    is_wide = box.width * around.height > box.height * around.width
    longer = across.length(Fraction(box.width)) if is_wide else down.length(Fraction(box.height))
    factor = Fraction(longer, box.width if is_wide else box.height)
    width, height = across.length(box.width * factor), down.length(box.height * factor)
    return Box(
        across.start(2 * box.left + box.width, width),
        down.start(2 * box.top + box.height, height),
        width,
        height,
    )


class _Axis(Struct, frozen=True):
    """The positions from ``min`` to ``max`` that are multiples of ``step``."""

    min: int
    max: int
    step: int

    @property
    def _ends(self) -> tuple[int, int]:
        return -(-self.min // self.step) * self.step, self.max // self.step * self.step

    def length(self, exact: Fraction) -> int:
        first, last = self._ends
        return min(max(self.step, round_half_up(exact / self.step) * self.step), last - first)

    def start(self, twice_centre: int, length: int) -> int:
        first, last = self._ends
        start = round_half_up(Fraction(twice_centre - length, 2 * self.step)) * self.step
        return min(max(start, first), last - length)
