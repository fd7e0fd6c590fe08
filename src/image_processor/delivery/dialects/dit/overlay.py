"""Delivery, step 1: converts DIT's watermark, the edit `overlayWith`, to an overlay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_processor.delivery.dialects.filter_syntax import parse_percentage, parse_position, position_fields
from image_processor.delivery.dialects.request_builder import RequestBuilder, check_bucket
from image_processor.domain.transformation import Gravity, ImageOverlay

from .values import as_flag, as_gravity, as_number, as_object, as_text, is_absent


def add_overlay(value: Any, builder: RequestBuilder) -> None:
    """Add the overlay that the edit describes."""
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
    transparency = as_number(edit.get("alpha") or 0, "overlayWith.alpha", 0, 100, builder)
    ratios = [
        parse_percentage(str(edit.get(side) or ""), f"overlayWith.{side}", builder)
        for side in ("wRatio", "hRatio")
    ]
    placement = _placement(options, builder)
    if name is None or transparency is None or placement is None:
        return
    fields = {"image": name, "opacity": round(100 - transparency), **placement}
    fields |= {side: part for side, part in zip(("width", "height"), ratios, strict=True) if part}
    builder.add_overlay(ImageOverlay, fields, "overlayWith")


def _placement(options: Mapping[str, Any], builder: RequestBuilder) -> dict[str, object] | None:
    for name in options.keys() - {"left", "top", "gravity", "blend", "tile"}:
        builder.unsupported(f"overlayWith.options.{name}")
    if as_text(options.get("blend"), "over") != "over":
        builder.unsupported("overlayWith.options.blend", "over", options["blend"])
    if as_flag(options.get("tile"), "overlayWith.options.tile", builder):
        return {"tile": True, "gravity": Gravity.NORTHWEST}
    left, top = options.get("left"), options.get("top")
    if is_absent(left) and is_absent(top):
        gravity = as_gravity(options.get("gravity", "centre"))
        if gravity is not None and gravity not in {"attention", "entropy"}:
            return {"gravity": Gravity(gravity)}
        builder.add_error("overlayWith.options.gravity", "a gravity such as northeast", options["gravity"])
        return None
    positions = [
        parse_position("center" if is_absent(offset) else str(offset), f"overlayWith.options.{name}", builder)
        for name, offset in (("left", left), ("top", top))
    ]
    if positions[0] is None or positions[1] is None:
        return None
    return position_fields(positions[0], positions[1])
