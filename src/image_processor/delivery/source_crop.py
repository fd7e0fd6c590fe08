"""Delivery, step 2: converts a crop and a focus in pixels of the original, once its size is known, into
the region and focal point of a transformation; and the size of a rendition that is not made yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from image_processor.domain.geometry import Anchor, Box, Size, offset, place, region_box, sizes_after
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    PARAMETERS,
    Flip,
    Length,
    RelativeLength,
    Transformation,
    in_pixels,
)

from .request import CropSpec


def resolve_crop(
    values: Mapping[str, Any],
    crop: CropSpec | None,
    focus: tuple[float, float] | None,
    original: ImageMetadata | None,
) -> Mapping[str, Any]:
    """``values`` with ``crop`` as their region and ``focus`` (pixels) as their focal point. ``original`` may
    be None if both are."""
    if crop is None and focus is None:
        return values
    assert original is not None
    size = Size(original.width, original.height)
    if crop is not None:
        values = {**values, "region": _region(crop, size)}
    if focus is not None:
        x, y = _relative_to_region(focus, values.get("region"), size)
        values = {**values, "focal_point": _after_orientation(x, y, values)}
    return values


def source_size(values: Mapping[str, Any], original: ImageMetadata) -> Size:
    """The size that is scaled: the original's after region and rotation by quarter turns.

    Ignores trim, whose result is not known yet; other angles are rounded to quarter turns.
    """
    size = Size(original.width, original.height)
    box = region_box(values.get("region"), size)
    size = box.size if box is not None else size
    return size.turned() if round(values.get("rotate", 0) / 90) % 2 else size


def output_size(transformation: Transformation, original: ImageMetadata) -> Size | None:
    """The size of a rendition that is not made yet; None if more than the original's size decides."""
    if any(getattr(transformation, name) != _DEFAULTS[name] for name in _SIZE_UNKNOWN):
        return None
    if transformation.rotate % 90:
        return None
    values = {"region": transformation.region, "rotate": transformation.rotate}
    if region_box(transformation.region, Size(original.width, original.height)) is None:
        return None
    if original.format == "svg":  # it has no pixels to enlarge
        transformation = replace(transformation, enlarge=True)
    size: Size | None = place(source_size(values, original), transformation).output
    assert size is not None
    for after in sizes_after(size, transformation.steps):
        size = after
    return size


_SIZE_UNKNOWN = ("trim", "padding", "frame", "orient")
_DEFAULTS = {row.field: row.default for row in PARAMETERS if row.field in _SIZE_UNKNOWN}


def _region(crop: CropSpec, size: Size) -> tuple[Length, Length, Length, Length]:
    inner = Size(_side(crop.width, size.width), _side(crop.height, size.height))
    left, top = offset(size, inner, Anchor(crop.gravity, crop.x, crop.y, crop.focal_point))
    if inner == size:
        return 0, 0, RelativeLength(1.0), RelativeLength(1.0)
    return left, top, inner.width, inner.height


def _side(length: Length | None, side: int) -> int:
    return side if length is None else min(side, max(1, in_pixels(length, side)))


def _relative_to_region(
    focus: tuple[float, float], region: tuple[Length, Length, Length, Length] | None, size: Size
) -> tuple[float, float]:
    """The focus relative to the region; relative to the whole image if the region lies outside it."""
    box = region_box(region, size) or region_box(None, size)
    assert box is not None
    return (focus[0] - box.left) / box.width, (focus[1] - box.top) / box.height


def _after_orientation(x: float, y: float, values: Mapping[str, Any]) -> tuple[float, float]:
    """A relative point after the rotation by quarter turns and the flip that precede the crop."""
    for _ in range(round(values.get("rotate", 0) / 90) % 4):
        x, y = 1 - y, x
    flip = values.get("flip") or ""
    return _fraction(1 - x if "h" in flip else x), _fraction(1 - y if "v" in flip else y)


def _fraction(value: float) -> float:
    """``value`` limited to 0-1, with 3 decimals; a whole number is an int."""
    rounded = round(min(max(value, 0.0), 1.0), 3)
    return int(rounded) if rounded in {0.0, 1.0} else rounded


def box_before_turning(box: Box, size: Size, flip: Flip | None, degrees: float) -> Box:
    """The box of the original that becomes ``box`` of ``size`` by a clockwise rotation, then a flip."""
    left, top, width, height = box.left, box.top, box.width, box.height
    if flip is not None and "h" in flip:
        left = size.width - left - width
    if flip is not None and "v" in flip:
        top = size.height - top - height
    for _ in range(round(degrees / 90) % 4):
        # A clockwise quarter turn moves the point (x, y) of an image of height h to (h - y, x).
        left, top, width, height = top, size.width - left - width, height, width
        size = size.turned()
    return Box(left, top, width, height)
