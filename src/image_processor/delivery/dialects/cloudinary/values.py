"""Delivery, step 1: the values of Cloudinary's parameters: lengths, ratios, gravities, colours, radii."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.rounding import round_half_up, round_number
from image_processor.domain.transformation import MAX_SIDE, Colour, Gravity, Length, RelativeLength

from .operations import MAX_RADIUS

_DECIMAL = re.compile(r"[0-9]{0,5}\.[0-9]{1,6}")
_INITIAL = re.compile(r"i([wh])(?:_(div|mul)_([0-9]{1,4}(?:\.[0-9]{1,4})?))?")
_INTEGER = re.compile(r"-?[0-9]{1,5}")
_SIGNED_DECIMAL = re.compile(r"-?[0-9]{0,5}\.[0-9]{1,6}")
_RATIO = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?):([0-9]{1,5}(?:\.[0-9]{1,4})?)")
_BORDER = re.compile(r"([0-9]{1,4})px_solid_(.+)")
_HEX_ALPHA = re.compile(r"[0-9a-f]{6}ff", re.IGNORECASE)

GRAVITIES: Mapping[str, Gravity] = {
    "north_west": Gravity.NORTHWEST,
    "north": Gravity.NORTH,
    "north_east": Gravity.NORTHEAST,
    "west": Gravity.WEST,
    "center": Gravity.CENTRE,
    "east": Gravity.EAST,
    "south_west": Gravity.SOUTHWEST,
    "south": Gravity.SOUTH,
    "south_east": Gravity.SOUTHEAST,
}
_DETECTED = {
    "auto": Gravity.ATTENTION,
    "face": Gravity.FACES,
    "faces": Gravity.FACES,
    "adv_face": Gravity.FACES,
    "adv_faces": Gravity.FACES,
}


def parse_side(text: str, name: str, builder: RequestBuilder, dpr: float) -> Length | None:
    """A side in pixels, times ``dpr``, or with a decimal point a share of the image's. `iw` and `ih` are all
    of it. Adds a problem and returns None for another text."""
    share = _share_of_initial(text, name)
    if share:
        return RelativeLength(float(round_number(share)))
    if _DECIMAL.fullmatch(text) and float(text) > 0:
        return RelativeLength(float(round_number(float(text))))
    if _INTEGER.fullmatch(text) and int(text) > 0:
        return min(MAX_SIDE, max(1, round_half_up(int(text) * dpr)))
    builder.add_error(name, "pixels, or a share of the side such as 0.5", text)
    return None


def _share_of_initial(text: str, name: str) -> float:
    """The share in `iw`, `iw_div_2` or `iw_mul_0.5`, of the height with `ih`; 0 if it is none."""
    match = _INITIAL.fullmatch(text)
    if match is None or match[1] != name:
        return 0
    number = float(match[3] or 1)
    return 1 / number if match[2] == "div" and number else number


def parse_offset(text: str, name: str, builder: RequestBuilder, dpr: float) -> Length:
    """An offset in pixels, times ``dpr``, or with a decimal point a share of the side. Adds a problem and
    returns 0 for another text."""
    if _INTEGER.fullmatch(text):
        return min(MAX_SIDE, max(-MAX_SIDE, round_half_up(int(text) * dpr)))
    if _SIGNED_DECIMAL.fullmatch(text) and abs(float(text)) <= 1:
        return RelativeLength(float(round_number(float(text))))
    builder.add_error(name, "pixels, or a share of the side such as 0.5", text)
    return 0


def parse_ratio(text: str, builder: RequestBuilder) -> Fraction | None:
    """`16:9` or `1.5`. Adds a problem and returns None for another text."""
    match = _RATIO.fullmatch(text)
    parts = match.groups() if match else (text, "1")
    try:
        ratio = Fraction(parts[0]) / Fraction(parts[1])
    except (ValueError, ZeroDivisionError):
        ratio = Fraction(0)
    if Fraction(1, 1000) <= ratio <= 1000:
        return ratio
    builder.add_error("ar", "a ratio such as 16:9 or 1.5", text)
    return None


def parse_gravity(text: str, builder: RequestBuilder) -> Gravity | None:
    """A compass direction, `auto` or faces, whatever their fallback. Adds a problem and returns None if it is
    not one."""
    known = GRAVITIES.get(text) or _DETECTED.get(text.partition(":")[0])
    if known is None:
        expected = ", ".join((*GRAVITIES, "auto, face, faces or xy_center"))
        builder.unsupported("g", f"one of {expected}", text)
    return known


def parse_colour(text: str, name: str, builder: RequestBuilder) -> Colour | None:
    """A name, `rgb:RRGGBB` or `rgb:RGB`; None for `transparent`. Adds a problem and returns None for another
    text."""
    if text == "transparent":
        return None
    digits = text.removeprefix("rgb:").removeprefix("#")
    return builder.colour(digits[:6] if _HEX_ALPHA.fullmatch(digits) else digits, name)


def parse_radii(text: str, builder: RequestBuilder, dpr: float) -> tuple[Length, ...] | str | None:
    """One to four radii from the top left corner on, as Cloudinary orders them, or MAX_RADIUS. None: no
    rounding."""
    if text == MAX_RADIUS:
        return text
    numbers = [builder.integer(part, "r", 0, MAX_SIDE) or 0 for part in text.split(":")]
    if len(numbers) > 4:
        builder.add_error("r", "max, or one to four radii in pixels", text)
        return None
    radii = tuple(min(MAX_SIDE, round_half_up(number * dpr)) for number in numbers)
    # The corners that follow are those opposite, as in CSS.
    corners = (radii * 4)[:4] if len(radii) != 3 else (*radii, radii[1])
    return corners if any(corners) else None


def parse_border(text: str, builder: RequestBuilder, dpr: float) -> tuple[int, Colour | None]:
    """Width in pixels and colour of `4px_solid_black`. Adds a problem and returns 0 and None for another
    text."""
    match = _BORDER.fullmatch(text)
    if match is None:
        builder.add_error("bo", "a border such as 4px_solid_black", text)
        return 0, None
    return round_half_up(int(match[1]) * dpr), parse_colour(match[2], "bo", builder)
