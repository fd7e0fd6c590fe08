"""A ThumbHash becomes pixels again, for whoever shows it where no program decodes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

_LEAST = 5
_COLOUR_GAIN = 1.25
"""The format's own: colours come back stronger than the 4 bits hold them."""

Waves = Sequence[tuple[int, int, float]]
"""How many half waves go across and down, and how high they are."""


class _Hash:
    """The parts of a hash: the mean of each channel and its waves."""

    def __init__(self, packed: bytes) -> None:
        head, tail = int.from_bytes(packed[:3], "little"), int.from_bytes(packed[3:5], "little")
        self.has_alpha = bool(head >> 23)
        longer, shorter = 5 if self.has_alpha else 7, tail & 7
        landscape = bool(tail >> 15)
        across, down = (longer, shorter) if landscape else (shorter, longer)
        rest = _nibbles(packed[5 + self.has_alpha :])
        self.luma = (head & 63) / 63
        self.warm, self.green = (head >> 6 & 63) / 31.5 - 1, (head >> 12 & 63) / 31.5 - 1
        self.luma_waves = _waves(rest, max(3, across), max(3, down), (head >> 18 & 31) / 31)
        self.warm_waves = _waves(rest, 3, 3, (tail >> 3 & 63) / 63 * _COLOUR_GAIN)
        self.green_waves = _waves(rest, 3, 3, (tail >> 9 & 63) / 63 * _COLOUR_GAIN)
        self.alpha, self.alpha_waves = 1.0, _waves(rest, 0, 0, 0)
        if self.has_alpha:
            self.alpha = (packed[5] & 15) / 15
            self.alpha_waves = _waves(rest, 5, 5, (packed[5] >> 4) / 15)


def pixels_of(packed: bytes, width: int, height: int) -> bytes:
    """The picture in RGBA with straight alpha. Raises ValueError for what is no ThumbHash."""
    if len(packed) < _LEAST + 1:
        raise ValueError(packed)
    try:
        parts = _Hash(packed)
    except StopIteration:
        raise ValueError(packed) from None
    across, down = _cosines(width), _cosines(height)
    return b"".join(_pixel(parts, across[x], down[y]) for y in range(height) for x in range(width))


def _pixel(parts: _Hash, across: Sequence[float], down: Sequence[float]) -> bytes:
    def at(mean: float, waves: Waves) -> float:
        return mean + 2 * sum(high * across[x] * down[y] for x, y, high in waves)

    luma = at(parts.luma, parts.luma_waves)
    warm, green = at(parts.warm, parts.warm_waves), at(parts.green, parts.green_waves)
    blue = luma - warm * 2 / 3
    red = (3 * luma - blue + green) / 2
    channels = (red, red - green, blue, at(parts.alpha, parts.alpha_waves))
    return bytes(round(255 * min(1.0, max(0.0, channel))) for channel in channels)


def _waves(rest: Iterator[float], across: int, down: int, scale: float) -> Waves:
    places = ((x, y) for y in range(down) for x in range(across) if x * down < across * (down - y))
    return [(x, y, next(rest) * scale) for x, y in places if x or y]


def _nibbles(packed: bytes) -> Iterator[float]:
    """Values from -1 to 1 of 4 bits each, the low half of a byte first."""
    return ((four / 7.5) - 1 for byte in packed for four in (byte & 15, byte >> 4))


def _cosines(length: int) -> Sequence[Sequence[float]]:
    """Of each place the heights of the waves there."""
    return [[math.cos(math.pi / length * (at + 0.5) * wave) for wave in range(8)] for at in range(length)]
