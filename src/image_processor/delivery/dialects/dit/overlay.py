"""Dialects: DIT's watermark, the edit `overlayWith`, as an overlay of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_processor.delivery.dialects.request_builder import Draft, allow
from image_processor.delivery.dialects.watermark import laid, place, share
from image_processor.domain.transformation import Gravity, ImageOverlay

from .values import absent, amount, flag, inner, position, word


def overlay(value: Any, draft: Draft) -> None:
    given = inner(value, "overlayWith", draft)
    bucket = given.get("bucket")
    if isinstance(bucket, str):
        allow(bucket, draft.buckets)
    elif bucket is not None:
        draft.wrong("overlayWith.bucket", "a bucket's name", bucket)
    options = inner(given.get("options") or {}, "overlayWith.options", draft)
    key = given.get("key")
    name = draft.key(key, "overlayWith.key") if isinstance(key, str) else None
    if not isinstance(key, str):
        draft.wrong("overlayWith.key", "the key of an original", key)
    clear = amount(given.get("alpha") or 0, "overlayWith.alpha", 0, 100, draft)
    ratios = [
        share(str(given.get(side) or ""), f"overlayWith.{side}", draft) for side in ("wRatio", "hRatio")
    ]
    where = _where(options, draft)
    if name is None or clear is None or where is None:
        return
    fields = {"image": name, "opacity": round(100 - clear), **where}
    fields |= {side: part for side, part in zip(("width", "height"), ratios, strict=True) if part}
    draft.overlay(ImageOverlay, fields, "overlayWith")


def _where(options: Mapping[str, Any], draft: Draft) -> dict[str, object] | None:
    for name in options.keys() - {"left", "top", "gravity", "blend", "tile"}:
        draft.lacks(f"overlayWith.options.{name}")
    if word(options.get("blend"), "over") != "over":
        draft.lacks("overlayWith.options.blend", "over", options["blend"])
    if flag(options.get("tile"), "overlayWith.options.tile", draft):
        return {"tile": True, "gravity": Gravity.NORTHWEST}
    left, top = options.get("left"), options.get("top")
    if absent(left) and absent(top):
        gravity = position(options.get("gravity", "centre"))
        if gravity is not None and gravity not in {"attention", "entropy"}:
            return {"gravity": Gravity(gravity)}
        draft.wrong("overlayWith.options.gravity", "a gravity such as northeast", options["gravity"])
        return None
    places = [
        place("center" if absent(far) else str(far), f"overlayWith.options.{name}", draft)
        for name, far in (("left", left), ("top", top))
    ]
    if places[0] is None or places[1] is None:
        return None
    return laid(places[0], places[1])
