"""Dialects: imgproxy's watermark, as an overlay of ours. Which picture or text it is the URL has to say:
there is no watermark that is the same for all."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.transformation import BLACK, Gravity, ImageOverlay, RelativeLength, TextOverlay

from .crop import GRAVITIES, offset

MARK_OPTIONS = frozenset(
    {"watermark", "watermark_url", "watermark_text", "watermark_size", "watermark_rotate"}
)
_SIZE = 16
_LONGEST = 16_383


def marked(given: Mapping[str, Sequence[str]], builder: RequestBuilder) -> None:
    """Lay the watermark over it that ``given`` asks for, if it does."""
    if "watermark" not in given:
        return
    opacity = builder.number(given["watermark"][0] or "0", "watermark", 0, 1)
    if not opacity:
        return
    where = _where(given["watermark"], builder)
    if where is None:
        return
    where |= {"opacity": round(100 * opacity)}
    if "watermark_rotate" in given:
        where["rotate"] = (
            builder.number(given["watermark_rotate"][0] or "0", "watermark_rotate", -360, 360) or 0
        )
    if "watermark_url" in given:
        key = from_base64(given["watermark_url"][0], "watermark_url", builder)
        name = builder.key(key, "watermark_url") if key is not None else None
        if name is not None:
            builder.overlay(ImageOverlay, {"image": name, **where, **_sides(given, builder)}, "watermark")
    elif "watermark_text" in given:
        text = from_base64(given["watermark_text"][0], "watermark_text", builder)
        if text is not None:
            builder.overlay(TextOverlay, {"text": text, "size": _SIZE, "colour": BLACK, **where}, "watermark")
    else:
        builder.lacks("watermark", "watermark_url or watermark_text with it", ":".join(given["watermark"]))


def text_of(encoded: str) -> str | None:
    """The text that base64 of the URL-safe alphabet stands for, with or without padding."""
    bare = encoded.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_", validate=True).decode()
    except ValueError:
        return None


def from_base64(text: str, name: str, builder: RequestBuilder) -> str | None:
    found = text_of(text)
    if found is None:
        builder.wrong(name, "UTF-8 in the URL-safe alphabet of base64", text)
    return found


def _where(given: Sequence[str], builder: RequestBuilder) -> dict[str, Any] | None:
    _, position, x, y, *_ = (*given, "", "", "", "")
    across, down = offset(x, "watermark", builder), offset(y, "watermark", builder)
    if position == "re":
        gap = across if not isinstance(across, int) or across > 0 else 0
        return {"tile": True, "gravity": Gravity.NORTHWEST, "gap": gap}
    if (position or "ce") not in GRAVITIES:
        if position == "ch":
            builder.lacks("watermark", "re, as there is no chessboard of them here", position)
        else:
            builder.wrong("watermark", f"one of {', '.join(GRAVITIES)} or re for its place", position)
        return None
    return {"gravity": GRAVITIES[position or "ce"], "x": across, "y": down}


def _sides(given: Mapping[str, Sequence[str]], builder: RequestBuilder) -> dict[str, Any]:
    """How large it is at most: shares of the picture's sides, or pixels where there is no scale."""
    _, _, _, _, scale, *_ = (*given["watermark"], "", "", "", "")
    part = builder.number(scale or "0", "watermark", 0, 1)
    if part:
        return {"width": RelativeLength(float(part)), "height": RelativeLength(float(part))}
    sizes = [
        builder.whole(text or "0", "watermark_size", 0, _LONGEST) for text in given.get("watermark_size", ())
    ]
    return {side: size for side, size in zip(("width", "height"), sizes, strict=False) if size}
