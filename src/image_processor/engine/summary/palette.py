"""The colours of a picture: the dominant one, and a palette of those that can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .planes import pixels_of

MOST = 6
"""The most colours of a palette."""

DISTINCT = 20.0
"""How far apart the colours of a palette are at least: CIE 1976 colour difference, in which 2.3 is
just noticeable and black lies 100 from white."""

LEAST_SHARE = 0.01
"""What covers less of the picture than this is no colour of its palette."""

_Lab = tuple[float, float, float]
_Weighted = tuple[tuple[int, int, int], int]
"""A colour as bytes, and the sum of the alphas of the pixels that have it."""

_WHITE = (95.047, 100.0, 108.883)  # D65
_TO_XYZ = ((41.24, 35.76, 18.05), (21.26, 71.52, 7.22), (1.93, 11.92, 95.05))  # IEC 61966-2-1


def dominant_colour(rgba: bytes) -> str:
    """`#rrggbb`: the mean colour of the fullest of 4,096 boxes (16 steps a channel), by alpha."""
    colour, _ = next(_boxes(rgba), ((255, 255, 255), 0))
    return _hexadecimal(colour)


def palette(rgba: bytes) -> tuple[str, ...]:
    """Up to MOST colours `#rrggbb`, the most frequent first; none where nothing can be seen.

    The mean colours of the 4,096 boxes are gone through from the fullest one on: each is counted
    to the nearest colour found before, if that is nearer than DISTINCT, else it is a new one. So
    any two of the result are at least DISTINCT apart, and each stands for LEAST_SHARE or more.
    """
    founders: list[_Lab] = []
    found: list[tuple[str, list[int]]] = []
    for colour, weight in _boxes(rgba):
        lab = _to_lab(colour)
        distances = [math.dist(lab, other) for other in founders]
        nearest = min(distances, default=DISTINCT)
        if nearest < DISTINCT:
            found[distances.index(nearest)][1][0] += weight
        else:
            founders.append(lab)
            found.append((_hexadecimal(colour), [weight]))
    least = LEAST_SHARE * sum(weight for _, (weight,) in found)
    ordered = sorted(found, key=lambda each: -each[1][0])
    return tuple(colour for colour, (weight,) in ordered[:MOST] if weight >= least)


def _boxes(rgba: bytes) -> Iterator[_Weighted]:
    """The mean colour of each box that holds something visible, and its weight, fullest first."""
    boxes: dict[tuple[int, int, int], list[int]] = {}
    for red, green, blue, alpha in pixels_of(rgba):
        sums = boxes.setdefault((red >> 4, green >> 4, blue >> 4), [0, 0, 0, 0])
        for band, value in enumerate((red * alpha, green * alpha, blue * alpha, alpha)):
            sums[band] += value
    for red, green, blue, weight in sorted(boxes.values(), key=lambda sums: -sums[3]):
        if weight:
            yield (round(red / weight), round(green / weight), round(blue / weight)), weight


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _to_lab(colour: tuple[int, int, int]) -> _Lab:
    """CIELAB of sRGB under D65: lightness 0-100, and the two colour axes."""
    light = [_to_light(value / 255) for value in colour]
    x, y, z = (
        _bent(sum(share * each for share, each in zip(row, light, strict=True)) / white)
        for row, white in zip(_TO_XYZ, _WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _to_light(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _bent(value: float) -> float:
    # CIE 15:2018, 8.2.1: a cube root with a straight piece near black.
    return math.cbrt(value) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29
