"""Delivery: the parameter names of the project's URLs, with the aliases that imgix and others use.

Plain tables: deployment/edge/write.py generates those of the CloudFront function from them, so that both
parse URLs alike.
"""

from __future__ import annotations

from types import MappingProxyType

from image_processor.domain.formats import FORMAT_ALIASES
from image_processor.domain.transformation import PARAMETERS

PRESET = "preset"
FORMAT = "fm"
AUTO = "auto"

PARAMETER_ORDER = (PRESET, *(row.name for row in PARAMETERS))
"""Every parameter, in canonical order."""

REPEATABLE = frozenset(row.name for row in PARAMETERS if row.repeatable)
"""Parameters that may be given several times; their order matters."""

CASE_SENSITIVE = frozenset({PRESET, *REPEATABLE})
"""Parameters whose values are case-sensitive."""

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


ALIASES = MappingProxyType({alias: row.name for row in PARAMETERS for alias in row.aliases})
"""Parameters by the names of imgix, and by long names."""

# Looked up after lower-casing and after replacing `,` by `:`.
VALUE_ALIASES = MappingProxyType(
    {
        FORMAT: FORMAT_ALIASES,
        "fit": MappingProxyType(
            {"crop": "cover", "clip": "inside", "max": "inside", "scale": "fill", "pad": "contain"}
        ),
        "g": MappingProxyType(
            {
                "center": "centre",
                "top": "north",
                "bottom": "south",
                "left": "west",
                "right": "east",
                "top:left": "northwest",
                "left:top": "northwest",
                "top:right": "northeast",
                "right:top": "northeast",
                "bottom:left": "southwest",
                "left:bottom": "southwest",
                "bottom:right": "southeast",
                "right:bottom": "southeast",
                "smart": "attention",
                "edges": "entropy",
                "face": "faces",
            }
        ),
    }
)

# imgix' `auto=format,compress`: the pair that each word stands for.
AUTO_WORDS = MappingProxyType({"format": ("fm", AUTO), "compress": ("q", AUTO)})

FOCAL_POINT = ("fp", "fp-x", "fp-y")
"""The focal point, and the two imgix parameters that it is joined from."""
