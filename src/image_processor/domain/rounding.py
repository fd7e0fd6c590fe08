"""The one rule by which lengths become whole pixels: half up, also below zero."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

DECIMALS: Final = 3
"""The most decimals that a number of a transformation has."""


def round_half_up(value: float | Fraction) -> int:
    """The nearest integer; of two, the greater one. Exact for fractions."""
    if isinstance(value, float):
        return math.floor(value + 0.5)
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def round_number(value: float) -> float:
    """``value`` with at most DECIMALS decimals, as an int if it is whole."""
    rounded = round(value, DECIMALS)
    return int(rounded) if rounded == int(rounded) else rounded
