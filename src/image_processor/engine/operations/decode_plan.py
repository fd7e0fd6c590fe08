"""Render, step 1: which frames of the original a transformation uses, which part of them, and how that is
oriented. Renditions with equal decode plans share one decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Box, Size, region_box, tilted
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Colour, ColourSpace, Flip, Length, Transformation
from image_processor.engine.codecs.decode import frames_of, open_original, translate_errors, without_bands
from image_processor.engine.codecs.probe import ImageHeader, decode_tolerantly, probe

from .orientation import Orientation
from .pixels import to_srgb

_TRANSPARENT = 0


class SourceSelection(Struct, frozen=True):
    """The parameters of a transformation that are applied before any resizing, and how it is resized."""

    frame: int | None = None
    frames: int | None = None
    orient: bool = True
    trim: int | None = None
    trim_colour: Colour | None = None
    trim_last: bool = False
    trim_equal: Flip | None = None
    region: tuple[Length, Length, Length, Length] | None = None
    rotate: float = 0
    flip: Flip | None = None
    linear: bool = False
    colour: ColourSpace | None = None


WHOLE_IMAGE = SourceSelection()
"""The whole image, upright, with all its frames."""


def source_selection(transformation: Transformation) -> SourceSelection:
    fields = SourceSelection.__struct_fields__
    return SourceSelection(**{field: getattr(transformation, field) for field in fields})


class DecodePlan(Struct, frozen=True):
    """What to decode of one original, and how to bring it into its upright form."""

    header: ImageHeader
    box: Box
    """The part of each stored frame that is used."""
    orientation: Orientation
    """What ``box`` is brought to."""
    fine_rotation: float
    """Degrees clockwise, 0 to 90, by which it is then rotated."""
    size: Size
    """The size after that."""
    first: int
    """The first frame that is used, from 0."""
    frames: int
    """How many frames are used."""
    linear: bool
    """Whether it is resized in linear light."""
    colour: ColourSpace | None = None
    """The colour space of the pixels; None for what the ICC policy says."""

    @property
    def delays(self) -> tuple[int, ...]:
        """The milliseconds of the frames that are used."""
        return self.header.delays[self.first : self.first + self.frames]

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the stored frame is cropped."""
        return self.box.size == self.header.stored


def plan_decode(data: bytes, header: ImageHeader, selection: SourceSelection, limits: Limits) -> DecodePlan:
    """Resolve ``selection`` for this original. Only `trim` reads pixels, those of all used frames. A frame
    number past the last means the last; a TIFF's frames are its pages, each with a header of its own.

    Raises Refused(REGION_OUTSIDE), for a page as `probe` does, and for `trim` TRUNCATED or CORRUPT.
    """
    if header.pages > 1 and selection.frame is not None:
        header = probe(data, limits, page=min(selection.frame, header.pages) - 1)
    upright = Orientation.from_exif(header.orientation if selection.orient else 1)
    first = header.page or min(selection.frame or 1, header.frames) - 1
    frames = 1 if selection.frame else min(selection.frames or header.frames, header.frames)
    used = range(first, first + frames)

    def select(readable: ImageHeader) -> Box:
        return _selected_box(data, readable, selection, upright, used)

    selected = decode_tolerantly(header, limits, select)
    # Flipping after a rotation equals rotating the other way after the flip.
    degrees = (-selection.rotate if selection.flip else selection.rotate) % 360
    quarters, fine_rotation = divmod(degrees, 90)
    orientation = upright.flipped(selection.flip).rotated(int(quarters))
    box = upright.stored_box(selected, header.stored)
    oriented = orientation.apply(box.size)
    size = tilted(oriented, fine_rotation) if fine_rotation else oriented
    how = selection.linear, selection.colour
    return DecodePlan(header, box, orientation, fine_rotation, size, first, frames, *how)


def size_before_fine_rotation(source: DecodePlan, level: Size) -> Size:
    """The size at which the oriented image is rotated, so that ``level`` comes out of it."""
    oriented = source.orientation.apply(source.box.size)
    scale = max(level.width / source.size.width, level.height / source.size.height)
    return Size(ceil(oriented.width * scale), ceil(oriented.height * scale)).within(oriented)


def _selected_box(
    data: bytes, header: ImageHeader, selection: SourceSelection, upright: Orientation, frames: range
) -> Box:
    """The part of the upright frame that is left after trimming and cropping to a region."""
    size = upright.apply(header.stored)
    around = Box(0, 0, size.width, size.height)
    if selection.trim is not None:
        at = (size.width - 1, size.height - 1) if selection.trim_last else (0, 0)
        corner = upright.stored_box(Box(*at, 1, 1), header.stored)
        border = Border(selection.trim, selection.trim_colour, corner.left, corner.top)
        trimmed = upright.inverse.stored_box(_trimmed(data, header, border, frames), size)
        around = _with_equal_sides(trimmed, size, selection.trim_equal)
    box = region_box(selection.region, around.size)
    if box is None:
        region = ":".join(map(str, selection.region or ()))
        message = f"expected a region within {around.width} x {around.height} pixels, got {region}"
        raise Refused(Reason.REGION_OUTSIDE, message)
    return Box(around.left + box.left, around.top + box.top, box.width, box.height)


def _with_equal_sides(box: Box, size: Size, sides: Flip | None) -> Box:
    """``box`` with equal parts cut from the left and right (`h`), from the top and bottom (`v`)."""
    left, top = box.left, box.top
    right, bottom = size.width - box.left - box.width, size.height - box.top - box.height
    if sides is not None and "h" in sides:
        left = right = min(left, right)
    if sides is not None and "v" in sides:
        top = bottom = min(top, bottom)
    return Box(left, top, size.width - left - right, size.height - top - bottom)


class Border(Struct, frozen=True):
    """What `trim` removes: pixels whose channels are all within ``tolerance`` (0-255) of ``colour``, or of
    the colour of the pixel at ``left`` and ``top``."""

    tolerance: int
    colour: Colour | None = None
    left: int = 0
    top: int = 0


def _trimmed(data: bytes, header: ImageHeader, border: Border, frames: range) -> Box:
    """The stored frame without its border: what is no border in any of ``frames``."""
    format_ = FORMATS[header.format]

    def opened(count: int) -> pyvips.Image:
        image = open_original(data, format_, first=frames.start, count=count, fail_on=header.fail_on)
        return without_bands(image, header.idle_bands)

    with translate_errors(format_, header.fail_on):
        # A decoder starts at the top, so a corner at the bottom is read in a pass of its own.
        corner_frame = opened(1) if border.top else None
        corner = to_srgb(corner_frame)(border.left, border.top) if corner_frame else None
        whole = Box(0, 0, header.stored.width, header.stored.height)
        content: list[Box] = []
        for frame in frames_of(opened(len(frames)), len(frames)):
            image = to_srgb(frame)
            corner = corner or image(border.left, border.top)
            content += _content_box(image, border, corner)
        return _union(content) if content else whole


def _content_box(image: pyvips.Image, border: Border, corner: Sequence[float]) -> list[Box]:
    """The smallest box with every pixel that is no border; none where there is no such pixel.

    Transparent pixels are border; where the border's colour is that of a transparent ``corner``, no others
    are. One pass over the stored image.
    """
    # libvips' own find_trim applies a median filter and flattens alpha over black first.
    content = _content_mask(image, border, corner)
    columns, rows = (_counts(projection) for projection in content.project())
    if not any(columns):
        return []
    (left, right), (top, bottom) = _bounds(columns), _bounds(rows)
    return [Box(left, top, right - left, bottom - top)]


def _union(boxes: Sequence[Box]) -> Box:
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.left + box.width for box in boxes), max(box.top + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def _content_mask(image: pyvips.Image, border: Border, corner: Sequence[float]) -> pyvips.Image:
    """One band: 255 where a pixel is not border."""
    colours, alpha = (image[:3], image[3]) if image.hasalpha() else (image, None)
    if alpha is not None and border.colour is None and corner[3] == _TRANSPARENT:
        return alpha > _TRANSPARENT
    colour = border.colour
    reference = [colour.red, colour.green, colour.blue] if colour else corner[:3]
    differs = ((colours - reference).abs() > border.tolerance).bandor()
    return differs if alpha is None else differs & (alpha > _TRANSPARENT)


def _counts(projection: pyvips.Image) -> list[int]:
    return list(memoryview(projection.write_to_memory()).cast("I"))


def _bounds(counts: list[int]) -> tuple[int, int]:
    """The index of the first count that is not 0, and the one after the last."""
    indexes = [index for index, count in enumerate(counts) if count]
    return indexes[0], indexes[-1] + 1
