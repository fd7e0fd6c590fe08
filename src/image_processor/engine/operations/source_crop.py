"""What a lone cropped rendition does not show is cut off before anything is resized: its place is then
right to half a pixel of the original, not of the rendition, and less is resized.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.geometry import Box, Placement, Size, place, shrink_on_load
from image_processor.domain.transformation import SMART, Fit, Gravity, Transformation

from .decode_plan import DecodePlan

_MOST = Fraction(1, 2)
"""The scale up to which it is worth it: then half a pixel of the original is a quarter of the rendition's."""


def crop_source(scene: DecodePlan, transformation: Transformation) -> DecodePlan:
    """The part of ``scene`` that ``transformation`` shows, the whole scene where it shows all of it or
    pixels have to be looked at first."""
    placement = place(scene.natural, transformation)
    scale = _scale(scene.natural, placement)
    if not _is_known(scene, transformation) or scale is None or scale > _MOST:
        return scene
    shown = _window(scene.natural, placement.output, scale, transformation)
    inner = scene.turn.stored_box(shown, scene.box.size)
    box = Box(scene.box.left + inner.left, scene.box.top + inner.top, inner.width, inner.height)
    box = _aligned(box, scene.box, _step(scene, box.size, scene.turn.apply(placement.output)))
    found = replace(scene, box=box, natural=scene.turn.apply(box.size))
    # A ratio, a zoom or least sides may make something else of the smaller picture.
    return found if place(found.natural, transformation).output == placement.output else scene


def _step(scene: DecodePlan, shown: Size, need: Size) -> int:
    """What the decoder may shrink by at most: it leaves twice the rendition's pixels, so that the edges
    that it can begin and end at are near enough to the right ones."""
    if scene.linear or scene.header.format not in {"jpeg", "webp"}:
        return 1
    return shrink_on_load(shown, Size(2 * need.width, 2 * need.height))


def _is_known(scene: DecodePlan, transformation: Transformation) -> bool:
    plain = transformation.gravity not in SMART and not (transformation.gravity_x or transformation.gravity_y)
    cut = transformation.fit in {Fit.COVER, Fit.FILL_DOWN}
    return cut and plain and not scene.fine_rotation and scene.frames == 1 and scene.header.format != "svg"


def _scale(natural: Size, placement: Placement) -> Fraction | None:
    """How much smaller the picture gets, where one side is cut and the other is not."""
    level, output = placement.level, placement.output
    if (level.width == output.width) == (level.height == output.height):
        return None
    if level.width == output.width:
        return Fraction(level.width, natural.width)
    return Fraction(level.height, natural.height)


def _window(natural: Size, output: Size, scale: Fraction, transformation: Transformation) -> Box:
    """What of the upright picture comes to be ``output``."""
    width, height = (min(_round(side / scale), most) for side, most in _sides(output, natural))
    free = (natural.width - width, natural.height - height)
    gravity, point = transformation.gravity, transformation.focal_point
    if point is not None:
        wanted = (Fraction(str(point[0])) * natural.width, Fraction(str(point[1])) * natural.height)
        left, top = _round(wanted[0] - Fraction(width, 2)), _round(wanted[1] - Fraction(height, 2))
    else:
        left = _along(free[0], gravity, "west", "east")
        top = _along(free[1], gravity, "north", "south")
    return Box(min(max(left, 0), free[0]), min(max(top, 0), free[1]), width, height)


def _along(free: int, gravity: Gravity, start: str, end: str) -> int:
    if start in gravity:
        return 0
    return free if end in gravity else free // 2


def _aligned(box: Box, around: Box, step: int) -> Box:
    """``box`` with its edges at multiples of ``step``, within ``around``. Both sides lose or gain the
    same share, so that nothing is stretched, and the middle moves least."""
    across = _Reach(around.left, around.left + around.width, step)
    down = _Reach(around.top, around.top + around.height, step)
    wide = box.width * around.height > box.height * around.width
    first = across.length(Fraction(box.width)) if wide else down.length(Fraction(box.height))
    share = Fraction(first, box.width if wide else box.height)
    width, height = across.length(box.width * share), down.length(box.height * share)
    return Box(
        across.start(2 * box.left + box.width, width),
        down.start(2 * box.top + box.height, height),
        width,
        height,
    )


class _Reach(Struct, frozen=True):
    """One direction of what there is, from ``least`` to ``most``, of which only multiples of ``step``
    are had."""

    least: int
    most: int
    step: int

    @property
    def _ends(self) -> tuple[int, int]:
        return -(-self.least // self.step) * self.step, self.most // self.step * self.step

    def length(self, wanted: Fraction) -> int:
        first, last = self._ends
        return min(max(self.step, _round(wanted / self.step) * self.step), last - first)

    def start(self, twice_middle: int, length: int) -> int:
        first, last = self._ends
        wanted = _round(Fraction(twice_middle - length, 2 * self.step)) * self.step
        return min(max(wanted, first), last - length)


def _sides(output: Size, natural: Size) -> tuple[tuple[int, int], tuple[int, int]]:
    return (output.width, natural.width), (output.height, natural.height)


def _round(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))
