"""Ground floor: how one rendition is made. `Transformation` is the frozen value, `parse` reads its
text; vocabulary lists the parameters, canonical says which of them mean the same.
"""

from __future__ import annotations

import re

from image_processor.domain.errors import InvalidTransformation

from .overlay import ImageOverlay, Overlay, TextOverlay, overlay_from
from .parameters import Parameter, read_colour, read_pairs, suggest
from .value import Transformation
from .values import (
    AUTO,
    BLACK,
    MAX_SIDE,
    SMART,
    WHITE,
    Colour,
    Edge,
    Fit,
    Flip,
    Gravity,
    Length,
    RelativeLength,
    Subsampling,
    in_pixels,
)
from .vocabulary import PARAMETERS

__all__ = [
    "AUTO",
    "BLACK",
    "MAX_SIDE",
    "ON_DEMAND",
    "PARAMETERS",
    "SMART",
    "WHITE",
    "Colour",
    "Edge",
    "Fit",
    "Flip",
    "Gravity",
    "ImageOverlay",
    "Length",
    "Overlay",
    "Parameter",
    "RelativeLength",
    "Subsampling",
    "TextOverlay",
    "Transformation",
    "in_pixels",
    "is_rendition_name",
    "named",
    "overlay_from",
    "parse",
    "read_colour",
    "suggest",
]


def parse(text: str) -> Transformation:
    """The transformation that a text such as `w=640,fm=webp` stands for.

    Any order is read; raises InvalidTransformation with every mistake at once.
    """
    values, problems = read_pairs(text, PARAMETERS, between=",", equals="=")
    if problems:
        raise InvalidTransformation(problems)
    return Transformation(**values)


ON_DEMAND = "~"
"""What the name of a rendition begins with that no recipe declares: only a signature opens it."""

_RENDITION_NAME = re.compile(rf"{ON_DEMAND}?(?:[a-z-]+=[^,/]*,)*fm=[a-z]+\.[a-z0-9]+")


def named(name: str) -> Transformation | None:
    """The transformation that a rendition's name tells; None where it is a digest, or of an older
    vocabulary."""
    try:
        return parse(name.removeprefix(ON_DEMAND).rpartition(".")[0])
    except InvalidTransformation:
        return None


def is_rendition_name(name: str) -> bool:
    """Whether a key's last segment was made by this program, of whatever version, so that the
    renditions of an older vocabulary can still be swept; an object that somebody else put beside
    them does not fit."""
    return _RENDITION_NAME.fullmatch(name) is not None
