"""Delivery: the parameter names of the project's URLs. `domain.transformation.aliases` has other names.

Plain tables: deployment/edge/write.py generates those of the CloudFront function from them, so that both
parse URLs alike.
"""

from __future__ import annotations

from types import MappingProxyType

from image_processor.domain.transformation import PARAMETERS
from image_processor.domain.transformation.aliases import (
    ALIASES,
    CASE_SENSITIVE,
    REPEATABLE,
    VALUE_ALIASES,
)

__all__ = [
    "ALIASES",
    "AUTO",
    "AUTO_WORDS",
    "CACHE_BUSTER",
    "CASE_SENSITIVE",
    "FOCAL_POINT",
    "FORMAT",
    "IGNORED",
    "PARAMETER_ORDER",
    "PRESET",
    "REPEATABLE",
    "SIGNATURE_PARAMETERS",
    "TRACKING",
    "TRACKING_PREFIX",
    "VALUE_ALIASES",
    "is_ignored",
]

PRESET = "preset"
FORMAT = "fm"
AUTO = "auto"

PARAMETER_ORDER = (PRESET, *(row.name for row in PARAMETERS))
"""Every parameter, in canonical order."""

SIGNATURE_PARAMETERS = ("expires", "kid", "s")
"""Parameters that carry the signature. They are not part of a rendition's name."""

CACHE_BUSTER = "v"
"""A parameter without meaning: a changed value makes a new URL, which caches fetch again."""

TRACKING = (
    "gclid", "dclid", "gbraid", "wbraid", "gad_source", "gad_campaignid", "fbclid", "msclkid", "ttclid",
    "twclid", "li_fat_id", "yclid", "igshid", "mc_cid", "mc_eid", "_gl", "srsltid",
)  # fmt: skip
"""Parameters that advertising and mail services append to links."""

TRACKING_PREFIX = "utm_"

IGNORED = (CACHE_BUSTER, *TRACKING)
"""Parameters that are left out before anything else, also before a signature is verified."""


def is_ignored(name: str) -> bool:
    """Whether the parameter ``name``, as it is written, is left out."""
    return name in IGNORED or name.startswith(TRACKING_PREFIX)


# imgix' `auto=format,compress`: the pair that each word stands for.
AUTO_WORDS = MappingProxyType({"format": ("fm", AUTO), "compress": ("q", AUTO)})

FOCAL_POINT = ("fp", "fp-x", "fp-y")
"""The focal point, and the two imgix parameters that it is joined from."""
