"""Delivery, step 1: converts DIT's watermark, the edit `overlayWith`, to an overlay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import RequestBuilder, check_bucket
from image_processor.domain.geometry import Size
from image_processor.domain.transformation import (
    MAX_SIDE,
    Blend,
    Gravity,
    ImageOverlay,
    Length,
    OverlayFit,
    RelativeLength,
)

from .values import as_flag, as_gravity, as_object, as_text, is_absent

_PERCENT = re.compile(r"100(?:\.0+)?|[1-9]?[0-9](?:\.[0-9]+)?")
_OFFSET = re.compile(r"([+-]?[0-9]{1,6})(?:\.[0-9]{1,9})?(p?)")
_BLENDS: Mapping[str, Blend] = MappingProxyType(
    {
        "over": Blend.OVER,
        "multiply": Blend.MULTIPLY,
        "screen": Blend.SCREEN,
        "overlay": Blend.OVERLAY,
        "darken": Blend.DARKEN,
        "lighten": Blend.LIGHTEN,
        "color-dodge": Blend.COLOUR_DODGE,
        "colour-dodge": Blend.COLOUR_DODGE,
        "color-burn": Blend.COLOUR_BURN,
        "colour-burn": Blend.COLOUR_BURN,
        "hard-light": Blend.HARD_LIGHT,
        "soft-light": Blend.SOFT_LIGHT,
        "difference": Blend.DIFFERENCE,
        "exclusion": Blend.EXCLUSION,
    }
)

Place = tuple[int, bool]
"""An offset, negative from the right or bottom, and whether it is in percent."""


class Watermark(Struct, frozen=True):
    """An image over another. ``width`` and ``height`` are percent of its sides, None where free; ``left``
    and ``top`` are None if ``gravity`` places it."""

    image: str
    width: float | None = None
    height: float | None = None
    left: Place | None = None
    top: Place | None = None
    gravity: Gravity = Gravity.CENTRE
    opacity: int = 100
    blend: Blend = Blend.OVER
    tile: bool = False
    stretches: bool = False

    def overlay(self, base: Size | None) -> ImageOverlay:
        """The overlay for an image of size ``base``, in pixels; None: of any size, in shares of its sides."""
        width, height = (base.width, base.height) if base else (None, None)
        sides = {
            name: _share(percent, side)
            for name, percent, side in (("width", self.width, width), ("height", self.height, height))
            if percent
        }
        fields: dict[str, Any] = {"opacity": self.opacity, "blend": self.blend, "tile": self.tile, **sides}
        if self.stretches:
            fields["fit"] = OverlayFit.FILL
        if self.left is None or self.top is None:
            return ImageOverlay(image=self.image, gravity=self.gravity, **fields)
        x, y = _distance(self.left, width), _distance(self.top, height)
        if self.tile:  # sharp cuts the offset off the first tiles
            return ImageOverlay(
                image=self.image, gravity=Gravity.NORTHWEST, x=_negative(x), y=_negative(y), **fields
            )
        gravity = Gravity(
            ("south" if self.top[0] < 0 else "north") + ("east" if self.left[0] < 0 else "west")
        )
        return ImageOverlay(image=self.image, gravity=gravity, x=x, y=y, **fields)


def _share(percent: float, side: int | None) -> Length:
    if side is None:
        return RelativeLength(round(percent / 100, 3))
    return min(MAX_SIDE, max(1, int(side * percent / 100)))


def _distance(place: Place, side: int | None) -> Length:
    number, is_percent = abs(place[0]), place[1]
    if not is_percent:
        return min(number, MAX_SIDE)
    if side is None:
        return RelativeLength(round(min(number, 100) / 100, 3))
    return min(MAX_SIDE, side * number // 100)


def _negative(length: Length) -> Length:
    return RelativeLength(-length.of_side) if isinstance(length, RelativeLength) else -length


def read_watermark(value: Any, builder: RequestBuilder) -> Watermark | None:
    """The watermark that the edit describes. Adds problems and returns None if there is none."""
    edit = as_object(value, "overlayWith", builder)
    bucket, prefix = edit.get("bucket"), ""
    if isinstance(bucket, str):
        prefix = check_bucket(bucket, builder.buckets)
    elif bucket is not None:
        builder.add_error("overlayWith.bucket", "a bucket's name", bucket)
    options = as_object(edit.get("options") or {}, "overlayWith.options", builder)
    key = edit.get("key")
    name = builder.parse_key(prefix + key, "overlayWith.key") if isinstance(key, str) else None
    if not isinstance(key, str):
        builder.add_error("overlayWith.key", "the key of an original", key)
    placement = _placement(options, builder)
    if name is None or placement is None:
        return None
    # What is no whole percentage is as if it were not there.
    return Watermark(
        name,
        width=_percent(edit.get("wRatio")),
        height=_percent(edit.get("hRatio")),
        opacity=100 - round(_percent(edit.get("alpha")) or 0),
        stretches=edit.get("stretches") is True,
        **placement,
    )


def _percent(value: Any) -> float | None:
    text = str(value)
    return float(text) if _PERCENT.fullmatch(text) else None


def _placement(options: Mapping[str, Any], builder: RequestBuilder) -> dict[str, Any] | None:
    for name in options.keys() - {"left", "top", "gravity", "blend", "tile"}:
        builder.unsupported(f"overlayWith.options.{name}")
    fields: dict[str, Any] = {}
    blend = as_text(options.get("blend"), "over")
    if blend in _BLENDS:
        fields["blend"] = _BLENDS[blend]
    else:
        builder.unsupported("overlayWith.options.blend", " | ".join(_BLENDS), blend)
    if as_flag(options.get("tile"), "overlayWith.options.tile", builder):
        fields["tile"] = True
    offsets = [options.get("left"), options.get("top")]
    if all(map(is_absent, offsets)):
        gravity = as_gravity(options.get("gravity", "centre"))
        if gravity is None or gravity in {"attention", "entropy"}:
            builder.add_error(
                "overlayWith.options.gravity", "a gravity such as northeast", options["gravity"]
            )
            return None
        return {**fields, "gravity": Gravity(gravity)}
    places = {}
    for name, offset in zip(("left", "top"), offsets, strict=True):
        match = None if isinstance(offset, bool) else _OFFSET.fullmatch(str(offset).strip())
        if match is None:
            expected = "pixels or a percentage such as 20p, for left and top or for neither"
            builder.add_error(f"overlayWith.options.{name}", expected, offset)
            return None
        places[name] = int(match[1]), bool(match[2])
    return {**fields, **places}
