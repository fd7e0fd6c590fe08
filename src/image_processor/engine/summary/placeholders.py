"""BlurHash and ThumbHash: blurred placeholders in a few bytes, computed in pure Python from a small image.

Also the discrete cosine transform that they and the perceptual hash are made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from operator import mul

from image_processor.domain.rounding import round_half_up

Plane = Sequence[Sequence[float]]
"""One channel as rows of numbers."""

COMPONENTS_ACROSS, COMPONENTS_DOWN = 4, 3
"""The frequencies of a BlurHash in each direction."""

_BASE_83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_AMPLITUDE_STEPS = 166
"""The largest amplitude of a BlurHash is a multiple of 1/166."""


def pixels_of(rgba: bytes) -> Iterable[tuple[int, int, int, int]]:
    return zip(rgba[::4], rgba[1::4], rgba[2::4], rgba[3::4], strict=True)


def rows_of(values: Sequence[float], width: int) -> Plane:
    return [values[at : at + width] for at in range(0, len(values), width)]


def lowest_frequencies(plane: Plane, across: int, down: int, *, phase: float = 0.5) -> list[list[float]]:
    """The lowest ``across`` x ``down`` coefficients of a cosine transform of ``plane``, each divided by the
    number of pixels: the first is the mean.

    With ``phase`` 0.5 pixels are sampled at their centres, which makes it the DCT-II; with 0 at their top
    left corners. Rows first, then columns, for speed.
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
        tuple(math.cos(math.pi / length * frequency * (at + phase)) for at in range(length))
        for frequency in range(count)
    )


def blurhash(width: int, height: int, rgb: bytes) -> str:
    """The BlurHash, of 4 x 3 components (28 characters), of an image without alpha.

    The format is Wolt's (github.com/woltapp/blurhash, Algorithm.md): the lowest frequencies of linear
    light, in base 83: the number of components, the largest amplitude, the mean colour as sRGB, and the
    other components in 19 steps a channel.
    """
    linear = linear_light()
    channels = [rows_of([linear[value] for value in rgb[band::3]], width) for band in range(3)]
    assert len(channels[0]) == height
    components = [
        chain.from_iterable(lowest_frequencies(channel, COMPONENTS_ACROSS, COMPONENTS_DOWN, phase=0))
        for channel in channels
    ]
    mean, *rest = zip(*components, strict=True)
    # Each component but the mean counts twice, so that their sum reproduces the image.
    amplitudes = [tuple(2 * value for value in colour) for colour in rest]
    largest = max(map(abs, chain.from_iterable(amplitudes)))
    steps = max(0, min(82, math.floor(largest * _AMPLITUDE_STEPS - 0.5)))
    scale = (steps + 1) / _AMPLITUDE_STEPS
    return (
        _in_base_83(COMPONENTS_ACROSS - 1 + (COMPONENTS_DOWN - 1) * 9, 1)
        + _in_base_83(steps, 1)
        + _in_base_83(int.from_bytes(map(_to_srgb, mean)), 4)
        + "".join(_in_base_83(_packed_amplitudes(colour, scale), 2) for colour in amplitudes)
    )


def _packed_amplitudes(colour: Sequence[float], scale: float) -> int:
    """The three amplitudes of a component as one number. Square roots, because small ones are most
    visible."""
    number = 0
    for value in colour:
        root = math.copysign(math.sqrt(abs(value) / scale), value)
        number = number * 19 + max(0, min(18, math.floor(root * 9 + 9.5)))
    return number


def _in_base_83(value: int, length: int) -> str:
    return "".join(_BASE_83[value // 83**place % 83] for place in reversed(range(length)))


@cache
def linear_light() -> tuple[float, ...]:
    """Linear light of each of the 256 values of sRGB (IEC 61966-2-1)."""
    values = (value / 255 for value in range(256))
    return tuple(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)


def _to_srgb(light: float) -> int:
    light = max(0.0, min(1.0, light))
    value = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return round_half_up(value * 255)


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The ThumbHash (at most 25 bytes) of an image of at most 100 x 100 pixels with straight alpha.

    The format is Evan Wallace's (github.com/evanw/thumbhash): luminance, two colour differences and alpha,
    each as its lowest DCT coefficients in 4 bits; the aspect ratio follows from their number.
    """
    red, green, blue, alpha = _over_average(rgba)
    has_alpha = min(alpha) < 1
    limit = 5 if has_alpha else 7
    across, down = (max(1, round_half_up(limit * side / max(width, height))) for side in (width, height))
    channels = (*_opponents(red, green, blue), alpha)
    planes = [rows_of(channel, width) for channel in channels]
    luma = _encode_channel(planes[0], max(3, across), max(3, down))
    warm, tint = (_encode_channel(plane, 3, 3) for plane in planes[1:3])
    landscape = width > height

    head = round_half_up(63 * luma.mean) | round_half_up(31.5 + 31.5 * warm.mean) << 6
    head |= round_half_up(31.5 + 31.5 * tint.mean) << 12 | round_half_up(31 * luma.scale) << 18
    head |= has_alpha << 23
    tail = (down if landscape else across) | round_half_up(63 * warm.scale) << 3
    tail |= round_half_up(63 * tint.scale) << 9 | landscape << 15
    packed = head.to_bytes(3, "little") + tail.to_bytes(2, "little")

    coefficients = [*luma.rest, *warm.rest, *tint.rest]
    if has_alpha:
        opacity = _encode_channel(planes[3], 5, 5)
        packed += bytes([round_half_up(15 * opacity.mean) | round_half_up(15 * opacity.scale) << 4])
        coefficients += opacity.rest
    return packed + _nibbles(coefficients)


class _Channel:
    """A channel as its mean, the largest coefficient, and the other coefficients scaled to 0-1 around 0.5."""

    def __init__(self, mean: float, rest: Sequence[float]) -> None:
        self.mean = mean
        self.scale = max(map(abs, rest))
        self.rest = [0.5 + 0.5 / self.scale * value for value in rest] if self.scale else list(rest)


def _encode_channel(plane: Plane, across: int, down: int) -> _Channel:
    matrix = lowest_frequencies(plane, across, down)
    mean, *rest = (matrix[y][x] for y in range(down) for x in range(across) if x * down < across * (down - y))
    return _Channel(mean, rest)


def _over_average(rgba: bytes) -> list[list[float]]:
    """The four channels from 0 to 1, over the image's average colour: transparency then needs no bits."""
    *colours, alpha = ([value / 255 for value in rgba[band::4]] for band in range(4))
    if min(alpha) == 1:
        return [*colours, alpha]
    weight = sum(alpha)
    over = []
    for channel in colours:
        average = sum(map(mul, channel, alpha)) / weight if weight else 0.0
        over.append([average * (1 - part) + value * part for value, part in zip(channel, alpha, strict=True)])
    return [*over, alpha]


def _opponents(
    reds: Sequence[float], greens: Sequence[float], blues: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Luminance, yellow against blue, and red against green."""
    pixels = list(zip(reds, greens, blues, strict=True))
    return (
        [(red + green + blue) / 3 for red, green, blue in pixels],
        [(red + green) / 2 - blue for red, green, blue in pixels],
        [red - green for red, green, _ in pixels],
    )


def _nibbles(values: Sequence[float]) -> bytes:
    """Values from 0 to 1 in 4 bits each, the low half of a byte first."""
    fours = [round_half_up(15 * value) for value in values]
    fours += [0] * (len(fours) % 2)
    return bytes(low | high << 4 for low, high in zip(fours[::2], fours[1::2], strict=True))
