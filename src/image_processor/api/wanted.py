"""HTTP edge: a key of which nothing will ever be made is turned away before it costs anything."""

from __future__ import annotations

from image_processor.ingest import plan

from .dependencies import Parts


def skip_reason(key: str, parts: Parts) -> str | None:
    """Why an upload under ``key`` would get no renditions; None if it would."""
    return plan.skip_reason(key, parts.recipe)


def upload_skip_reason(key: str, parts: Parts) -> str | None:
    """As `skip_reason`, but what overlays may show is worth storing without renditions of its own."""
    prefix = parts.settings.overlays
    return None if prefix and key.startswith(prefix) else skip_reason(key, parts)
