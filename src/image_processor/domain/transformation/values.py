"""Ground floor: the small values that a transformation is made of, each with one text form."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

MAX_SIDE = 16383
"""The longest side of a rendition in pixels: WebP's limit, the smallest of our encoders."""

PLACES = 3
"""How many decimals a number of a transformation has at most."""


AUTO: Final = "auto"
"""A quality that looks the same whatever the picture."""


class Fit(StrEnum):
    """How the picture meets a box; the names CSS and sharp use, and one of imgproxy's."""

    COVER = "cover"
    CONTAIN = "contain"
    FILL = "fill"
    INSIDE = "inside"
    OUTSIDE = "outside"
    FILL_DOWN = "fill-down"


class Gravity(StrEnum):
    """What stays when a picture is cropped, and where it stands when it is padded.

    The last three need pixels: what catches the eye, the most detail, and faces.
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


SMART = frozenset({Gravity.ATTENTION, Gravity.ENTROPY, Gravity.FACES})


class Flip(StrEnum):
    """Mirrored from left to right, or from top to bottom."""

    HORIZONTAL = "h"
    VERTICAL = "v"
    BOTH = "hv"


class Edge(StrEnum):
    """What the bars of `contain` and the padding are filled with: the background, or the picture
    itself, its border drawn out, repeated, mirrored, or enlarged and blurred."""

    BACKGROUND = "background"
    COPY = "copy"
    REPEAT = "repeat"
    MIRROR = "mirror"
    BLUR = "blur"


class Subsampling(StrEnum):
    """Whether colour is stored at half the resolution."""

    HALF = "420"
    FULL = "444"


class Colour(Struct, frozen=True, order=True):
    """An opaque sRGB colour, 0-255 a channel; its text is six lower-case hex digits."""

    red: int
    green: int
    blue: int

    def __str__(self) -> str:
        return f"{self.red:02x}{self.green:02x}{self.blue:02x}"


WHITE = Colour(255, 255, 255)
BLACK = Colour(0, 0, 0)


class RelativeLength(Struct, frozen=True, order=True):
    """A part of a side, 1.0 for the whole of it. Its text always has a decimal point, which tells
    it from pixels: `0.25` is a quarter, `1.0` everything, `1` one pixel."""

    of_side: float

    def __str__(self) -> str:
        text = show_number(self.of_side)
        return text if "." in text else f"{text}.0"


Length = int | RelativeLength
"""A distance: whole pixels, or a share of the side it lies along."""


def in_pixels(length: Length, side: int) -> int:
    """``length`` along a side of ``side`` pixels, rounded half up."""
    return math.floor(length.of_side * side + 0.5) if isinstance(length, RelativeLength) else length


def show_number(value: float) -> str:
    """The shortest text of a number with at most PLACES decimals, never with an exponent."""
    text = f"{value:.{PLACES}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_PLAIN = re.compile(rb"[A-Za-z0-9_.-]")
_QUOTED = re.compile(r"(?:[A-Za-z0-9_.-]|~[0-9a-fA-F]{2})*")


def quote(text: str) -> str:
    """``text`` as part of a transformation's text: letters, digits, `_`, `.` and `-` stay, any
    other byte of its UTF-8 becomes `~` and two hex digits. `~` needs no escaping in a URL."""
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"~{byte:02x}" for byte in text.encode())


def unquote(text: str) -> str:
    """The inverse of `quote`. Raises ValueError for what it would not have written (but for case)."""
    if not _QUOTED.fullmatch(text):
        raise ValueError(text)
    return re.sub(rb"~(..)", lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()
