"""Delivery: the words of our own URLs: the vocabulary's short names, with what other tools call them.

Plain tables, because the function at the CDN's edge has to read URLs the same way: it is written
from them (deployment/edge).
"""

from __future__ import annotations

from types import MappingProxyType

from image_processor.domain.transformation import PARAMETERS

PRESET = "preset"
FORMAT = "fm"
AUTO = "auto"

ORDER = (PRESET, *(row.name for row in PARAMETERS))
"""Every parameter, in the order in which a path shows them."""

MANY = frozenset(row.name for row in PARAMETERS if row.many)
"""May be given several times, and their order means something."""

CASED = frozenset({PRESET, *MANY})
"""Capitals and small letters differ in their values."""

SEAL = ("expires", "kid", "s")
"""What only says who allows it: never a part of a rendition's name."""

IGNORED = ("v",)
"""Means nothing: it makes a new URL of an old one, so that a cache asks again."""

# imgix' names first, then the long ones that people try.
ALIASES = MappingProxyType(
    {
        "crop": "g",
        "gravity": "g",
        "invert": "neg",
        "width": "w",
        "height": "h",
        "format": "fm",
        "quality": "q",
        "background": "bg",
        "rotate": "rot",
        "brightness": "bri",
        "contrast": "con",
        "saturation": "sat",
        "gamma": "gam",
        "pixelate": "px",
        "sharpen": "sharp",
        "padding": "pad",
        "gray": "grey",
        "grayscale": "grey",
        "greyscale": "grey",
        "colors": "colours",
    }
)

# After lower-casing, with a colon for every comma.
VALUE_ALIASES = MappingProxyType(
    {
        "fm": MappingProxyType({"jpg": "jpeg", "tif": "tiff"}),
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

# `auto=format,compress` in imgix' way: each word says what parameter it stands for.
AUTO_WORDS = MappingProxyType({"format": ("fm", AUTO), "compress": ("q", AUTO)})

# Two parameters that are one of ours.
POINT = ("fp", "fp-x", "fp-y")
