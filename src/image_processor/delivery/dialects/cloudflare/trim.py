"""Delivery, step 2: Cloudflare's `trim`, which cuts pixels off the sides of the original before all else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.rounding import round_half_up

_SIDES = ("top", "right", "bottom", "left")
_LENGTHS = (*_SIDES, "width", "height")
_MAX_SIDE = 16_383
NAMES = ("trim", *(f"trim.{name}" for name in _LENGTHS))
_BORDER_TOLERANCE = 10


class Trim(Struct, frozen=True):
    """Pixels to cut off each side; ``width`` and ``height``, if not 0, are what remains from left and top."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0
    width: int = 0
    height: int = 0

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The fields for ``original``. Raises InvalidRequest if nothing of it remains."""
        del format_
        scale = float(values.get("dpr", 1))
        top, right, bottom, left, width, height = (
            round_half_up(getattr(self, name) * scale) for name in _LENGTHS
        )
        width = min(width or original.width, original.width - left - (0 if width else right))
        height = min(height or original.height, original.height - top - (0 if height else bottom))
        if width < 1 or height < 1:
            size = f"{original.width} x {original.height}"
            raise InvalidRequest.one("trim", f"less than an original of {size} pixels", repr(self))
        return {**values, "region": (left, top, width, height)}


def read_trim(options: Mapping[str, str], builder: RequestBuilder) -> None:
    """Apply the options of NAMES: `trim=border`, `trim=TOP;RIGHT;BOTTOM;LEFT` or `trim.left=20`."""
    text = options.get("trim", "")
    if text == "border":
        builder.values["trim"] = _BORDER_TOLERANCE
        return
    lengths = {
        f"trim.{name}": length for name, length in zip(_SIDES, text.split(";"), strict=False) if length
    }
    if text and len(lengths) != len(_SIDES):
        builder.add_error("trim", "border or TOP;RIGHT;BOTTOM;LEFT in pixels", text)
        return
    lengths |= {name: value for name, value in options.items() if name != "trim"}
    pixels = {
        name.removeprefix("trim."): builder.integer(value, name, 0, _MAX_SIDE) or 0
        for name, value in lengths.items()
    }
    if any(pixels.values()):
        builder.geometry = Trim(**pixels)
