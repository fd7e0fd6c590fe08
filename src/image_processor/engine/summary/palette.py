"""The dominant colour of an image, and a palette of its distinguishable colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .placeholders import linear_light, pixels_of

MAX_COLOURS = 6
"""The size of the largest palette."""

MIN_DISTANCE = 20.0
"""The smallest distance between two colours of a palette: CIE 1976 colour difference, in which 2.3 is just
noticeable and black is 100 from white."""

MIN_SHARE = 0.01
"""The smallest part of the image that a colour of its palette stands for."""

_Lab = tuple[float, float, float]
Weighted = tuple[tuple[int, int, int], int]
"""A colour as bytes, and the sum of the alphas of the pixels that have it."""


def colour_boxes(rgba: bytes) -> Sequence[Weighted]:
    """The mean colour of each of 4,096 boxes (16 steps a channel) that holds something visible, weighted by
    alpha, the fullest first."""
    boxes: dict[int, list[int]] = {}
    for red, green, blue, alpha in pixels_of(rgba):
        box = (red & 240) << 4 | green & 240 | blue >> 4
        sums = boxes.get(box)
        if sums is None:
            sums = boxes[box] = [0, 0, 0, 0]
        sums[0] += red * alpha
        sums[1] += green * alpha
        sums[2] += blue * alpha
        sums[3] += alpha
    fullest_first = sorted(boxes.values(), key=lambda sums: -sums[3])
    return [
        ((round(red / weight), round(green / weight), round(blue / weight)), weight)
        for red, green, blue, weight in fullest_first
        if weight
    ]


def dominant_colour(boxes: Sequence[Weighted]) -> str:
    """`#rrggbb`: the mean colour of the fullest box; white where every pixel is transparent."""
    return _hexadecimal(boxes[0][0] if boxes else (255, 255, 255))


def palette(boxes: Sequence[Weighted]) -> tuple[str, ...]:
    """Up to MAX_COLOURS colours `#rrggbb`, the most frequent first; none where every pixel is transparent.

    The mean colours of the boxes are visited from the fullest on: each counts towards the nearest
    colour found before, if that is nearer than MIN_DISTANCE, else it becomes a new colour. So any two of
    the result are at least MIN_DISTANCE apart, and each stands for MIN_SHARE or more.
    """
    centres: list[_Lab] = []
    colours: list[tuple[str, list[int]]] = []
    for colour, weight in boxes:
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


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _to_lab(colour: tuple[int, int, int]) -> _Lab:
    """CIELAB of sRGB under D65: lightness 0-100, and the two colour axes."""
    light = linear_light()
    red, green, blue = light[colour[0]], light[colour[1]], light[colour[2]]
    # IEC 61966-2-1, as parts of the white of D65.
    x = _lab_curve((41.24 * red + 35.76 * green + 18.05 * blue) / 95.047)
    y = _lab_curve((21.26 * red + 71.52 * green + 7.22 * blue) / 100.0)
    z = _lab_curve((1.93 * red + 11.92 * green + 95.05 * blue) / 108.883)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


_KNEE = (6 / 29) ** 3


def _lab_curve(value: float) -> float:
    # CIE 15:2018, 8.2.1: a cube root, linear near black.
    return math.cbrt(value) if value > _KNEE else value / (3 * (6 / 29) ** 2) + 4 / 29
