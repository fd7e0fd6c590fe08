"""Delivery, step 2: imgproxy's sizes and crops, once the original's size is known.

imgproxy scales, crops and extends by rules of its own where `dpr`, `zoom`, minimum sides, a crop or an
extension meet. This module computes the same whole numbers and expresses them as fields of a
transformation and, where those cannot, as steps. Source: imgproxy's documentation, "Processing options" and
"About processing pipeline", and the sizes that its tests expect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from image_processor.delivery.source_crop import box_before_turning
from image_processor.domain.errors import InvalidRequest, InvalidTransformation
from image_processor.domain.geometry import Box, Placement, Size, place
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    MAX_SIDE,
    SMART,
    Fit,
    Gravity,
    Length,
    RelativeLength,
    Step,
    Transformation,
)

_FIELDS = frozenset({
    "region", "width", "height", "ratio", "min_width", "min_height", "zoom", "dpr", "fit",
    "gravity", "gravity_x", "gravity_y", "focal_point", "enlarge", "overlays", "padding",
})  # fmt: skip
"""The fields that `SizeRules.apply` decides."""


class Anchored(Struct, frozen=True):
    """A gravity with offsets inwards: pixels, or a share of the side below 1. Or a focal point."""

    gravity: Gravity = Gravity.CENTRE
    x: float = 0
    y: float = 0
    focal_point: tuple[float, float] | None = None


class SizeRules(Struct, frozen=True):
    """The options of one URL that decide sizes and places."""

    width: int = 0
    """Pixels, 0 where free; as ``height``."""
    height: int = 0
    kind: str = "fit"
    """The resizing type."""
    enlarge: bool = False
    zoom: tuple[float, float] = (1, 1)
    dpr: float = 1
    minimum: tuple[int, int] = (0, 0)
    gravity: Anchored = Anchored()
    crop: tuple[float, float] | None = None
    """A width and a height: pixels, a share of the side below 1, or 0 for the whole side."""
    crop_gravity: Anchored = Anchored()
    extend: Anchored | None = None
    """Where the image lies in the extended one; None: not extended. As ``extend_ratio``."""
    extend_ratio: Anchored | None = None
    max_side: int = 0
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    skipped: frozenset[str] = frozenset()
    """The formats that are not processed."""
    raw: bool = False
    """Whether no format is processed."""
    max_source: Mapping[str, float] = {}
    """The limits for the original, by option."""

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The fields for ``original``. With `trim` its size is unknown; then they stay as they are.

        Raises InvalidRequest if the original exceeds ``max_source``.
        """
        self._check(original)
        if self.raw or (original.format in self.skipped and format_ in {None, original.format}):
            return {}
        if "trim" in values:
            return values
        upright = Size(original.width, original.height)
        source = upright.turned() if values.get("rotate", 0) % 180 == 90 else upright
        result = _Result(self, source, is_vector=original.format == "svg")
        kept = {name: value for name, value in values.items() if name not in _FIELDS}
        return {**kept, **result.fields(values, upright)}

    def _check(self, original: ImageMetadata) -> None:
        megapixels = original.width * original.height / 10**6
        found = {
            "max_src_resolution": megapixels,
            "max_animation_frame_resolution": megapixels if original.frames > 1 else 0,
            "max_src_file_size": original.bytes,
            "max_animation_frames": original.frames,
        }
        for name, most in self.max_source.items():
            if found[name] > most:
                raise InvalidRequest.one(name, f"an original of at most {most:g}", found[name])


class _Result:
    """The sizes that `SizeRules` give for one source. Sides are whole pixels."""

    def __init__(self, rules: SizeRules, source: Size, *, is_vector: bool) -> None:
        self.rules = rules
        self.source = source
        self.crop = self._crop_size()
        self.scales, self.dpr = self._scale(is_vector=is_vector)
        self._measure()
        self._limit()

    def fields(self, values: Mapping[str, Any], upright: Size) -> dict[str, Any]:
        """The fields of the transformation. ``values`` are the URL's, ``upright`` is the original's size."""
        fields: dict[str, Any] = {}
        steps: list[Step] = list(values.get("steps", ()))
        smart_crop = self.rules.crop_gravity.gravity in SMART and self.crop != self.source
        if smart_crop:
            gravity = self.rules.crop_gravity.gravity
            steps.append(Step("smart", (self.crop.width, self.crop.height, gravity)))
            steps.append(Step("resize", (self.level.width, self.level.height)))
            steps += self._crop_steps()
        else:
            fields |= self._region(values, upright)
            fields |= self._sizes()
            if "fit" in fields and fields["fit"] is Fit.FILL and self.output != self.level:
                steps += self._crop_steps()
        canvas = self._canvas()
        top, right, bottom, left = padding = self._padding()
        overlays = values.get("overlays", ())
        if canvas is not None:
            steps.append(canvas)
        if any(padding) and (steps or overlays):
            around = (self.final.width + left + right, self.final.height + top + bottom)
            steps.append(Step("canvas", (*around, left, top)))
        elif any(padding):
            fields["padding"] = padding
        scaled = tuple(overlay.scaled(self.dpr) for overlay in overlays) if self.dpr != 1 else overlays
        if steps:
            steps += [Step("over", overlay) for overlay in scaled]
        elif scaled:
            fields["overlays"] = scaled
        return {**fields, **({"steps": tuple(steps)} if steps else {})}

    # Numbers

    def _crop_size(self) -> Size:
        width, height = self.rules.crop or (0, 0)
        return Size(_cropped(width, self.source.width), _cropped(height, self.source.height))

    def _scale(self, *, is_vector: bool) -> tuple[tuple[float, float], float]:
        """The factors by which the cropped source shrinks across and down, and the `dpr` that applies."""
        rules, size = self.rules, self.crop
        target = (rules.width or size.width, rules.height or size.height)
        across, down = size.width / target[0], size.height / target[1]
        across, down = self._by_kind(across, down, target)
        across, down = across / rules.zoom[0], down / rules.zoom[1]
        dpr = rules.dpr
        if not rules.enlarge and not is_vector:
            least = min(across, down)
            if least < 1:
                across, down = across / least, down / least
                # The image is smaller than asked for: a dpr below 1 shrinks it less. An extended image keeps
                # its composition whatever the dpr.
                dpr = dpr if rules.extend is not None else dpr / least
            dpr = min(dpr, across, down)
        across, down = self._with_minimum(across, down)
        return (min(across / dpr, size.width), min(down / dpr, size.height)), dpr

    def _by_kind(self, across: float, down: float, target: tuple[int, int]) -> tuple[float, float]:
        rules, kind = self.rules, self.rules.kind
        if kind == "auto":
            wide_source = self.crop.width >= self.crop.height
            kind = "fill" if wide_source == (target[0] >= target[1]) else "fit"
        if kind == "force":
            return across, down
        if not rules.width:
            return down, down
        if not rules.height:
            return across, across
        one = max(across, down) if kind == "fit" else min(across, down)
        return one, one

    def _with_minimum(self, across: float, down: float) -> tuple[float, float]:
        width, height = self.rules.minimum
        if width and self.crop.width / width < across:
            least = self.crop.width / width
            across, down = least, down * least / across
        if height and self.crop.height / height < down:
            least = self.crop.height / height
            across, down = across * least / down, least
        return across, down

    def _measure(self) -> None:
        """The scaled size, what is cropped from it, and what it is extended to."""
        rules = self.rules
        self.target = (
            _scaled(rules.width, self.dpr * rules.zoom[0]),
            _scaled(rules.height, self.dpr * rules.zoom[1]),
        )
        self.level = Size(
            max(1, _scaled(self.crop.width, 1 / self.scales[0])),
            max(1, _scaled(self.crop.height, 1 / self.scales[1])),
        )
        crop = self._fill_down() if rules.kind == "fill-down" and not rules.enlarge else self.target
        self.output = Size(
            min(crop[0] or self.level.width, self.level.width),
            min(crop[1] or self.level.height, self.level.height),
        )
        self.final = self._extended()

    def _fill_down(self) -> tuple[int, int]:
        width, height = self.target
        across, down = width / self.level.width, height / self.level.height
        if across > down and across > 1 and width:
            return self.level.width, _scaled(self.level.width, height / width)
        if down > across and down > 1 and height:
            return _scaled(self.level.height, width / height), self.level.height
        return width, height

    def _extended(self) -> Size:
        width, height = self.target
        output = self.output
        if self.rules.extend is not None:
            output = Size(max(output.width, width), max(output.height, height))
        if self.rules.extend_ratio is not None and width and height:
            across, down = width / output.width, height / output.height
            if down > across:
                output = Size(output.width, max(output.height, _scaled(output.width, height / width)))
            elif across > down:
                output = Size(max(output.width, _scaled(output.height, width / height)), output.height)
        return output

    def _limit(self) -> None:
        """Shrink all of it until no side exceeds ``max_side``."""
        top, right, bottom, left = self._padding()
        longest = max(self.final.width + left + right, self.final.height + top + bottom)
        if not self.rules.max_side or longest <= self.rules.max_side:
            return
        factor = self.rules.max_side / longest
        self.scales = (self.scales[0] / factor, self.scales[1] / factor)
        self.dpr *= factor
        self._measure()

    # Fields and steps

    def _region(self, values: Mapping[str, Any], upright: Size) -> dict[str, Any]:
        if self.crop == self.source:
            return {}
        left, top = _position(self.source, self.crop, self.rules.crop_gravity, 1)
        box = Box(left, top, self.crop.width, self.crop.height)
        box = box_before_turning(box, self.source, values.get("flip"), values.get("rotate", 0))
        assert box.left + box.width <= upright.width
        return {"region": (box.left, box.top, box.width, box.height)}

    def _sizes(self) -> dict[str, Any]:
        """Fields that scale and crop to these sizes: a fit if one does, else the size itself."""
        if self.level == self.crop and self.output == self.level:
            return {}
        gravity = _gravity_fields(self.rules.gravity, self.dpr)
        enlarge = {"enlarge": True} if not self.crop.covers(self.level) else {}
        sides = {"width": self.output.width, "height": self.output.height}
        wanted = Placement(self.level, self.output)
        candidates: list[dict[str, Any]] = [
            {"width": self.output.width, **enlarge},
            {"height": self.output.height, **enlarge},
            {**sides, "fit": Fit.INSIDE, **enlarge},
            {**sides, "fit": Fit.COVER, **gravity, **enlarge},
        ]
        for fields in candidates:
            if self.output != self.level and "fit" not in fields:
                continue
            try:
                if place(self.crop, Transformation(**fields)) == wanted:
                    return fields
            except InvalidTransformation:
                continue
        if self.output != self.level and self.rules.gravity.gravity in SMART:
            return {**sides, "fit": Fit.COVER, **gravity, "enlarge": True}
        return {"width": self.level.width, "height": self.level.height, "fit": Fit.FILL, "enlarge": True}

    def _crop_steps(self) -> list[Step]:
        if self.output == self.level:
            return []
        if self.rules.gravity.gravity in SMART:
            return [Step("smart", (self.output.width, self.output.height, self.rules.gravity.gravity))]
        left, top = _position(self.level, self.output, self.rules.gravity, self.dpr)
        return [Step("crop", (left, top, self.output.width, self.output.height))]

    def _canvas(self) -> Step | None:
        if self.final == self.output:
            return None
        anchor = self.rules.extend if self.rules.extend is not None else self.rules.extend_ratio
        left, top = _position(self.final, self.output, anchor or Anchored(), self.dpr)
        return Step("canvas", (self.final.width, self.final.height, left, top))

    def _padding(self) -> tuple[int, int, int, int]:
        top, right, bottom, left = (round(side * self.dpr) for side in self.rules.padding)
        return top, right, bottom, left


def _cropped(length: float, side: int) -> int:
    if not length:
        return side
    return min(side, int(length) if length >= 1 else max(1, _scaled(side, length)))


def _scaled(side: int, factor: float) -> int:
    """``side`` times ``factor``, rounded half away from zero; no free side (0) becomes one."""
    return math.floor(side * factor + 0.5) if side else 0


def _position(outer: Size, inner: Size, anchor: Anchored, dpr: float) -> tuple[int, int]:
    """Left and top of ``inner`` within ``outer``; halves are rounded to even, as imgproxy does."""
    free = (outer.width - inner.width, outer.height - inner.height)
    if anchor.focal_point is not None:
        x, y = anchor.focal_point
        at = (round(outer.width * x) - inner.width // 2, round(outer.height * y) - inner.height // 2)
    else:
        offsets = (_offset(anchor.x, outer.width, dpr), _offset(anchor.y, outer.height, dpr))
        at = (
            _along(free[0], anchor.gravity, ("west", "east"), offsets[0]),
            _along(free[1], anchor.gravity, ("north", "south"), offsets[1]),
        )
    return min(max(at[0], 0), free[0]), min(max(at[1], 0), free[1])


def _offset(value: float, side: int, dpr: float) -> int:
    return round(value * dpr) if abs(value) >= 1 else round(value * side)


def _along(free: int, gravity: Gravity, ends: tuple[str, str], inwards: int) -> int:
    if ends[0] in gravity:
        return inwards
    return free - inwards if ends[1] in gravity else round((free + 1) / 2) + inwards


def _gravity_fields(anchor: Anchored, dpr: float) -> dict[str, Any]:
    if anchor.focal_point is not None:
        return {"focal_point": anchor.focal_point}
    fields: dict[str, Any] = {} if anchor.gravity is Gravity.CENTRE else {"gravity": anchor.gravity}
    for name, value in (("gravity_x", anchor.x), ("gravity_y", anchor.y)):
        if value:
            fields[name] = _length(value, dpr)
    return fields


def _length(value: float, dpr: float) -> Length:
    if abs(value) < 1:
        return RelativeLength(round(float(value), 3))
    return max(-MAX_SIDE, min(MAX_SIDE, round(value * dpr)))
