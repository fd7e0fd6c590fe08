"""Finds the most striking point of a small image, by the rule of libvips' smartcrop, which is that of
smartcrop.js.

The sum of three scores is highest there: how strong edges are, how close a colour is to skin, and how red it
is (the a of CIELAB), blurred over the area of a crop. In pure Python, because libvips sets up forty
operations for 1,024 pixels, which takes twice as long; `tests/engine/test_attention.py` compares both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from operator import mul

from .placeholders import linear_light, rows_of

SIDE = 32
"""The width and the height of the image in which it is looked for, whatever its original's proportions."""

_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
"""From linear light (IEC 61966-2-1)."""
_WHITE_X, _WHITE_Y = 95.047, 100.0
_SKIN = (0.78, 0.57, 0.44)
"""The direction of the colour of skin in XYZ."""
_DARK = 5.0
"""The luminance up to which a pixel has no colour."""
_EDGES = 5.0


def find_attention(rgb: bytes, width: int, height: int) -> tuple[int, int]:
    """The pixel of a ``width`` x ``height`` image on which the largest square that fits in would be centred.
    ``rgb`` are the pixels of the image resized to SIDE x SIDE."""
    side = min(width, height)
    across, down = SIDE / width, SIDE / height
    sigma = max(math.sqrt((side * across) ** 2 + (side * down) ** 2) / 10, 1.0)
    blurred = _blur(_scores(rgb), _gaussian(sigma))
    row, column = divmod(blurred.index(max(blurred)), SIDE)
    return int(column / across), int(row / down)


def _scores(rgb: bytes) -> list[float]:
    pixels = list(zip(rgb[::3], rgb[1::3], rgb[2::3], strict=True))
    xs, ys, zs = (
        [red[r] + green[g] + blue[b] for r, g, b in pixels] for red, green, blue in _xyz_of_values()
    )
    scores = []
    for x, y, z, edge in zip(xs, ys, zs, _edges(ys), strict=True):
        score = _EDGES * edge
        if y > _DARK:
            length = math.hypot(x, y, z)
            score += 100 - 100 * math.dist((x / length, y / length, z / length), _SKIN)
            score += 500 * (math.cbrt(x / _WHITE_X) - math.cbrt(y / _WHITE_Y))
        scores.append(score)
    return scores


@cache
def _xyz_of_values() -> Sequence[Sequence[Sequence[float]]]:
    """What each of the 256 values of red, green and blue adds to X, Y and Z, up to 100."""
    light = linear_light()
    return [[[100 * weight * value for value in light] for weight in weights] for weights in _TO_XYZ]


def _edges(values: Sequence[float]) -> list[float]:
    """How much each pixel differs from its four neighbours."""
    rows = rows_of(values, SIDE)
    found: list[float] = []
    for above, row, below in zip([rows[0], *rows], rows, [*rows[1:], rows[-1]], strict=False):
        left, right = [row[0], *row[:-1]], [*row[1:], row[-1]]
        around = zip(row, left, right, above, below, strict=True)
        found += [abs(4 * value - one - two - three - four) for value, one, two, three, four in around]
    return found


@cache
def _gaussian(sigma: float) -> Sequence[int]:
    """The weights of a Gaussian, up to 20, as far as they are a fifth of the largest."""
    twice = 2 * sigma * sigma
    reach = 0
    while math.exp(-((reach + 1) ** 2) / twice) >= 0.2:
        reach += 1
    return [round(20 * math.exp(-distance * distance / twice)) for distance in range(-reach, reach + 1)]


def _blur(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    across = [_convolve(row, weights) for row in rows_of(values, SIDE)]
    down = [_convolve(column, weights) for column in zip(*across, strict=True)]
    return [value for row in zip(*down, strict=True) for value in row]


def _convolve(line: Sequence[float], weights: Sequence[int]) -> list[float]:
    """The sums of ``line``, whose ends are repeated, weighted around each value."""
    count = len(weights)
    padding = count // 2
    padded = [line[0]] * padding + [*line] + [line[-1]] * padding
    return [sum(map(mul, padded[at : at + count], weights)) for at in range(len(line))]
