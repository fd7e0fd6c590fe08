"""ThumbHash: a blurred placeholder with ratio and transparency in 25 bytes. One part of a look."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .planes import Plane, lowest_frequencies, pixels_of, rows_of


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The ThumbHash of a picture of at most 100 x 100 pixels with straight alpha.

    The format is Evan Wallace's (github.com/evanw/thumbhash): the picture as luminance, two
    colour differences and alpha, of each the lowest DCT coefficients in 4 bits.
    """
    pixels = _over_average(rgba)
    has_alpha = any(alpha < 1 for *_, alpha in pixels)
    limit = 5 if has_alpha else 7
    across, down = (max(1, _half_up(limit * side / max(width, height))) for side in (width, height))
    planes = [rows_of(channel, width) for channel in zip(*map(_opponents, pixels), strict=True)]
    luma = _encode_channel(planes[0], max(3, across), max(3, down))
    warm, green = (_encode_channel(plane, 3, 3) for plane in planes[1:3])
    landscape = width > height

    head = _half_up(63 * luma.mean) | _half_up(31.5 + 31.5 * warm.mean) << 6
    head |= _half_up(31.5 + 31.5 * green.mean) << 12 | _half_up(31 * luma.scale) << 18 | has_alpha << 23
    tail = (down if landscape else across) | _half_up(63 * warm.scale) << 3
    tail |= _half_up(63 * green.scale) << 9 | landscape << 15
    packed = head.to_bytes(3, "little") + tail.to_bytes(2, "little")

    coefficients = [*luma.rest, *warm.rest, *green.rest]
    if has_alpha:
        alpha = _encode_channel(planes[3], 5, 5)
        packed += bytes([_half_up(15 * alpha.mean) | _half_up(15 * alpha.scale) << 4])
        coefficients += alpha.rest
    return packed + _nibbles(coefficients)


class _Channel:
    """A channel as its mean, the largest coefficient, and the rest scaled to 0-1 around 0.5."""

    def __init__(self, mean: float, rest: Sequence[float]) -> None:
        self.mean = mean
        self.scale = max(map(abs, rest))
        self.rest = [0.5 + 0.5 / self.scale * value for value in rest] if self.scale else list(rest)


def _encode_channel(plane: Plane, across: int, down: int) -> _Channel:
    matrix = lowest_frequencies(plane, across, down)
    mean, *rest = (matrix[y][x] for y in range(down) for x in range(across) if x * down < across * (down - y))
    return _Channel(mean, rest)


def _over_average(rgba: bytes) -> list[tuple[float, float, float, float]]:
    """Channels from 0 to 1, laid over the picture's average colour: transparency then costs no bits."""
    pixels = [
        (red / 255, green / 255, blue / 255, alpha / 255) for red, green, blue, alpha in pixels_of(rgba)
    ]
    weight = sum(pixel[3] for pixel in pixels)
    sums = [sum(pixel[band] * pixel[3] for pixel in pixels) for band in range(3)]
    average = [total / weight if weight else 0.0 for total in sums]

    def over(pixel: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        alpha = pixel[3]
        red, green, blue = (average[band] * (1 - alpha) + pixel[band] * alpha for band in range(3))
        return red, green, blue, alpha

    return [over(pixel) for pixel in pixels]


def _opponents(pixel: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    red, green, blue, alpha = pixel
    return (red + green + blue) / 3, (red + green) / 2 - blue, red - green, alpha


def _nibbles(values: Sequence[float]) -> bytes:
    """Values from 0 to 1 in 4 bits each, the low half of a byte first."""
    fours = [_half_up(15 * value) for value in values]
    fours += [0] * (len(fours) % 2)
    return bytes(low | high << 4 for low, high in zip(fours[::2], fours[1::2], strict=True))


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)
