"""The small values that a transformation consists of, each with one text form."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

from image_processor.domain.rounding import DECIMALS, round_half_up

MAX_SIDE = 16383
"""The longest side of a rendition in pixels: WebP's limit, the smallest of our encoders."""

AUTO: Final = "auto"
"""As a quality: chosen for each image, so that all look equally good."""


class Fit(StrEnum):
    """How an image is fitted to a box. The names are those of CSS and sharp; `fill-down` is imgproxy's."""

    COVER = "cover"
    CONTAIN = "contain"
    FILL = "fill"
    INSIDE = "inside"
    OUTSIDE = "outside"
    FILL_DOWN = "fill-down"


class Gravity(StrEnum):
    """The part of an image that a crop keeps, or the side where it is placed when it is padded.

    The last four depend on the image: the most striking part, the most detailed one, faces, and the point
    that a person has set for it; without one, as ATTENTION.
    """

    CENTRE = "centre"
    NORTH = "north"
    NORTHEAST = "northeast"
    EAST = "east"
    SOUTHEAST = "southeast"
    SOUTH = "south"
    SOUTHWEST = "southwest"
    WEST = "west"
    NORTHWEST = "northwest"
    ATTENTION = "attention"
    ENTROPY = "entropy"
    FACES = "faces"
    FOCUS = "focus"


SMART = frozenset({Gravity.ATTENTION, Gravity.ENTROPY, Gravity.FACES, Gravity.FOCUS})
"""The gravities that depend on the image."""


class Flip(StrEnum):
    """Mirroring from left to right, from top to bottom, or both."""

    HORIZONTAL = "h"
    VERTICAL = "v"
    BOTH = "hv"


class Edge(StrEnum):
    """What fills the bars of `contain` and the padding: the background, or the image itself with its
    border copied, repeated, mirrored, or enlarged and blurred."""

    BACKGROUND = "background"
    COPY = "copy"
    REPEAT = "repeat"
    MIRROR = "mirror"
    BLUR = "blur"


class Subsampling(StrEnum):
    """Chroma subsampling: half the resolution, or all of it."""

    HALF = "420"
    FULL = "444"


class ColourSpace(StrEnum):
    """The colour space of a rendition, where the ICC policy does not decide about it."""

    P3 = "p3"
    """Display P3, with its profile embedded."""


class Colour(Struct, frozen=True, order=True):
    """An opaque sRGB colour, 0-255 per channel; its text is six lower-case hex digits."""

    red: int
    green: int
    blue: int

    def __str__(self) -> str:
        return f"{self.red:02x}{self.green:02x}{self.blue:02x}"


WHITE = Colour(255, 255, 255)
BLACK = Colour(0, 0, 0)


class RelativeLength(Struct, frozen=True, order=True):
    """A fraction of a side; 1.0 is all of it.

    The text always has a decimal point, which pixels never have: `0.25` is a quarter, `1.0` the
    whole side, `1` one pixel.
    """

    of_side: float

    def __str__(self) -> str:
        text = format_number(self.of_side)
        return text if "." in text else f"{text}.0"


Length = int | RelativeLength
"""A distance: whole pixels, or a fraction of the side that it is measured along."""


def in_pixels(length: Length, side: int) -> int:
    """``length`` along a side of ``side`` pixels, rounded half up."""
    return round_half_up(length.of_side * side) if isinstance(length, RelativeLength) else length


def format_number(value: float) -> str:
    """The shortest text of a number with at most DECIMALS decimals; never with an exponent."""
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_PLAIN = re.compile(rb"[A-Za-z0-9_.-]")
_QUOTED = re.compile(r"(?:[A-Za-z0-9_.-]|~[0-9a-fA-F]{2})*")


def quote(text: str) -> str:
    """``text`` escaped for the text form of a transformation.

    Letters, digits, `_`, `.` and `-` stay; any other byte of the UTF-8 becomes `~` and two hex digits.
    `~` needs no escaping in a URL.
    """
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"~{byte:02x}" for byte in text.encode())


def unquote(text: str) -> str:
    """The inverse of `quote`. Raises ValueError for a text that `quote` cannot return, except for case."""
    if not _QUOTED.fullmatch(text):
        raise ValueError(text)
    return re.sub(rb"~(..)", lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()
