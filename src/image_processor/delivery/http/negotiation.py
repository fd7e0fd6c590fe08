"""Delivery: what the client takes (Accept) and what the original is decide the format.

Pure. The function at the CDN's edge reads Accept the same way and passes on only the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata

# What the edge takes for a number, too: Python's float also takes 1_0.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")

MODERN = ("avif", "webp")
"""What a client must name to get it, the best first."""


def accepted(accept: str | None) -> tuple[str, ...]:
    """Which of MODERN to send to whoever sends this Accept (RFC 9110, 12.5.1), the best first.

    A format counts that is named, not only meant by a wildcard (programs that show nothing newer
    send `*/*`), whose weight is not 0, and that is liked no less than JPEG; of two the one liked
    less is left out, unless it is WebP: only that holds animations.
    """
    weights = _weights(accept or "")
    floor = _weight(weights, "image/jpeg")
    avif, webp = (weights.get(FORMATS[name].media_type, 0.0) for name in MODERN)
    takes_webp = webp > 0 and webp >= floor
    takes_avif = avif > 0 and avif >= floor and not (takes_webp and webp > avif)
    return tuple(name for name, takes in zip(MODERN, (takes_avif, takes_webp), strict=True) if takes)


def preferences(accept: str | None, original: ImageMetadata, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Formats for a picture that ``values`` are made of, the best first: what moves stays moving, and
    what is seen through stays so. The last is one that every client shows."""
    modern = accepted(accept)
    if is_animated(original, values):
        return (*(["webp"] if "webp" in modern else []), "gif")
    return (*modern, "png" if has_transparency(original, values) else "jpeg")


def own_format(original: ImageMetadata, values: Mapping[str, Any]) -> str:
    """The format of the original where it can be written, else what every client shows."""
    format_ = FORMATS[original.format]
    fits = format_.saver is not None and (format_.alpha or not has_transparency(original, values))
    return format_.name if fits else preferences(None, original, values)[-1]


def is_animated(original: ImageMetadata, values: Mapping[str, Any]) -> bool:
    still = values.get("frame") is not None or values.get("frames") == 1
    return original.frames > 1 and original.format != "tiff" and not still


def has_transparency(original: ImageMetadata, values: Mapping[str, Any]) -> bool:
    """Whether something shows through the result: the original's alpha, or what is cut off."""
    if values.get("background") is not None:
        return False
    cut = any(values.get(field) for field in ("round", "ellipse", "padding"))
    tilted = values.get("rotate", 0) % 90 != 0
    return original.alpha or cut or tilted or values.get("opacity", 100) < 100


def _weights(accept: str) -> dict[str, float]:
    """Media ranges with their weights; what cannot be read counts as 0."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        range_, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:].strip() for piece in parameters if piece.startswith("q=")), "1")
        weights[range_] = _number(quality)
    return weights


def _number(text: str) -> float:
    weight = float(text) if _DECIMAL.fullmatch(text) else 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _weight(weights: Mapping[str, float], media_type: str) -> float:
    """The weight of the most precise range that fits."""
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((weights[range_] for range_ in ranges if range_ in weights), 0.0)
