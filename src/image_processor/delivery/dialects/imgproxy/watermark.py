"""Delivery, step 1: converts imgproxy's watermark to an overlay."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.transformation import BLACK, Gravity, ImageOverlay, RelativeLength, TextOverlay

from .crop import GRAVITIES, parse_offset

WATERMARK_OPTIONS = frozenset(
    {"watermark", "watermark_url", "watermark_text", "watermark_size", "watermark_rotate"}
)
_SIZE = 16
_MAX_SIDE = 16_383


def add_watermark(
    options: Mapping[str, Sequence[str]], builder: RequestBuilder, configured: str | None = None
) -> None:
    """Add the watermark that ``options`` ask for, if any: the image or text that the URL names, or else the
    image with the key ``configured``."""
    if "watermark" not in options:
        return
    opacity = builder.number(options["watermark"][0] or "0", "watermark", 0, 1)
    if not opacity:
        return
    placement = _placement(options["watermark"], builder)
    if placement is None:
        return
    placement |= {"opacity": round(100 * opacity)}
    if "watermark_rotate" in options:
        placement["rotate"] = (
            builder.number(options["watermark_rotate"][0] or "0", "watermark_rotate", -360, 360) or 0
        )
    if "watermark_url" in options:
        key = parse_base64(options["watermark_url"][0], "watermark_url", builder)
        name = builder.parse_key(key, "watermark_url") if key is not None else None
        if name is not None:
            builder.add_overlay(
                ImageOverlay, {"image": name, **placement, **_sides(options, builder)}, "watermark"
            )
    elif "watermark_text" in options:
        text = parse_base64(options["watermark_text"][0], "watermark_text", builder)
        if text is not None:
            builder.add_overlay(
                TextOverlay, {"text": text, "size": _SIZE, "colour": BLACK, **placement}, "watermark"
            )
    elif configured is not None:
        fields = {"image": configured, **placement, **_sides(options, builder)}
        builder.add_overlay(ImageOverlay, fields, "watermark")
    else:
        builder.unsupported(
            "watermark",
            "IMAGE_PROCESSOR_IMGPROXY_WATERMARK, or watermark_url or watermark_text with it",
            ":".join(options["watermark"]),
        )


def decode_base64(encoded: str) -> str | None:
    """The text of URL-safe base64, with or without padding. None if it is not base64 of UTF-8."""
    bare = encoded.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_", validate=True).decode()
    except ValueError:
        return None


def parse_base64(text: str, name: str, builder: RequestBuilder) -> str | None:
    decoded = decode_base64(text)
    if decoded is None:
        builder.add_error(name, "UTF-8 in URL-safe base64", text)
    return decoded


def _placement(arguments: Sequence[str], builder: RequestBuilder) -> dict[str, Any] | None:
    _, position, x, y, *_ = (*arguments, "", "", "", "")
    x_offset, y_offset = parse_offset(x, "watermark", builder), parse_offset(y, "watermark", builder)
    if position == "re":
        gap = x_offset if not isinstance(x_offset, int) or x_offset > 0 else 0
        return {"tile": True, "gravity": Gravity.NORTHWEST, "gap": gap}
    if (position or "ce") not in GRAVITIES:
        if position == "ch":
            builder.unsupported("watermark", "re, as the chessboard pattern is not supported", position)
        else:
            builder.add_error("watermark", f"one of {', '.join(GRAVITIES)} or re for its position", position)
        return None
    return {"gravity": GRAVITIES[position or "ce"], "x": x_offset, "y": y_offset}


def _sides(options: Mapping[str, Sequence[str]], builder: RequestBuilder) -> dict[str, Any]:
    """The maximum size: relative to the image's sides, or in pixels without a scale."""
    _, _, _, _, scale, *_ = (*options["watermark"], "", "", "", "")
    fraction = builder.number(scale or "0", "watermark", 0, 1)
    if fraction:
        return {"width": RelativeLength(float(fraction)), "height": RelativeLength(float(fraction))}
    sizes = [
        builder.integer(text or "0", "watermark_size", 0, _MAX_SIDE)
        for text in options.get("watermark_size", ())
    ]
    return {side: size for side, size in zip(("width", "height"), sizes, strict=False) if size}
