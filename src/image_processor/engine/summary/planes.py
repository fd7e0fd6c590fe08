"""Pictures as plain numbers, for what looks and placeholders compute in pure Python: pixels,
channels as rows, and a channel's lowest frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from operator import mul

Plane = Sequence[Sequence[float]]
"""One channel: rows of numbers."""


def pixels_of(rgba: bytes) -> Iterable[tuple[int, int, int, int]]:
    return zip(rgba[::4], rgba[1::4], rgba[2::4], rgba[3::4], strict=True)


def rows_of(values: Sequence[float], width: int) -> Plane:
    return [values[at : at + width] for at in range(0, len(values), width)]


def lowest_frequencies(plane: Plane, across: int, down: int, *, phase: float = 0.5) -> list[list[float]]:
    """How much of the lowest ``across`` x ``down`` cosine waves is in ``plane``, each over the
    number of pixels: the first is the mean.

    With ``phase`` 0.5 pixels are taken at their centres, which makes it the DCT-II; with 0 at
    their left upper corners. Rows first, then columns: that is what makes it quick.
    """
    height, width = len(plane), len(plane[0])
    by_row = [[sum(map(mul, row, wave)) for wave in _cosines(across, width, phase)] for row in plane]
    columns = list(zip(*by_row, strict=True))
    area = width * height
    return [
        [sum(map(mul, column, wave)) / area for column in columns] for wave in _cosines(down, height, phase)
    ]


@cache
def _cosines(count: int, length: int, phase: float) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(math.cos(math.pi / length * wave * (at + phase)) for at in range(length))
        for wave in range(count)
    )
