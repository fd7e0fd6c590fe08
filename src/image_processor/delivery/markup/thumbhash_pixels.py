"""Delivery: decodes a ThumbHash (evanw/thumbhash) to pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

_MIN_BYTES = 6
_COLOUR_GAIN = 1.25
"""The format amplifies colours when it decodes them."""

Frequencies = Sequence[tuple[int, int, float]]
"""Cosine terms: the horizontal and vertical frequency, and the coefficient."""


class _Hash:
    """The decoded fields: mean and frequencies of luma, warm (yellow-blue), green and alpha."""

    def __init__(self, packed: bytes) -> None:
        head, tail = int.from_bytes(packed[:3], "little"), int.from_bytes(packed[3:5], "little")
        self.has_alpha = bool(head >> 23)
        longer, shorter = 5 if self.has_alpha else 7, tail & 7
        landscape = bool(tail >> 15)
        across, down = (longer, shorter) if landscape else (shorter, longer)
        rest = _nibbles(packed[5 + self.has_alpha :])
        self.luma = (head & 63) / 63
        self.warm, self.green = (head >> 6 & 63) / 31.5 - 1, (head >> 12 & 63) / 31.5 - 1
        self.luma_frequencies = _frequencies(rest, max(3, across), max(3, down), (head >> 18 & 31) / 31)
        self.warm_frequencies = _frequencies(rest, 3, 3, (tail >> 3 & 63) / 63 * _COLOUR_GAIN)
        self.green_frequencies = _frequencies(rest, 3, 3, (tail >> 9 & 63) / 63 * _COLOUR_GAIN)
        self.alpha, self.alpha_frequencies = 1.0, _frequencies(rest, 0, 0, 0)
        if self.has_alpha:
            self.alpha = (packed[5] & 15) / 15
            self.alpha_frequencies = _frequencies(rest, 5, 5, (packed[5] >> 4) / 15)


def thumbhash_to_rgba(packed: bytes, width: int, height: int) -> bytes:
    """The image as ``width`` x ``height`` pixels of RGBA with straight alpha. Raises ValueError if
    ``packed`` is not a ThumbHash."""
    if len(packed) < _MIN_BYTES:
        raise ValueError(packed)
    try:
        parts = _Hash(packed)
    except StopIteration:
        raise ValueError(packed) from None
    across, down = _cosines(width), _cosines(height)
    return b"".join(_pixel(parts, across[x], down[y]) for y in range(height) for x in range(width))


def _pixel(parts: _Hash, across: Sequence[float], down: Sequence[float]) -> bytes:
    def at(mean: float, frequencies: Frequencies) -> float:
        return mean + 2 * sum(coefficient * across[x] * down[y] for x, y, coefficient in frequencies)

    luma = at(parts.luma, parts.luma_frequencies)
    warm, green = at(parts.warm, parts.warm_frequencies), at(parts.green, parts.green_frequencies)
    blue = luma - warm * 2 / 3
    red = (3 * luma - blue + green) / 2
    channels = (red, red - green, blue, at(parts.alpha, parts.alpha_frequencies))
    return bytes(round(255 * min(1.0, max(0.0, channel))) for channel in channels)


def _frequencies(rest: Iterator[float], across: int, down: int, scale: float) -> Frequencies:
    positions = ((x, y) for y in range(down) for x in range(across) if x * down < across * (down - y))
    return [(x, y, next(rest) * scale) for x, y in positions if x or y]


def _nibbles(packed: bytes) -> Iterator[float]:
    """Values from -1 to 1 in 4 bits each, the low half of a byte first."""
    return ((four / 7.5) - 1 for byte in packed for four in (byte & 15, byte >> 4))


def _cosines(length: int) -> Sequence[Sequence[float]]:
    """For each pixel, the values of the cosine functions."""
    return [
        [math.cos(math.pi / length * (at + 0.5) * frequency) for frequency in range(8)]
        for at in range(length)
    ]
