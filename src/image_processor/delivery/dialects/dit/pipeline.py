"""Delivery, step 2: DIT's edits in the order in which sharp applies them, once the original's size is known.

DIT calls sharp's methods in the order of the edits, but sharp has an order of its own: rotate (before or
after, by the order of the calls), trim, extract, flatten, greyscale, resize, flip, quarter turns, crop or
bars, other angles, extract, extend, median, threshold, blur, convolve, recomb, modulate, sharpen, composite,
linear, normalise, tint, negate. As long as the fields of a transformation have the same order they are used,
so that a rendition has the same name as one of our own URLs; what comes after is steps. Source: sharp's
documentation, and what sharp 0.34 does with the URLs of `tests/delivery/vectors/dit.json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.source_crop import box_before_turning
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.geometry import Box, Size, place
from image_processor.domain.models import ImageMetadata
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import (
    BLACK,
    SMART,
    Colour,
    Edge,
    Fit,
    Flip,
    Gravity,
    Step,
    Transformation,
)

from .overlay import Watermark

_FIELD_ORDER = (
    "tint", "negate", "median", "blur", "sharpen", "convolve", "bars", "overlays", "padding",
)  # fmt: skip
"""The order in which a transformation applies these fields; `bars` are those of Fit.CONTAIN."""
_RANKS = {name: rank for rank, name in enumerate(_FIELD_ORDER)}

_BOXED = frozenset({Fit.COVER, Fit.CONTAIN})

GREY = Step("lch", (1, 0, 0, 0))
"""Grey of the same lightness, as libvips makes it."""

Area = tuple[int, int, int, int]
"""Left, top, width and height."""


class Resize(Struct, frozen=True):
    """A resize. ``width`` and ``height`` are 0 where free; ``background`` None is transparent. With ``ratio``
    the sides are those of the image times it."""

    width: int = 0
    height: int = 0
    fit: Fit = Fit.COVER
    enlarge: bool = True
    gravity: Gravity = Gravity.CENTRE
    background: Colour | None = BLACK
    ratio: float = 1

    @property
    def is_boxed(self) -> bool:
        """Whether it crops or adds bars."""
        return bool(self.width and self.height) and self.fit in _BOXED


class Extension(Struct, frozen=True):
    """Pixels added at the top, right, bottom and left; ``background`` None is transparent."""

    sides: tuple[int, int, int, int]
    edge: Edge = Edge.BACKGROUND
    background: Colour | None = BLACK


class Circle(Struct, frozen=True):
    """An ellipse that is kept: its centre and radii in pixels, 0 for the default of each."""

    left: float = 0
    top: float = 0
    across: float = 0
    down: float = 0


class Operation(Struct, frozen=True):
    """An operation on pixels: ``step``, or the same as a ``field`` of a transformation and its value; then
    the step ``second`` if there is one."""

    step: Step
    field: str = ""
    value: Any = None
    second: Step | None = None


class Pipeline(Struct, frozen=True):
    """What one URL makes of an original."""

    turn: float = 0
    """Degrees clockwise."""
    turns_first: bool = False
    """Whether trim, crop and resize come after the turn."""
    flip: Flip | None = None
    trim: Mapping[str, Any] = {}
    region: Area | None = None
    """A crop before the resize."""
    flatten: Colour | None = None
    grey: bool = False
    resize: Resize | None = None
    crop: Area | None = None
    """A crop after the resize."""
    extension: Extension | None = None
    before: tuple[Operation, ...] = ()
    watermark: Watermark | None = None
    watermark_first: bool = False
    """Whether size and place of the watermark follow from the image before the resize."""
    after: tuple[Operation, ...] = ()
    circle: Circle | None = None
    animated: bool | None = None
    """The edit of this name."""
    following: Pipeline | None = None
    """The edits after ``circle``, which sharp applies to its result."""

    @property
    def needs_original(self) -> bool:
        """Whether the fields depend on the original."""
        resize, extension = self.resize, self.extension
        of_size = self.turn or self.region or self.crop or self.circle or self.watermark_first
        of_sides = resize and resize.fit is Fit.FILL and not (resize.width and resize.height)
        bars = resize and resize.is_boxed and resize.fit is Fit.CONTAIN and resize.background
        padded = extension and (extension.background or extension.edge is not Edge.BACKGROUND)
        return bool(of_size or of_sides or bars or padded)

    def fields(self, original: ImageMetadata | None) -> dict[str, Any]:
        """The fields of the transformation; ``original`` may be None unless `needs_original`. Raises
        InvalidRequest for an area outside the image."""
        layout = _Layout(original)
        layout.run(self)
        return {**layout.fields, **({"steps": tuple(layout.steps)} if layout.steps else {})}

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """``values`` and the fields for ``original``."""
        del format_
        return {**values, **self.fields(original)}


class _Layout:
    """Collects fields and steps. ``size`` is the image's so far, None where it is not known."""

    def __init__(self, original: ImageMetadata | None) -> None:
        self.fields: dict[str, Any] = {}
        self.steps: list[Step] = []
        self.rank = -1
        self.size = Size(original.width, original.height) if original else None
        self.alpha = bool(original and original.alpha)
        self.is_jpeg = bool(original and original.format == "jpeg")
        self.is_moving = bool(original and original.format == "gif" and original.frames > 1)

    def run(self, pipeline: Pipeline) -> None:
        self.is_moving = self.is_moving and pipeline.animated is not False
        if self.is_moving:  # DIT does not turn or round animations
            pipeline = replace(pipeline, turn=0, circle=None)
        base = self.size
        self._before_resize(pipeline)
        self._resize(pipeline)
        self._turn_after(pipeline)
        self._crop(pipeline.crop)
        self._extend(pipeline.extension, is_grey=pipeline.grey)
        self._pixels(pipeline, base)
        self._circle(pipeline.circle)
        if pipeline.following is not None:
            self.run(pipeline.following)

    def _before_resize(self, pipeline: Pipeline) -> None:
        self._turn_first(pipeline)
        if pipeline.trim:
            self.fields |= pipeline.trim
            self.size = None
        self._region(pipeline)
        if pipeline.flatten is not None:
            # At the end, which gives the same pixels unless new ones are transparent.
            self.fields["background"] = pipeline.flatten

    def _pixels(self, pipeline: Pipeline, base: Size | None) -> None:
        if pipeline.grey:  # sharp does it before the resize, which gives the same
            self.steps.append(GREY)
        for operation in pipeline.before:
            self._add(operation)
        if pipeline.watermark is not None:
            overlay = pipeline.watermark.overlay(base if pipeline.watermark_first else self.size)
            self._add(Operation(Step("over", overlay), "overlays", (overlay,)))
        for operation in pipeline.after:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        """As a field if no later one and no step is there, else as a step."""
        rank = _RANKS.get(operation.field, -1)
        if rank > self.rank and not self.steps:
            self.fields[operation.field] = operation.value
            self.rank = rank
        else:
            self.steps.append(operation.step)
        if operation.second is not None:
            self.steps.append(operation.second)

    # Turns. A transformation crops the region, turns and flips, in this order; sharp flips, then turns.

    def _turn_first(self, pipeline: Pipeline) -> None:
        if not pipeline.turns_first:
            return
        if pipeline.flip is not None:
            self._flip(pipeline.flip)
        if pipeline.turn % 90 or self.steps:
            self._tilt(pipeline.turn)
        elif pipeline.turn:
            self._turn_field(pipeline)

    def _turn_after(self, pipeline: Pipeline) -> None:
        if pipeline.turns_first:
            return
        if pipeline.flip is not None:
            self._flip(pipeline.flip)
        if pipeline.turn % 90 or self.steps:
            self._tilt(pipeline.turn)
        elif pipeline.turn == 180 or (pipeline.turn and pipeline.resize is None):
            self._turn_field(pipeline)
        elif pipeline.turn:
            self._tilt(pipeline.turn)
            self._fit_turned(pipeline.resize)

    def _flip(self, flip: Flip) -> None:
        if self.steps:
            self.steps.append(Step("flip", flip))
        else:
            self.fields["flip"] = flip

    def _turn_field(self, pipeline: Pipeline) -> None:
        """A quarter turn as a field. With one flip the turn goes the other way, as it comes before it."""
        mirrored = pipeline.flip in {Flip.HORIZONTAL, Flip.VERTICAL}
        self.fields["rotate"] = _whole(-pipeline.turn % 360 if mirrored else pipeline.turn)
        if pipeline.turn % 180:
            self.size = self.size and self.size.turned()

    def _tilt(self, degrees: float) -> None:
        """A turn as a step. Corners of other angles are black."""
        if not degrees:
            return
        if degrees % 90 == 0:
            self.steps.append(Step("rotate", (_whole(degrees),)))
            self.size = self.size and (self.size.turned() if degrees % 180 else self.size)
            return
        self.steps.append(Step("rotate", (_whole(degrees), BLACK)))
        if self.size is not None:
            self.size = _tilted(self.size, degrees)
            self.steps.append(Step("crop", (0, 0, self.size.width, self.size.height)))

    def _fit_turned(self, resize: Resize | None) -> None:
        """sharp scales to the size, turns, and only then crops or adds bars."""
        if resize is None or not resize.is_boxed or self.size is None:
            return
        size, box = self.size, Size(resize.width, resize.height)
        if resize.fit is Fit.CONTAIN:
            at = _embedded(size, box, resize.gravity)
            box = Size(max(size.width, box.width), max(size.height, box.height))
            self._canvas(box, at, resize.background)
        elif resize.gravity in SMART:
            self.steps.append(Step("smart", (*_sides(box.within(size)), resize.gravity)))
        else:
            box = box.within(size)
            self.steps.append(Step("crop", (*_centred_late(size, box, resize.gravity), *_sides(box))))
        self.size = box

    # Sizes

    def _region(self, pipeline: Pipeline) -> None:
        if pipeline.region is None:
            return
        box = self._checked(pipeline.region)
        if self.steps:
            self.steps.append(Step("crop", pipeline.region))
        elif self.size is not None and pipeline.turns_first:
            first = box_before_turning(box, self.size, self.fields.get("flip"), self.fields.get("rotate", 0))
            self.fields["region"] = (first.left, first.top, first.width, first.height)
        else:
            self.fields["region"] = pipeline.region
        self.size = box.size

    def _crop(self, area: Area | None) -> None:
        if area is None:
            return
        box = self._checked(area)
        self.steps.append(Step("crop", area))
        self.size = box.size

    def _checked(self, area: Area) -> Box:
        box = Box(*area)
        size = self.size
        if size and (box.left + box.width > size.width or box.top + box.height > size.height):
            raise InvalidRequest.one("crop", f"an area within {size.width} x {size.height} pixels", area)
        return box

    def _resize(self, pipeline: Pipeline) -> None:
        resize = pipeline.resize and self._with_sides(pipeline.resize)
        if resize is None:
            return
        turned = resize.is_boxed and pipeline.turn % 180 == 90 and not pipeline.turns_first
        fit = resize.fit
        bars = fit is Fit.CONTAIN and resize.is_boxed
        if (turned and resize.is_boxed) or (bars and (self.alpha or self.steps) and resize.background):
            fit = Fit.INSIDE if fit is Fit.CONTAIN else Fit.OUTSIDE
        sides = {name: side for name, side in (("width", resize.width), ("height", resize.height)) if side}
        fields: dict[str, Any] = {**sides, "fit": fit, "enlarge": resize.enlarge}
        if self.steps:
            self._resize_step(fields, resize)
        else:
            gravity = {} if resize.gravity is Gravity.CENTRE else {"gravity": resize.gravity}
            self.fields |= fields | (gravity if fit is resize.fit else {})
            self.size = self.size and place(self.size, Transformation(**fields)).output
        if turned or not bars:
            return
        if fit is Fit.CONTAIN:
            self.rank = max(self.rank, _RANKS["bars"])
            colour = _greyed(resize.background, is_grey=pipeline.grey)
            self.fields |= {"background": colour} if colour else {}
        elif self.size is not None:
            outer = Size(max(self.size.width, resize.width), max(self.size.height, resize.height))
            self._canvas(outer, _embedded(self.size, outer, resize.gravity), resize.background)

    def _with_sides(self, resize: Resize) -> Resize | None:
        """With the sides that follow from the image. None if there is nothing to resize."""
        if resize.fit is Fit.FILL and self.size is not None and (resize.width or resize.height):
            width, height = resize.width or self.size.width, resize.height or self.size.height
            return replace(resize, width=width, height=height)
        if resize.ratio == 1:
            return resize if resize.width or resize.height else None
        if not self.steps:
            self.fields |= {"zoom": resize.ratio, "enlarge": True}
            self.size = self.size and place(self.size, Transformation(**self.fields)).output
            return None
        assert self.size is not None
        sides = [max(1, round_half_up(side * resize.ratio)) for side in _sides(self.size)]
        return replace(resize, width=sides[0], height=sides[1], fit=Fit.INSIDE)

    def _resize_step(self, fields: dict[str, Any], resize: Resize) -> None:
        """The resize of an image that other steps have made."""
        if self.size is None:
            return
        placement = place(self.size, Transformation(**fields))
        if placement.level != self.size:
            self.steps.append(Step("resize", _sides(placement.level)))
        level, output = placement.level, placement.output
        if output != level and level.covers(output):
            at = _centred_late(level, output, resize.gravity)
            smart = resize.gravity in SMART
            made = Step("smart", (*_sides(output), resize.gravity)) if smart else None
            self.steps.append(made or Step("crop", (*at, *_sides(output))))
        self.size = output

    def _extend(self, extension: Extension | None, *, is_grey: bool) -> None:
        if extension is None or not any(extension.sides):
            return
        top, right, bottom, left = extension.sides
        colour = _greyed(extension.background, is_grey=is_grey)
        size = self.size
        outer = size and Size(size.width + left + right, size.height + top + bottom)
        by_colour = extension.edge is Edge.BACKGROUND
        if outer and by_colour and (self.steps or (self.alpha and colour)):
            self._canvas(outer, (left, top), colour)
        else:
            self.fields |= {"padding": extension.sides, "edge": extension.edge}
            # Nothing becomes transparent, so a JPEG stays one.
            opaque = colour if by_colour else None if self.alpha else BLACK
            self.fields |= {"background": opaque} if opaque else {}
            self.rank = _RANKS["padding"]
        self.size = outer

    def _canvas(self, outer: Size, at: tuple[int, int], colour: Colour | None) -> None:
        if outer == self.size:
            return
        self.steps.append(Step("canvas", (*_sides(outer), *at, *([colour] if colour else []))))
        self.size = outer

    def _circle(self, circle: Circle | None) -> None:
        """Keep an ellipse, and crop to it. A JPEG gets black corners."""
        if circle is None:
            return
        if self.size is None:
            raise InvalidRequest.one("roundCrop", "no trim with it", "trim")
        width, height = _sides(self.size)
        radius = min(width, height) / 2
        across, down = circle.across or radius, circle.down or radius
        x, y = circle.left or width / 2, circle.top or height / 2
        self.steps.append(Step("ellipse", (_whole(x), _whole(y), _whole(across), _whole(down))))
        left, top = max(0, math.floor(x - across)), max(0, math.floor(y - down))
        right, bottom = min(width, math.ceil(x + across)), min(height, math.ceil(y + down))
        if right > left and bottom > top:
            self.steps.append(Step("crop", (left, top, right - left, bottom - top)))
            self.size = Size(right - left, bottom - top)
        if self.is_jpeg:
            self.steps.append(Step("bg", BLACK))
            self.fields["background"] = BLACK
        self.alpha = not self.is_jpeg


def _sides(size: Size) -> tuple[int, int]:
    return size.width, size.height


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def _tilted(size: Size, degrees: float) -> Size:
    """The box around the rotated image, rounded to the nearest pixel as libvips does."""
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    across, down = size.width * cosine + size.height * sine, size.width * sine + size.height * cosine
    return Size(max(1, math.floor(across + 0.5)), max(1, math.floor(down + 0.5)))


def _centred_late(outer: Size, inner: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of a crop; an odd pixel of a centred side goes to the left or the top, as in sharp."""
    free = (outer.width - inner.width, outer.height - inner.height)
    left = 0 if "west" in gravity else free[0] if "east" in gravity else (free[0] + 1) // 2
    top = 0 if "north" in gravity else free[1] if "south" in gravity else (free[1] + 1) // 2
    return left, top


def _embedded(inner: Size, outer: Size, gravity: Gravity) -> tuple[int, int]:
    """Left and top of an image with bars, negative along a side that is larger than ``outer``."""
    free = (outer.width - inner.width, outer.height - inner.height)
    left = 0 if "west" in gravity else free[0] if "east" in gravity else int(free[0] / 2)
    top = 0 if "north" in gravity else free[1] if "south" in gravity else int(free[1] / 2)
    return left, top


def _greyed(colour: Colour | None, *, is_grey: bool) -> Colour | None:
    """``colour`` in an image that sharp has made grey before."""
    if colour is None or not is_grey:
        return colour
    grey = round(0.2126 * colour.red + 0.7152 * colour.green + 0.0722 * colour.blue)
    return Colour(grey, grey, grey)
