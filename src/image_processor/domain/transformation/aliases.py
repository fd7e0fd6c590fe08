"""Other names of parameters and values: long ones, and those of imgix. They are accepted wherever a
transformation is written; the canonical text has none of them.

Plain tables, from which deployment/edge generates those of the CloudFront function.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from image_processor.domain.formats import FORMAT_ALIASES

from .transformation import PARAMETERS

ALIASES = MappingProxyType({alias: row.name for row in PARAMETERS for alias in row.aliases})
"""Parameters by their other names."""

# Looked up after lower-casing and after replacing `,` by `:`.
VALUE_ALIASES = MappingProxyType(
    {
        "fm": FORMAT_ALIASES,
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

REPEATABLE = frozenset(row.name for row in PARAMETERS if row.repeatable)
"""Parameters that may be given several times; their order matters."""

CASE_SENSITIVE = frozenset({"preset", *REPEATABLE})
"""Parameters whose values are case-sensitive. Only URLs have `preset`."""

_ESCAPE = re.compile(r"~[0-9A-F]{2}", re.IGNORECASE)


def canonical_name(name: str) -> str:
    """The name of the parameter that is called ``name``, in lower case."""
    return ALIASES.get(name.lower(), name.lower())


def canonical_value(name: str, value: str) -> str:
    """``value`` of the parameter ``name`` in lower case, except for preset names and texts, with `:` for
    `,`, and without aliases."""
    value = value.removeprefix("#").replace(",", ":")
    if name in CASE_SENSITIVE:
        return _ESCAPE.sub(lambda match: match[0].lower(), value)
    value = {"true": "1", "false": "0"}.get(value.lower(), value.lower())
    aliases = VALUE_ALIASES.get(name)
    return aliases.get(value, value) if aliases else value


def without_aliases(text: str) -> str:
    """A transformation's text with the names and values that its parameters have in canonical texts."""
    return ",".join(_canonical_pair(pair) for pair in text.split(","))


def _canonical_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    name = canonical_name(name)
    return f"{name}{equals}{canonical_value(name, value)}"
