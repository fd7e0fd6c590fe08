"""BlurHash: a blurred placeholder in 28 letters that many clients can draw. One part of a look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import chain

from .planes import lowest_frequencies, rows_of

ACROSS, DOWN = 4, 3
"""How many waves are kept in each direction."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_LARGEST_STEPS = 166
"""The largest amplitude is told in steps of 1/166."""


def blurhash(width: int, height: int, rgb: bytes) -> str:
    """The BlurHash, of 4 x 3 components, of a picture without alpha.

    The format is Wolt's (github.com/woltapp/blurhash, Algorithm.md): the lowest cosine waves of
    linear light, in base 83: how many there are, the largest amplitude, the mean colour as sRGB,
    and the other waves in 19 steps a channel.
    """
    linear = _linear()
    channels = [rows_of([linear[value] for value in rgb[band::3]], width) for band in range(3)]
    assert len(channels[0]) == height
    waves = [chain.from_iterable(lowest_frequencies(each, ACROSS, DOWN, phase=0)) for each in channels]
    mean, *rest = zip(*waves, strict=True)
    # Each wave but the mean counts twice, so that the sum of all gives the picture back.
    amplitudes = [tuple(2 * value for value in colour) for colour in rest]
    largest = max(map(abs, chain.from_iterable(amplitudes)))
    steps = max(0, min(82, math.floor(largest * _LARGEST_STEPS - 0.5)))
    scale = (steps + 1) / _LARGEST_STEPS
    return (
        _in_base_83(ACROSS - 1 + (DOWN - 1) * 9, 1)
        + _in_base_83(steps, 1)
        + _in_base_83(int.from_bytes(map(_to_srgb, mean)), 4)
        + "".join(_in_base_83(_packed(colour, scale), 2) for colour in amplitudes)
    )


def _packed(colour: Sequence[float], scale: float) -> int:
    """One wave's three amplitudes as one number. Roots, because small ones are seen best."""
    number = 0
    for value in colour:
        root = math.copysign(math.sqrt(abs(value) / scale), value)
        number = number * 19 + max(0, min(18, math.floor(root * 9 + 9.5)))
    return number


def _in_base_83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in reversed(range(length)))


@cache
def _linear() -> tuple[float, ...]:
    """Linear light of each of 256 values of sRGB (IEC 61966-2-1)."""
    shares = (value / 255 for value in range(256))
    return tuple(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)


def _to_srgb(light: float) -> int:
    light = max(0.0, min(1.0, light))
    share = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return math.floor(share * 255 + 0.5)
