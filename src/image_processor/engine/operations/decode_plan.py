"""What a transformation looks at: which frames of the original, which part of them, and how that is
turned. Renditions with the same view share one decode; a scene is a view of one original.
"""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Box, Size, region_box, tilted
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Colour, Flip, Length, Transformation
from image_processor.engine.codecs.decode import frames_of, open_original, refusing, without_bands
from image_processor.engine.codecs.probe import Header, probe

from .orientation import Orientation
from .trim import trim_box


class SourceSelection(Struct, frozen=True):
    """The part of a transformation that comes before any size, and how sizes are made from it."""

    frame: int | None = None
    frames: int | None = None
    orient: bool = True
    trim: int | None = None
    trim_colour: Colour | None = None
    region: tuple[Length, Length, Length, Length] | None = None
    rotate: float = 0
    flip: Flip | None = None
    linear: bool = False


WHOLE_IMAGE = SourceSelection()
"""The whole picture, upright, with all its frames."""


def source_selection(transformation: Transformation) -> SourceSelection:
    return SourceSelection(
        **{field: getattr(transformation, field) for field in SourceSelection.__match_args__}
    )


class DecodePlan(Struct, frozen=True):
    """``box`` of each stored frame is taken, turned by ``turn`` and then by ``fine_rotation`` degrees (0 to
    90, clockwise); ``natural`` is the size of what comes out. Frames are ``first`` and those after
    it, ``frames`` in all; ``delays`` are theirs."""

    header: Header
    box: Box
    turn: Orientation
    fine_rotation: float
    natural: Size
    first: int
    frames: int
    linear: bool

    @property
    def delays(self) -> tuple[int, ...]:
        return self.header.delays[self.first : self.first + self.frames]

    @property
    def whole(self) -> bool:
        """Whether nothing of the stored frame is cut off."""
        return self.box.size == self.header.stored


def plan_decode(data: bytes, header: Header, view: SourceSelection, limits: Limits) -> DecodePlan:
    """``view`` of this original. Only to trim takes a look at the pixels, of the first frame. A frame
    past the last is the last; those of a TIFF are its pages, each with a header of its own.

    Raises Refused(REGION_OUTSIDE), for a page as `probe`, and while it trims TRUNCATED or CORRUPT.
    """
    if header.pages > 1 and view.frame is not None:
        header = probe(data, limits, page=min(view.frame, header.pages) - 1)
    upright = Orientation.from_exif(header.orientation if view.orient else 1)
    first = header.page or min(view.frame or 1, header.frames) - 1
    frames = 1 if view.frame else min(view.frames or header.frames, header.frames)
    seen = _seen(data, header, view, upright, first)
    # To flip what was turned is to turn the other way what was flipped.
    degrees = (-view.rotate if view.flip else view.rotate) % 360
    quarters, fine_rotation = divmod(degrees, 90)
    turn = upright.flipped(view.flip).rotated(int(quarters))
    box = upright.stored_box(seen, header.stored)
    turned = turn.apply(box.size)
    natural = tilted(turned, fine_rotation) if fine_rotation else turned
    return DecodePlan(header, box, turn, fine_rotation, natural, first, frames, view.linear)


def _seen(data: bytes, header: Header, view: SourceSelection, upright: Orientation, first: int) -> Box:
    """The part of the upright frame that the view shows."""
    size = upright.apply(header.stored)
    around = Box(0, 0, size.width, size.height)
    if view.trim is not None:
        trimmed = _trimmed(data, header, view.trim, view.trim_colour, first)
        around = upright.inverse.stored_box(trimmed, size)
    box = region_box(view.region, around.size)
    if box is None:
        shown = ":".join(map(str, view.region or ()))
        message = f"expected a region within {around.width} x {around.height} pixels, got {shown}"
        raise Refused(Reason.REGION_OUTSIDE, message)
    return Box(around.left + box.left, around.top + box.top, box.width, box.height)


def _trimmed(data: bytes, header: Header, tolerance: int, colour: Colour | None, first: int) -> Box:
    """What differs from the border of a frame, as it is stored."""
    format_ = FORMATS[header.format]
    opened = open_original(data, format_, first=first, lenient=header.truncated)
    with refusing(format_, truncated=header.truncated):
        frame = next(frames_of(without_bands(opened, header.idle_bands), 1))
        return trim_box(frame, tolerance, colour)


def before_fine_rotation(scene: DecodePlan, level: Size) -> Size:
    """The size at which the turned picture is tilted, so that ``level`` comes out of it."""
    turned = scene.turn.apply(scene.box.size)
    scale = max(level.width / scene.natural.width, level.height / scene.natural.height)
    wanted = Size(ceil(turned.width * scale), ceil(turned.height * scale))
    return wanted.within(turned)
