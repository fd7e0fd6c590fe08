"""The public URL of a stored rendition, as the API's responses and outcome events name it."""

from __future__ import annotations

from urllib.parse import quote

from image_processor.domain.models import Rendition

from .freshness import is_on_demand


def object_url(base_url: str, key: str) -> str:
    """The URL of ``key`` below ``base_url``, which has no trailing slash.

    Clients resolve `.` and `..` segments, even percent-encoded ones (WHATWG URL, "double-dot URL path
    segment"). The slashes of a key with such a segment are encoded, so that it is one segment.
    """
    dotted = any(segment in {".", ".."} for segment in key.split("/"))
    return f"{base_url}/" + quote(key, safe="=,~" if dotted else "/=,~")


def public_url(rendition: Rendition, base_url: str | None) -> str | None:
    """The URL of a rendition that needs no signature; None for other ones, and without a ``base_url``."""
    if base_url is None or is_on_demand(rendition.key):
        return None
    return f"{object_url(base_url, rendition.key)}?v={rendition.metadata.sha256[:16]}"
