"""The quality that looks the same whatever the picture: a target for the eye, not a fixed number.

A sample of the picture is encoded at up to three qualities, decoded and compared; how the differences
weigh was fitted to SSIMULACRA2 by benchmarks/auto_quality.py, which also tells what it is worth.
"""

from __future__ import annotations

from math import log
from typing import Self

import pyvips
from msgspec import Struct

from image_processor.domain.formats import FORMATS

from .codecs.encode import Encoding, Timing, encode

TARGET = 76
"""The score aimed at, on SSIMULACRA2's scale: what the default qualities have in the mean."""

LOWEST, HIGHEST = 35, 95
"""No other quality is chosen: outside, the fit was not tried."""

_TILE = 256
_TILES_ACROSS = 3
_TRIES = 3

# Y, Cb and Cr of BT.601, as JPEG has them.
_OPPONENTS = [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]


class _Fit(Struct, frozen=True):
    """Score = ``base`` + weights x log of each difference; ``slope`` is what one step of quality
    adds to the score near the target, in the mean of the photographs."""

    base: float
    weights: tuple[float, float, float, float]
    slope: float


_FITS = {
    "jpeg": _Fit(54.6, (-10.24, 6.41, -5.37, -0.42), 0.53),
    "webp": _Fit(56.18, (-10.38, 6.37, -5.16, -1.5), 0.62),
    "avif": _Fit(62.51, (-9.6, 6.87, -5.59, -0.33), 0.65),
}


def auto_quality(picture: pyvips.Image, format_name: str) -> int:
    """The quality (LOWEST-HIGHEST) at which ``picture`` comes near TARGET in a lossy format.

    The picture is one of a level's: 8 bits, sRGB, 3 or 4 bands. The cost is bounded whatever its
    size: three encodings of at most 768 x 768 pixels, in all 0.1-0.2 s of CPU for a picture of
    640 x 480, twice that for the largest.
    """
    fit = _FITS[format_name]
    sample = Sample.of(picture)
    tried: dict[int, float] = {}
    quality = FORMATS[format_name].quality or LOWEST
    for _ in range(_TRIES):
        if quality in tried:
            break
        tried[quality] = _score(fit, differences(sample, format_name, quality))
        quality = _next(tried, fit.slope)
    return quality


class Sample(Struct, frozen=True):
    """What is encoded in place of a picture, with its luma and chroma at full size and at half."""

    picture: pyvips.Image
    planes: pyvips.Image
    small: pyvips.Image

    @classmethod
    def of(cls, picture: pyvips.Image) -> Self:
        """The picture without alpha, or nine of its tiles side by side where it is larger than they are."""
        opaque = picture.flatten(background=255) if picture.hasalpha() else picture
        side = _TILE * _TILES_ACROSS
        if min(opaque.width, opaque.height) >= side:
            steps = range(_TILES_ACROSS)
            lefts = [(opaque.width - _TILE) * step // (_TILES_ACROSS - 1) for step in steps]
            tops = [(opaque.height - _TILE) * step // (_TILES_ACROSS - 1) for step in steps]
            tiles = [opaque.crop(left, top, _TILE, _TILE) for top in tops for left in lefts]
            opaque = pyvips.Image.arrayjoin(tiles, across=_TILES_ACROSS)
        else:
            # Long and narrow: its beginning.
            opaque = opaque.crop(0, 0, min(opaque.width, 2 * side), min(opaque.height, 2 * side))
        return cls(opaque.copy_memory(), *_planes(opaque))


def differences(sample: Sample, format_name: str, quality: int) -> tuple[float, ...]:
    """What ``quality`` does to ``sample``, as four logarithms: of 1 - SSIM of luma at half the size
    and at full size, of luma's squared error, and of the chroma's error at half the size."""
    made = encode([sample.picture], format_name, Encoding(quality), profile=None, timing=Timing())
    source = pyvips.Source.new_from_memory(made.body)
    decoded = pyvips.Operation.call(f"{FORMATS[format_name].loader}_source", source)
    planes, small = _planes(decoded)
    chroma = (sample.small[1:] - small[1:]) ** 2
    found = (
        1 - _similarity(sample.small[0], small[0], 8),
        1 - _similarity(sample.planes[0], planes[0], 4),
        ((sample.planes[0] - planes[0]) ** 2).avg(),
        (2 * chroma.avg()) ** 0.5,
    )
    return tuple(log(max(value, 0.0) + 1e-6) for value in found)


def _planes(picture: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    whole = picture.recomb(_OPPONENTS).copy_memory()
    return whole, whole.shrink(2, 2).copy_memory()


def _similarity(one: pyvips.Image, other: pyvips.Image, side: int) -> float:
    """The mean of SSIM's contrast and structure (Wang et al., 2004) in blocks of ``side`` pixels, for
    values of 0-255. Without its term for brightness, which in black jumps at one grey more or less."""
    means = one.bandjoin([other, one * one, other * other, one * other])
    means = means.shrink(side, side).copy_memory()
    mean, other_mean, square, other_square, product = means.bandsplit()
    covariance = product - mean * other_mean
    variances = square + other_square - mean * mean - other_mean * other_mean
    score: float = ((2 * covariance + 58.5) / (variances + 58.5)).avg()
    return score


def _score(fit: _Fit, found: tuple[float, ...]) -> float:
    return fit.base + sum(weight * value for weight, value in zip(fit.weights, found, strict=True))


def _next(tried: dict[int, float], slope: float) -> int:
    """The quality to try next: through the two best points if they rise, else by the mean slope."""
    near = sorted(tried, key=lambda quality: abs(tried[quality] - TARGET))
    best = near[0]
    if len(near) > 1:
        across = (tried[best] - tried[near[1]]) / (best - near[1])
        slope = across if across > slope / 4 else slope
    wanted = best + (TARGET - tried[best]) / slope
    return round(min(max(wanted, LOWEST), HIGHEST))
