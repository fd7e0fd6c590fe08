"""How one rendition is made: `Transformation` is the frozen value, `parse` reads its text form.

`transformation` declares the parameters, `overlay` those of overlays, `canonical` the rules by which
different texts mean the same image.
"""

from __future__ import annotations

import re

from image_processor.domain.errors import InvalidTransformation

from .overlay import (
    IMAGE_PARAMETERS,
    MAX_OUTLINE,
    MAX_SHADOW,
    TEXT_PARAMETERS,
    Align,
    Blend,
    ImageOverlay,
    Overlay,
    OverlayFit,
    TextOverlay,
    overlay_from,
)
from .parameter_table import Example, Parameter, read_pairs, suggest
from .parameter_types import Control, read_colour
from .step import MAX_STEPS, STEP_KINDS, Backdrop, Step, StepKind, parse_step
from .transformation import MAX_OVERLAYS, PARAMETERS, Transformation
from .values import (
    AUTO,
    BLACK,
    MAX_SIDE,
    SMART,
    WHITE,
    Colour,
    ColourSpace,
    Edge,
    Fit,
    Flip,
    Gravity,
    Length,
    RelativeLength,
    Subsampling,
    in_pixels,
    quote,
    unquote,
)

__all__ = [
    "AUTO",
    "BLACK",
    "IMAGE_PARAMETERS",
    "MAX_OUTLINE",
    "MAX_OVERLAYS",
    "MAX_SHADOW",
    "MAX_SIDE",
    "MAX_STEPS",
    "ON_DEMAND",
    "PARAMETERS",
    "SMART",
    "STEP_KINDS",
    "TEXT_PARAMETERS",
    "WHITE",
    "Align",
    "Backdrop",
    "Blend",
    "Colour",
    "ColourSpace",
    "Control",
    "Edge",
    "Example",
    "Fit",
    "Flip",
    "Gravity",
    "ImageOverlay",
    "Length",
    "Overlay",
    "OverlayFit",
    "Parameter",
    "RelativeLength",
    "Step",
    "StepKind",
    "Subsampling",
    "TextOverlay",
    "Transformation",
    "in_pixels",
    "is_rendition_name",
    "named",
    "overlay_from",
    "parse",
    "parse_step",
    "quote",
    "read_colour",
    "read_pairs",
    "suggest",
    "unquote",
]

ON_DEMAND = "~"
"""The first character of the name of a rendition that no public preset declares; its URL is signed."""

_RENDITION_NAME = re.compile(rf"{ON_DEMAND}?(?:[a-z-]+=[^,/]*,)*fm=[a-z]+\.[a-z0-9]+")


def parse(text: str) -> Transformation:
    """The transformation in a text such as `w=640,fm=webp`, its parameters in any order and by any of their
    names: `width=640,format=webp`, `fit=crop`, `fm=jpg`.

    Raises InvalidTransformation with every problem.
    """
    values, problems = read_pairs(text, PARAMETERS, separator=",", equals="=")
    if problems:
        from .aliases import without_aliases  # noqa: PLC0415 - most texts are canonical

        values, problems = read_pairs(without_aliases(text), PARAMETERS, separator=",", equals="=")
    if problems:
        raise InvalidTransformation(problems)
    return Transformation(**values)


def named(name: str) -> Transformation | None:
    """The transformation in a rendition's name; None if the name is a digest, or of an older version
    with other parameters."""
    text = name.removeprefix(ON_DEMAND).rpartition(".")[0]
    values, problems = read_pairs(text, PARAMETERS, separator=",", equals="=")
    try:
        return None if problems else Transformation(**values)
    except InvalidTransformation:
        return None


def is_rendition_name(name: str) -> bool:
    """Whether the last segment of a key names a rendition of any version of this program.

    Renditions of older versions can be deleted that way, and other objects next to them are not.
    """
    return _RENDITION_NAME.fullmatch(name) is not None
