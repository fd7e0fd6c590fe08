"""Delivery: what a dialect asks for in pixels of an original, once its size is known: a region and a
focal point, as a transformation has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_processor.domain.geometry import Anchor, Size, offset, region_box
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Length, RelativeLength, in_pixels

from .request import CropSpec


def resolve_crop(
    values: Mapping[str, Any],
    cut: CropSpec | None,
    focus: tuple[float, float] | None,
    original: ImageMetadata | None,
) -> Mapping[str, Any]:
    """``values`` with the region that ``cut`` is of ``original``, and with its ``focus`` (pixels) as the
    focal point. ``original`` may be None where there is neither."""
    if cut is None and focus is None:
        return values
    assert original is not None
    size = Size(original.width, original.height)
    if cut is not None:
        values = {**values, "region": _region(cut, size)}
    if focus is not None:
        across, down = _point(focus, values.get("region"), size)
        values = {**values, "focal_point": _turned(across, down, values)}
    return values


def source_size(values: Mapping[str, Any], original: ImageMetadata) -> Size:
    """The size of what is scaled into the box: what the region leaves of the original, as it is turned.
    (A border that is trimmed is not known yet, and angles between quarters count as none.)"""
    size = Size(original.width, original.height)
    box = region_box(values.get("region"), size)
    size = box.size if box is not None else size
    return size.turned() if round(values.get("rotate", 0) / 90) % 2 else size


def _region(cut: CropSpec, size: Size) -> tuple[Length, Length, Length, Length]:
    inner = Size(_side(cut.width, size.width), _side(cut.height, size.height))
    left, top = offset(size, inner, Anchor(cut.gravity, cut.x, cut.y, cut.focal_point))
    if inner == size:
        return 0, 0, RelativeLength(1.0), RelativeLength(1.0)
    return left, top, inner.width, inner.height


def _side(wanted: Length | None, side: int) -> int:
    return side if wanted is None else min(side, max(1, in_pixels(wanted, side)))


def _point(
    focus: tuple[float, float], region: tuple[Length, Length, Length, Length] | None, size: Size
) -> tuple[float, float]:
    """The focus as shares of what the region leaves; of all where they do not meet."""
    box = region_box(region, size) or region_box(None, size)
    assert box is not None
    return (focus[0] - box.left) / box.width, (focus[1] - box.top) / box.height


def _turned(across: float, down: float, values: Mapping[str, Any]) -> tuple[float, float]:
    """A point of the original where it is once that is turned (by quarters; other angles leave it) and
    mirrored, which a transformation does before it crops."""
    for _ in range(round(values.get("rotate", 0) / 90) % 4):
        across, down = 1 - down, across
    flip = values.get("flip") or ""
    return _share(1 - across if "h" in flip else across), _share(1 - down if "v" in flip else down)


def _share(part: float) -> float:
    rounded = round(min(max(part, 0.0), 1.0), 3)
    return int(rounded) if rounded in {0.0, 1.0} else rounded
