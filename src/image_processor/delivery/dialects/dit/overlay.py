"""Dialects: DIT's watermark, the edit `overlayWith`, as an overlay of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, allow
from image_processor.delivery.dialects.watermark import place, position_fields, share
from image_processor.domain.transformation import Gravity, ImageOverlay

from .values import absent, amount, flag, inner, position, word


def overlay(value: Any, builder: RequestBuilder) -> None:
    given = inner(value, "overlayWith", builder)
    bucket = given.get("bucket")
    if isinstance(bucket, str):
        allow(bucket, builder.buckets)
    elif bucket is not None:
        builder.wrong("overlayWith.bucket", "a bucket's name", bucket)
    options = inner(given.get("options") or {}, "overlayWith.options", builder)
    key = given.get("key")
    name = builder.key(key, "overlayWith.key") if isinstance(key, str) else None
    if not isinstance(key, str):
        builder.wrong("overlayWith.key", "the key of an original", key)
    clear = amount(given.get("alpha") or 0, "overlayWith.alpha", 0, 100, builder)
    ratios = [
        share(str(given.get(side) or ""), f"overlayWith.{side}", builder) for side in ("wRatio", "hRatio")
    ]
    where = _where(options, builder)
    if name is None or clear is None or where is None:
        return
    fields = {"image": name, "opacity": round(100 - clear), **where}
    fields |= {side: part for side, part in zip(("width", "height"), ratios, strict=True) if part}
    builder.overlay(ImageOverlay, fields, "overlayWith")


def _where(options: Mapping[str, Any], builder: RequestBuilder) -> dict[str, object] | None:
    for name in options.keys() - {"left", "top", "gravity", "blend", "tile"}:
        builder.lacks(f"overlayWith.options.{name}")
    if word(options.get("blend"), "over") != "over":
        builder.lacks("overlayWith.options.blend", "over", options["blend"])
    if flag(options.get("tile"), "overlayWith.options.tile", builder):
        return {"tile": True, "gravity": Gravity.NORTHWEST}
    left, top = options.get("left"), options.get("top")
    if absent(left) and absent(top):
        gravity = position(options.get("gravity", "centre"))
        if gravity is not None and gravity not in {"attention", "entropy"}:
            return {"gravity": Gravity(gravity)}
        builder.wrong("overlayWith.options.gravity", "a gravity such as northeast", options["gravity"])
        return None
    places = [
        place("center" if absent(far) else str(far), f"overlayWith.options.{name}", builder)
        for name, far in (("left", left), ("top", top))
    ]
    if places[0] is None or places[1] is None:
        return None
    return position_fields(places[0], places[1])
