"""Delivery, step 2: imgix's sizes and crops, once the original's size is known.

Source: imgix's rendering API, "Size", "Focal point crop", "Rotation" and "Watermark".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.source_crop import output_size, source_size
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.geometry import Size, place, tilted
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    MAX_SIDE,
    Fit,
    Length,
    Overlay,
    RelativeLength,
    Step,
    Transformation,
    in_pixels,
)


class Layout(Struct, frozen=True, kw_only=True):
    """The parameters of one URL that decide sizes."""

    width: Length | None = None
    """Pixels, a share of the original's side, or None; as ``height``."""
    height: Length | None = None
    fit: str = "clip"
    ratio: Fraction | None = None
    minimum: tuple[int | None, int | None] = (None, None)
    """The least sides of a crop."""
    maximum: tuple[int | None, int | None] = (None, None)
    """The largest sides of a crop."""
    focus: tuple[float, float, float] | None = None
    """The focal point and its zoom."""
    straighten: float = 0
    """Degrees counter-clockwise by which the image is rotated within its frame."""
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, right, bottom and left, within the size."""
    has_alpha_trim: bool = False
    """Whether only transparent pixels are trimmed."""
    bars_at: int | None = None
    """How many steps precede the bars around the image; None if the bars are a field."""
    capped: bool = False
    """Whether no side of the frame is longer than that of the original."""
    conditional: tuple[Overlay, int, int] | None = None
    """An overlay, with the least width and height of an image that shows it."""

    @property
    def is_needed(self) -> bool:
        """Whether the fields depend on the original's size."""
        sides = (self.width, self.height)
        return (
            any(isinstance(side, RelativeLength) for side in sides)
            or any(limit is not None for limit in (*self.minimum, *self.maximum))
            or (self.fit == "fillmax" and (self.width is None) != (self.height is None))
            or (self.fit in {"fill", "fillmax", "clamp"} and self.ratio is not None and sides == (None, None))
            or self.focus is not None
            or bool(self.straighten)
            or self.has_alpha_trim
            or self.bars_at is not None
            or self.capped
            or self.conditional is not None
        )

    def plain_sides(self) -> dict[str, Any]:
        """Width, height and ratio as fields, as far as they do not depend on the original."""
        sides = {"width": self._within(self.width, 1), "height": self._within(self.height, 0)}
        fields: dict[str, Any] = {name: side for name, side in sides.items() if side is not None}
        return {**fields, "ratio": self.ratio} if self.ratio is not None else fields

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The fields for ``original``. After a trim its size is not known: then shares of it and limits
        that need it are left out."""
        del format_
        if self.has_alpha_trim and not original.alpha:
            values = {name: value for name, value in values.items() if name != "trim"}
        if "trim" in values:
            return values
        values = self._with_sides(values, original)
        if self.bars_at is not None:
            values = self._with_bars(values, self.bars_at, original)
        if self.focus is not None:
            values = self._focused(values, original)
        if self.straighten:
            values = self._straightened(values, original)
        return self._with_overlays(values, original)

    # Sides

    def _within(self, side: Length | None, first: int) -> int | None:
        """A side in pixels without the padding at its two ends."""
        if side is None or isinstance(side, RelativeLength):
            return None
        return max(1, side - sum(self.padding[first::2]))

    def _with_sides(self, values: Mapping[str, Any], original: ImageMetadata) -> Mapping[str, Any]:
        source = source_size(values, original)
        width, height = (
            side if side is None else in_pixels(side, of)
            for side, of in ((self.width, source.width), (self.height, source.height))
        )
        width, height = self._with_ratio(width, height, source)
        width, height = self._limited(width, height, source)
        if self.capped and width and height:
            width, height = min(width, source.width), min(height, source.height)
        sides = {
            "width": self._within(width and max(1, width), 1),
            "height": self._within(height and max(1, height), 0),
        }
        kept = {name: value for name, value in values.items() if name not in {"width", "height", "ratio"}}
        found: dict[str, Any] = {name: min(side, MAX_SIDE) for name, side in sides.items() if side}
        if not found and self.ratio is not None:
            found["ratio"] = self.ratio
        # A limit alone is a crop.
        fit = {"fit": Fit.COVER, "enlarge": True} if found and "fit" not in values else {}
        return {**kept, **fit, **found}

    def _with_ratio(
        self, width: int | None, height: int | None, source: Size
    ) -> tuple[int | None, int | None]:
        if self.ratio is not None:
            if width is None and height is None and self.fit in {"fill", "fillmax", "clamp"}:
                # The largest frame of this ratio within the original.
                across = min(Fraction(source.width), source.height * self.ratio)
                return _rounded(across), _rounded(across / self.ratio)
            width = _rounded(height * self.ratio) if width is None and height else width
            height = _rounded(width / self.ratio) if height is None and width else height
        if self.fit == "fillmax" and width and height is None:
            height = _rounded(Fraction(width * source.height, source.width))
        elif self.fit == "fillmax" and height and width is None:
            width = _rounded(Fraction(height * source.width, source.height))
        return width, height

    def _limited(self, width: int | None, height: int | None, source: Size) -> tuple[int | None, int | None]:
        if all(limit is None for limit in (*self.minimum, *self.maximum)):
            return width, height
        if width is None:
            width = _rounded(Fraction((height or source.height) * source.width, source.height))
        if height is None:
            height = _rounded(Fraction(width * source.height, source.width)) if self.width else source.height
        return (
            _between(width, self.minimum[0], self.maximum[0]),
            _between(height, self.minimum[1], self.maximum[1]),
        )

    def _with_bars(self, values: Mapping[str, Any], at: int, original: ImageMetadata) -> Mapping[str, Any]:
        """With the bars as a step behind the first ``at`` ones, which change the image alone."""
        placement = place(source_size(values, original), _transformation(values))
        level, output = placement.level, placement.output
        left, top = (output.width - level.width) // 2, (output.height - level.height) // 2
        bars = Step("canvas", (output.width, output.height, left, top))
        steps = list(values.get("steps", ()))
        steps.insert(at, bars)
        sides = {"width": level.width, "height": level.height, "fit": Fit.FILL, "enlarge": True}
        return {**values, **sides, "steps": tuple(steps)}

    # Crops

    def _focused(self, values: Mapping[str, Any], original: ImageMetadata) -> Mapping[str, Any]:
        """The part of the original around the focal point, smaller by its zoom, as the region."""
        assert self.focus is not None
        x, y, zoom = self.focus
        source = source_size(values, original)
        wanted = place(source, _transformation(values)).output
        scale = min(Fraction(source.width, wanted.width), Fraction(source.height, wanted.height))
        part = Size(
            *(max(1, round(side * scale / Fraction(str(zoom)))) for side in (wanted.width, wanted.height))
        ).within(source)
        left, top = _around(x, part.width, source.width), _around(y, part.height, source.height)
        region = values.get("region")
        if region is not None:
            left += in_pixels(region[0], original.width)
            top += in_pixels(region[1], original.height)
        box = (left, top, part.width, part.height)
        size = {"width": wanted.width, "height": wanted.height, "fit": Fit.FILL, "enlarge": True}
        return {**values, "region": box, **size}

    def _straightened(self, values: Mapping[str, Any], original: ImageMetadata) -> Mapping[str, Any]:
        """Scaled until it covers the frame after its rotation; then the frame is cut out of its middle."""
        frame = place(source_size(values, original), _transformation(values)).output
        radians = math.radians(self.straighten)
        sine, cosine = abs(math.sin(radians)), abs(math.cos(radians))
        scale = max(
            (frame.width * cosine + frame.height * sine) / frame.width,
            (frame.width * sine + frame.height * cosine) / frame.height,
        )
        # Rounded first, so that floating-point noise does not add a pixel.
        sides = (math.ceil(round(side * scale, 6)) for side in (frame.width, frame.height))
        level = Size(*(min(MAX_SIDE, side) for side in sides))
        degrees = -self.straighten % 360
        around = tilted(level, degrees) if degrees % 90 else (level.turned() if degrees % 180 else level)
        inner = frame.within(around)
        left, top = (around.width - inner.width) // 2, (around.height - inner.height) // 2
        steps = (
            Step("rotate", (round(degrees, 3),)),
            Step("crop", (left, top, inner.width, inner.height)),
            *values.get("steps", ()),
        )
        # One pixel more on a side is no crop: stretched to the level, or cropped to it.
        fit = Fit.COVER if values.get("fit") is Fit.COVER else Fit.FILL
        size = {"width": level.width, "height": level.height, "fit": fit, "enlarge": True}
        return {**values, **size, "steps": steps}

    # Overlays

    def _with_overlays(self, values: Mapping[str, Any], original: ImageMetadata) -> Mapping[str, Any]:
        if self.conditional is None:
            return values
        overlay, width, height = self.conditional
        try:
            size = output_size(_transformation({**values, "padding": None}), original)
        except InvalidTransformation:
            return values
        dpr = values.get("dpr", 1)
        if size is None or (size.width * dpr >= width and size.height * dpr >= height):
            return values
        steps = tuple(step for step in values.get("steps", ()) if step.value != overlay)
        overlays = tuple(other for other in values.get("overlays", ()) if other != overlay)
        return {**values, "steps": steps, "overlays": overlays}


def with_condition(layout: Layout | None, overlay: Overlay, width: int, height: int) -> Layout:
    """``layout`` that shows ``overlay`` only in images of at least this size."""
    return replace(layout or Layout(), conditional=(overlay, width, height))


def _transformation(values: Mapping[str, Any]) -> Transformation:
    return Transformation(**{**values, "format": "png", "dpr": 1})


def _rounded(value: Fraction) -> int:
    return max(1, math.floor(value + Fraction(1, 2)))


def _between(side: int, least: int | None, most: int | None) -> int:
    limited = side if most is None else min(side, most)
    return limited if least is None else max(limited, least)


def _around(share: float, inner: int, outer: int) -> int:
    return min(max(0, round(share * outer - inner / 2)), outer - inner)
