"""What a picture looks like, in a few bytes: ThumbHash, perceptual hash and dominant colour.

All three are computed from one small level, in pure Python within a few milliseconds.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from operator import mul

import pyvips

from image_processor.model import Look

from .geometry import Size
from .steps import flatten, resize

LOOK_SIDE = 64
"""The longest side, in pixels, of the level that a look is taken from."""

_HASH_SIDE = 32

Plane = Sequence[Sequence[float]]
"""One channel: rows of numbers."""


def look_of(level: pyvips.Image) -> Look:
    """The look of a level of 3 or 4 bands, at most LOOK_SIDE a side."""
    longest = max(level.width, level.height)
    width, height = (max(1, side * _HASH_SIDE // longest) for side in (level.width, level.height))
    small = resize(level, Size(width, height))
    rgba = _bytes_of(small if small.hasalpha() else small.bandjoin(255))
    square = resize(flatten(level, None), Size(_HASH_SIDE, _HASH_SIDE)).colourspace("b-w")
    return Look(
        dominant_colour=dominant_colour(rgba),
        thumbhash=base64.b64encode(thumbhash(width, height, rgba)).decode(),
        perceptual_hash=perceptual_hash(_bytes_of(square)),
    )


def dominant_colour(rgba: bytes) -> str:
    """`#rrggbb`: the mean colour of the fullest of 4,096 boxes (16 steps a channel), by alpha."""
    boxes: dict[tuple[int, int, int], list[int]] = {}
    for red, green, blue, alpha in _pixels(rgba):
        sums = boxes.setdefault((red >> 4, green >> 4, blue >> 4), [0, 0, 0, 0])
        for band, value in enumerate((red * alpha, green * alpha, blue * alpha, alpha)):
            sums[band] += value
    *colour, weight = max(boxes.values(), key=lambda sums: sums[3])
    red, green, blue = (round(band / weight) if weight else 255 for band in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def perceptual_hash(grey: bytes) -> str:
    """16 hex digits: which of the 8 x 8 lowest DCT coefficients of 32 x 32 greys exceed their
    median, row by row, the mean first."""
    rows = [grey[at : at + _HASH_SIDE] for at in range(0, _HASH_SIDE * _HASH_SIDE, _HASH_SIDE)]
    # Rounded, so that the noise of floats in a flat picture does not become bits.
    lowest = [round(value, 3) for value in chain.from_iterable(_dct(rows, 8, 8))]
    middle = sum(sorted(lowest)[31:33]) / 2  # the median of 64 values
    bits = "".join("1" if value > middle else "0" for value in lowest)
    return f"{int(bits, 2):016x}"


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The ThumbHash of a picture of at most 100 x 100 pixels with straight alpha.

    The format is Evan Wallace's (github.com/evanw/thumbhash): the picture as luminance, two
    colour differences and alpha, of each the lowest DCT coefficients in 4 bits.
    """
    pixels = _over_average(rgba)
    has_alpha = any(alpha < 1 for *_, alpha in pixels)
    limit = 5 if has_alpha else 7
    across, down = (max(1, _half_up(limit * side / max(width, height))) for side in (width, height))
    planes = [_rows(channel, width) for channel in zip(*map(_opponents, pixels), strict=True)]
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
    matrix = _dct(plane, across, down)
    mean, *rest = (matrix[y][x] for y in range(down) for x in range(across) if x * down < across * (down - y))
    return _Channel(mean, rest)


def _dct(plane: Plane, across: int, down: int) -> list[list[float]]:
    """The lowest ``across`` x ``down`` coefficients of the DCT-II, each over the number of pixels:
    the first is the mean. Rows first, then columns: that is what makes it quick."""
    height, width = len(plane), len(plane[0])
    by_row = [[sum(map(mul, row, wave)) for wave in _waves(across, width)] for row in plane]
    columns = list(zip(*by_row, strict=True))
    area = width * height
    return [[sum(map(mul, column, wave)) / area for column in columns] for wave in _waves(down, height)]


@cache
def _waves(count: int, length: int) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(math.cos(math.pi / length * wave * (at + 0.5)) for at in range(length)) for wave in range(count)
    )


def _over_average(rgba: bytes) -> list[tuple[float, float, float, float]]:
    """Channels from 0 to 1, laid over the picture's average colour: transparency then costs no bits."""
    pixels = [(red / 255, green / 255, blue / 255, alpha / 255) for red, green, blue, alpha in _pixels(rgba)]
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


def _rows(values: Sequence[float], width: int) -> Plane:
    return [values[at : at + width] for at in range(0, len(values), width)]


def _pixels(rgba: bytes) -> Iterable[tuple[int, int, int, int]]:
    return zip(rgba[::4], rgba[1::4], rgba[2::4], rgba[3::4], strict=True)


def _bytes_of(picture: pyvips.Image) -> bytes:
    return bytes(picture.write_to_memory())
