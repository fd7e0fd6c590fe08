"""Delivery, step 4: response headers that do not depend on the stored bytes: CORS, Content-Disposition and
Server-Timing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote


def expiring_cache_control(cache_control: str, seconds: int) -> str:
    """``cache_control`` for a response that no cache may use after ``seconds``, fresh or stale."""
    kept = []
    for directive in (part.strip().lower() for part in cache_control.split(",")):
        name, _, value = directive.partition("=")
        if name in {"max-age", "s-maxage"} and value.isdecimal():
            kept.append(f"{name}={min(int(value), seconds)}")
        elif directive and not name.startswith(("stale-", "immutable")):
            kept.append(directive)
    if not any(directive.startswith(("max-age", "s-maxage", "no-")) for directive in kept):
        kept.append(f"max-age={seconds}")
    return ", ".join((*kept, "must-revalidate"))


def cors_headers(origin: str | None) -> dict[str, str]:
    """The headers that let pages of ``origin`` (or `*`) read pixels; none for None."""
    if origin is None:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "ETag, Content-Length, Server-Timing",
        "cross-origin-resource-policy": "cross-origin",
    }


def preflight_headers(origin: str | None) -> dict[str, str] | None:
    """The headers of the 204 response to a CORS preflight (Fetch standard) from pages of ``origin``.
    None if cross-origin requests are not allowed."""
    if origin is None:
        return None
    methods = {"access-control-allow-methods": "GET, HEAD", "access-control-allow-headers": "*"}
    return {**cors_headers(origin), **methods, "access-control-max-age": "86400"}


def content_disposition(filename: str | None, *, attachment: bool = False) -> str:
    """A Content-Disposition (RFC 6266), `inline` unless ``attachment``. A ``filename`` that is not plain
    ASCII is given twice: with `_` for other characters, and in UTF-8 as `filename*`."""
    kind = "attachment" if attachment else "inline"
    if not filename:
        return kind
    ascii_name = "".join(
        char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in filename
    )
    text = f'{kind}; filename="{ascii_name}"'
    return text if ascii_name == filename else f"{text}; filename*=UTF-8''{quote(filename, safe='')}"


def server_timing(seconds: Mapping[str, float]) -> str:
    """The value of Server-Timing for the duration of each stage."""
    return ", ".join(f"{name};dur={1000 * duration:.1f}" for name, duration in seconds.items())
