"""The dominant colour of an image, and a palette of its distinguishable colours."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .placeholders import linear_light, pixels_of

MAX_COLOURS = 6
"""The size of the largest palette."""

MIN_DISTANCE = 20.0
"""The smallest distance between two colours of a palette: CIE 1976 colour difference, in which 2.3 is just
noticeable and black is 100 from white."""

MIN_SHARE = 0.01
"""The smallest part of the image that a colour of its palette stands for."""

_Lab = tuple[float, float, float]
_Weighted = tuple[tuple[int, int, int], int]
"""A colour as bytes, and the sum of the alphas of the pixels that have it."""

_WHITE = (95.047, 100.0, 108.883)  # D65
_TO_XYZ = ((41.24, 35.76, 18.05), (21.26, 71.52, 7.22), (1.93, 11.92, 95.05))  # IEC 61966-2-1


def dominant_colour(rgba: bytes) -> str:
    """`#rrggbb`: the mean colour of the fullest of 4,096 boxes (16 steps a channel), weighted by alpha."""
    colour, _ = next(_boxes(rgba), ((255, 255, 255), 0))
    return _hexadecimal(colour)


def palette(rgba: bytes) -> tuple[str, ...]:
    """Up to MAX_COLOURS colours `#rrggbb`, the most frequent first; none where every pixel is transparent.

    The mean colours of the 4,096 boxes are visited from the fullest on: each counts towards the nearest
    colour found before, if that is nearer than MIN_DISTANCE, else it becomes a new colour. So any two of
    the result are at least MIN_DISTANCE apart, and each stands for MIN_SHARE or more.
    """
    centres: list[_Lab] = []
    colours: list[tuple[str, list[int]]] = []
    for colour, weight in _boxes(rgba):
        lab = _to_lab(colour)
        distances = [math.dist(lab, other) for other in centres]
        nearest = min(distances, default=MIN_DISTANCE)
        if nearest < MIN_DISTANCE:
            colours[distances.index(nearest)][1][0] += weight
        else:
            centres.append(lab)
            colours.append((_hexadecimal(colour), [weight]))
    min_weight = MIN_SHARE * sum(weight for _, (weight,) in colours)
    ordered = sorted(colours, key=lambda entry: -entry[1][0])
    return tuple(colour for colour, (weight,) in ordered[:MAX_COLOURS] if weight >= min_weight)


def _boxes(rgba: bytes) -> Iterator[_Weighted]:
    """The mean colour of each box that holds something visible, and its weight, fullest first."""
    boxes: dict[tuple[int, int, int], list[int]] = {}
    for red, green, blue, alpha in pixels_of(rgba):
        sums = boxes.setdefault((red >> 4, green >> 4, blue >> 4), [0, 0, 0, 0])
        sums[0] += red * alpha
        sums[1] += green * alpha
        sums[2] += blue * alpha
        sums[3] += alpha
    for red, green, blue, weight in sorted(boxes.values(), key=lambda sums: -sums[3]):
        if weight:
            yield (round(red / weight), round(green / weight), round(blue / weight)), weight


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _to_lab(colour: tuple[int, int, int]) -> _Lab:
    """CIELAB of sRGB under D65: lightness 0-100, and the two colour axes."""
    light = linear_light()
    red, green, blue = (light[value] for value in colour)
    x, y, z = (
        _lab_curve((of_red * red + of_green * green + of_blue * blue) / white)
        for (of_red, of_green, of_blue), white in zip(_TO_XYZ, _WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _lab_curve(value: float) -> float:
    # CIE 15:2018, 8.2.1: a cube root, linear near black.
    return math.cbrt(value) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29
