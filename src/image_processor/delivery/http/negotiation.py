"""Delivery, step 2: chooses the output format from the Accept header and the original.

Pure. The CloudFront function evaluates Accept the same way and forwards only the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata

# As in the CloudFront function. float() would also accept 1_0.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")

MODERN = ("avif", "webp")
"""Formats that are sent only to clients that name them, best first."""


def accepted_formats(accept: str | None) -> tuple[str, ...]:
    """The formats of MODERN to send to a client with this Accept header (RFC 9110, section 12.5.1), best
    first.

    A format counts if it is named (clients without support for it send `*/*`), its weight is not 0, and
    it weighs no less than JPEG. AVIF is dropped if WebP weighs more; WebP is kept even if AVIF weighs
    more, because only WebP is chosen for animations.
    """
    weights = _weights(accept or "")
    min_weight = _weight(weights, "image/jpeg")
    avif, webp = (weights.get(FORMATS[name].media_type, 0.0) for name in MODERN)
    takes_webp = webp > 0 and webp >= min_weight
    takes_avif = avif > 0 and avif >= min_weight and not (takes_webp and webp > avif)
    return tuple(name for name, takes in zip(MODERN, (takes_avif, takes_webp), strict=True) if takes)


def preferred_formats(
    accept: str | None, original: ImageMetadata, values: Mapping[str, Any]
) -> tuple[str, ...]:
    """The formats for a rendition of ``original`` with these transformation fields, best first. Animation
    and transparency are preserved. The last format is one that every client shows."""
    modern = accepted_formats(accept)
    if is_animated(original, values):
        return (*(["webp"] if "webp" in modern else []), "gif")
    return (*modern, "png" if has_transparency(original, values) else "jpeg")


def source_format(original: ImageMetadata, values: Mapping[str, Any]) -> str:
    """The original's format if it can be written, else one that every client shows."""
    format_ = FORMATS[original.format]
    fits = format_.writable and (format_.alpha or not has_transparency(original, values))
    return format_.name if fits else preferred_formats(None, original, values)[-1]


def is_animated(original: ImageMetadata, values: Mapping[str, Any]) -> bool:
    """Whether the rendition is animated. The pages of a TIFF are not an animation."""
    one_frame = values.get("frame") is not None or values.get("frames") == 1
    return original.frames > 1 and original.format != "tiff" and not one_frame


def has_transparency(original: ImageMetadata, values: Mapping[str, Any]) -> bool:
    """Whether the rendition may have transparent pixels: the original's, or those that the transformation
    adds."""
    if values.get("background") is not None:
        return False
    masked = any(values.get(field) for field in ("round", "ellipse", "padding"))
    tilted = values.get("rotate", 0) % 90 != 0
    return original.alpha or masked or tilted or values.get("opacity", 100) < 100


def _weights(accept: str) -> dict[str, float]:
    """The weight of each media range; one that cannot be parsed is 0."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:].strip() for piece in parameters if piece.startswith("q=")), "1")
        weights[media_range] = _parse_weight(quality)
    return weights


def _parse_weight(text: str) -> float:
    weight = float(text) if _DECIMAL.fullmatch(text) else 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _weight(weights: Mapping[str, float], media_type: str) -> float:
    """The weight of the most specific media range that matches ``media_type``."""
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((weights[media_range] for media_range in ranges if media_range in weights), 0.0)
