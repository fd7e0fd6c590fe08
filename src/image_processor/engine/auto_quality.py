"""Quality `auto`: the encoder quality at which an image reaches a target of perceived quality.

A sample of the image is encoded at up to three qualities, decoded and compared; the weights of the
differences were fitted to SSIMULACRA2 by benchmarks/auto_quality.py, which also measures the effect.
"""

from __future__ import annotations

from math import log
from typing import Self

import pyvips
from msgspec import Struct

from image_processor.domain.formats import FORMATS

from .codecs.codec import EncodeOptions, QualityFit
from .codecs.encode import AnimationTiming, encode
from .codecs.registry import CODECS

TARGET = 76
"""The target score on SSIMULACRA2's scale: the mean of the default qualities."""

LOWEST, HIGHEST = 35, 95
"""The range of qualities: the fit is not valid outside it."""

_LEAST_SIDE = 16
"""At half size, a block of `_similarity`."""

_TILE = 256
_TILES_ACROSS = 3
_MAX_TRIES = 3

# Y, Cb and Cr of BT.601, as in JPEG.
_OPPONENTS = [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]


def auto_quality(image: pyvips.Image, format_name: str) -> int:
    """The quality (LOWEST-HIGHEST) at which ``image`` comes near TARGET in a lossy format; the format's
    default where its codec has no fit, or where the image is too small to compare.

    ``image`` is 8-bit sRGB with 3 or 4 bands. The cost is bounded: three encodings of at most 768 x 768
    pixels, in all 0.1-0.2 s of CPU for an image of 640 x 480, twice that for the largest.
    """
    quality = FORMATS[format_name].quality or LOWEST
    fit = CODECS[format_name].quality_fit
    if fit is None or min(image.width, image.height) < _LEAST_SIDE:
        return quality
    sample = Sample.of(image)
    tried: dict[int, float] = {}
    for _ in range(_MAX_TRIES):
        if quality in tried:
            break
        tried[quality] = _score(fit, differences(sample, format_name, quality))
        quality = _next(tried, fit.slope)
    return quality


class Sample(Struct, frozen=True):
    """What is encoded in place of an image, with its luma and chroma at full size and at half."""

    image: pyvips.Image
    planes: pyvips.Image
    small: pyvips.Image

    @classmethod
    def of(cls, image: pyvips.Image) -> Self:
        """The image without alpha, or nine of its tiles joined where it is larger than they are."""
        opaque = image.flatten(background=255) if image.hasalpha() else image
        side = _TILE * _TILES_ACROSS
        if min(opaque.width, opaque.height) >= side:
            steps = range(_TILES_ACROSS)
            lefts = [(opaque.width - _TILE) * step // (_TILES_ACROSS - 1) for step in steps]
            tops = [(opaque.height - _TILE) * step // (_TILES_ACROSS - 1) for step in steps]
            tiles = [opaque.crop(left, top, _TILE, _TILE) for top in tops for left in lefts]
            opaque = pyvips.Image.arrayjoin(tiles, across=_TILES_ACROSS)
        else:
            # Long and narrow: its first part.
            opaque = opaque.crop(0, 0, min(opaque.width, 2 * side), min(opaque.height, 2 * side))
        return cls(opaque.copy_memory(), *_planes(opaque))


def differences(sample: Sample, format_name: str, quality: int) -> tuple[float, ...]:
    """The loss of ``sample`` at ``quality`` as four logarithms: of 1 - SSIM of luma at half and at full
    size, of luma's squared error, and of the error of chroma at half size."""
    encoded = encode(
        [sample.image], format_name, EncodeOptions(quality), profile=None, timing=AnimationTiming()
    )
    source = pyvips.Source.new_from_memory(encoded.body)
    decoded = pyvips.Operation.call(f"{CODECS[format_name].loader}_source", source)
    planes, small = _planes(decoded)
    chroma = (sample.small[1:] - small[1:]) ** 2
    losses = (
        1 - _similarity(sample.small[0], small[0], 8),
        1 - _similarity(sample.planes[0], planes[0], 4),
        ((sample.planes[0] - planes[0]) ** 2).avg(),
        (2 * chroma.avg()) ** 0.5,
    )
    return tuple(log(max(value, 0.0) + 1e-6) for value in losses)


def _planes(image: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    whole = image.recomb(_OPPONENTS).copy_memory()
    return whole, whole.shrink(2, 2).copy_memory()


def _similarity(original: pyvips.Image, decoded: pyvips.Image, side: int) -> float:
    """The mean of SSIM's contrast and structure (Wang et al., 2004) in blocks of ``side`` pixels, for
    values of 0-255. Without its luminance term, which jumps in black areas at a difference of one."""
    means = original.bandjoin([decoded, original * original, decoded * decoded, original * decoded])
    means = means.shrink(side, side).copy_memory()
    mean, other_mean, square, other_square, product = means.bandsplit()
    covariance = product - mean * other_mean
    variances = square + other_square - mean * mean - other_mean * other_mean
    score: float = ((2 * covariance + 58.5) / (variances + 58.5)).avg()
    return score


def _score(fit: QualityFit, losses: tuple[float, ...]) -> float:
    return fit.base + sum(weight * value for weight, value in zip(fit.weights, losses, strict=True))


def _next(tried: dict[int, float], slope: float) -> int:
    """The quality to try next: by the line through the two best points if it rises, else by the mean
    slope."""
    nearest = sorted(tried, key=lambda quality: abs(tried[quality] - TARGET))
    best = nearest[0]
    if len(nearest) > 1:
        measured = (tried[best] - tried[nearest[1]]) / (best - nearest[1])
        slope = measured if measured > slope / 4 else slope
    quality = best + (TARGET - tried[best]) / slope
    return round(min(max(quality, LOWEST), HIGHEST))
