"""Ground floor: the vocabulary of overlays, one row for each field of overlay.py's values."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from image_processor.domain.errors import InvalidKey
from image_processor.domain.keys import MAX_KEY_BYTES, check_key

from .parameters import COLOUR, FLAG, Parameter, ValueType, choice, integer, length, number
from .values import MAX_SIDE, SMART, WHITE, Gravity, RelativeLength, quote, unquote

LONGEST_TEXT = 500
"""How many characters a text has at most."""

LARGEST_TEXT = 2000
"""The largest size of a text in pixels."""

FARTHEST_SHADOW = 100
"""How far a shadow lies and how wide it is blurred at most, in pixels."""

# Defaults, which leave a field out of the text.
TEXT_SIZE = RelativeLength(0.05)
FONT = "sans"
WHOLE_SIDE = RelativeLength(1.0)
SHADOW_OFFSET = RelativeLength(0.06)
SHADOW_BLUR = RelativeLength(0.1)
NO_LENGTH = RelativeLength(0.0)
"""The same as 0 pixels, which is how it is written."""


class Blend(StrEnum):
    """How a layer's colours meet those below it: W3C's Compositing and Blending Level 1, chapter 9."""

    OVER = "over"
    MULTIPLY = "multiply"
    SCREEN = "screen"
    OVERLAY = "overlay"
    DARKEN = "darken"
    LIGHTEN = "lighten"
    COLOUR_DODGE = "colour-dodge"
    COLOUR_BURN = "colour-burn"
    HARD_LIGHT = "hard-light"
    SOFT_LIGHT = "soft-light"
    DIFFERENCE = "difference"
    EXCLUSION = "exclusion"


class Align(StrEnum):
    """On which side the lines of a text are even. Of text that runs from right to left, LEFT and
    RIGHT change sides: LEFT is where a line begins."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"


def _is_key(value: Any) -> bool:
    try:
        return isinstance(value, str) and check_key(value) == value
    except InvalidKey:
        return False


def _is_text(value: Any) -> bool:
    """Something to see, and no control characters, which have no look that a font could give."""
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT or not value.strip():
        return False
    return all(
        one == "\n" or unicodedata.category(one) not in {"Cc", "Cs"} for one in value.replace("\r\n", "\n")
    )


# Pango reads a size, `@` variations, `#` features and a list of families in the same description.
_FONT_WORDS = re.compile(r"[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*(?: [A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*)*")
_SIZES = re.compile(r"(?:.* )?[0-9]+(?:px|pt)?", re.IGNORECASE)


def _is_font(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= 80
        and _FONT_WORDS.fullmatch(value) is not None
        and _SIZES.fullmatch(value) is None
    )


def _above_zero(item: ValueType) -> ValueType:
    return replace(item, is_valid=lambda value: item.is_valid(value) and value != NO_LENGTH)


def _is_nine(value: Any) -> bool:
    return isinstance(value, Gravity) and value not in SMART


_NINE = [gravity for gravity in Gravity if gravity not in SMART]
_KEY = ValueType(f"a key of 1-{MAX_KEY_BYTES} bytes", unquote, _is_key, quote)
_TEXT = ValueType(
    f"a text of 1-{LONGEST_TEXT} characters, without control characters", unquote, _is_text, quote
)
_FONT = ValueType("a font's family and style without a size, such as 'sans bold'", unquote, _is_font, quote)
_SIDE = _above_zero(length(1, MAX_SIDE))
_OFFSET = length(-MAX_SIDE, MAX_SIDE)
_SHADOW = length(-FARTHEST_SHADOW, FARTHEST_SHADOW)

_PLACE_ROWS = (
    Parameter("g", "gravity", ValueType(" | ".join(_NINE), Gravity, _is_nine), Gravity.CENTRE),
    Parameter("x", "x", _OFFSET, 0),
    Parameter("y", "y", _OFFSET, 0),
    Parameter("rotate", "rotate", number(-360, 360, "degrees"), 0),
    Parameter("o", "opacity", integer(0, 100), 100),
    Parameter("blend", "blend", choice(Blend), Blend.OVER),
    Parameter("tile", "tile", FLAG, False),
    Parameter("gap", "gap", length(0, MAX_SIDE), 0),
)
# The order of the rows is the canonical order of the text form.
IMAGE_ROWS = (
    Parameter("image", "image", _KEY, ""),
    Parameter("w", "width", _SIDE),
    Parameter("h", "height", _SIDE),
    *_PLACE_ROWS,
)
TEXT_ROWS = (
    Parameter("text", "text", _TEXT, ""),
    Parameter("size", "size", _above_zero(length(1, LARGEST_TEXT)), TEXT_SIZE),
    Parameter("font", "font", _FONT, FONT),
    Parameter("colour", "colour", COLOUR, WHITE),
    Parameter("w", "width", _SIDE, WHOLE_SIDE),
    Parameter("align", "align", choice(Align), Align.LEFT),
    Parameter("spacing", "spacing", number(0, 3, "sizes"), 0),
    *_PLACE_ROWS,
    Parameter("shadow", "shadow", COLOUR),
    Parameter("shadow-x", "shadow_x", _SHADOW, SHADOW_OFFSET),
    Parameter("shadow-y", "shadow_y", _SHADOW, SHADOW_OFFSET),
    Parameter("shadow-blur", "shadow_blur", length(0, FARTHEST_SHADOW), SHADOW_BLUR),
)

FREE_TEXT = (_KEY, _TEXT, _FONT)
"""Kinds whose value is the text itself, escaped in the text form only."""

MOST_PIXELS = {
    "x": MAX_SIDE,
    "y": MAX_SIDE,
    "width": MAX_SIDE,
    "height": MAX_SIDE,
    "gap": MAX_SIDE,
    "size": LARGEST_TEXT,
    "shadow_x": FARTHEST_SHADOW,
    "shadow_y": FARTHEST_SHADOW,
    "shadow_blur": FARTHEST_SHADOW,
}
"""The fields that may be pixels, each with the most that it may be."""
