"""Pixel operations on neighbourhoods: blur, sharpen, pixelate, median, any convolution.

Colours are premultiplied by alpha, so that transparent pixels never bleed into visible ones. Beyond the
border the pixels of the edge are repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial, reduce
from itertools import accumulate, pairwise

import pyvips

from image_processor.domain.geometry import Size

from .pixels import enlarge, premultiplied
from .tone import luma

# From this sigma it is faster to blur a smaller image: in 8 bits, and in floats.
_LARGE_SIGMA = 20
_LARGE_SIGMA_OF_FLOATS = 6
# The sigma in pixels of that smaller image: large enough that its pixels stay invisible.
_FINE_SIGMA = 3
# libvips' fast 8-bit convolution holds the numbers of a mask as multiples of a power of two with 6 bits
# and a sign (libvips/convolution/convi.c, vips_convi_intize). It rounds any other mask without keeping
# the sum: gaussblur changes flat white to 251 with some sigmas.
_MAX_MASK_NUMBER = 64


def blur(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """Gaussian blur of colours and alpha; ``sigma`` is 0.3-250 pixels.

    The cost is bounded: from sigma 20 on, the image is averaged over squares of sigma / 3 pixels, blurred by
    the rest, and interpolated back. Results are within 1 of 255 of the exact Gaussian, within 4 for a
    sigma below 3.
    """
    return premultiplied(image, partial(_gaussian, sigma=sigma))


def sharpen(image: pyvips.Image, sigma: float, amount: float) -> pyvips.Image:
    """Unsharp mask: add ``amount`` (0.1-10) times the difference to a Gaussian blur of ``sigma`` (0.1-10
    pixels).

    The difference is that of luma (Rec. 709), added to red, green and blue alike, so edges keep their hue.
    Alpha is kept.
    """
    bright = luma(image)
    if image.hasalpha():
        alpha = image[3]
        both = _gaussian((bright * alpha).bandjoin(alpha), sigma)
        soft = both[0] / both[1]
    else:
        soft = _gaussian(bright, sigma)
    return _with_alpha(image[:3] + (bright - soft) * amount, image)


def pixelate(image: pyvips.Image, block: int) -> pyvips.Image:
    """Squares of ``block`` pixels from the top left, each in the mean of its colours and alpha. Squares at
    the right and bottom may be smaller."""
    return premultiplied(image, partial(_squares, block=block))


def median(image: pyvips.Image, size: int) -> pyvips.Image:
    """The median of each band in a square of ``size`` (odd, 3-15) pixels around each pixel."""
    return premultiplied(image, partial(_median, size=size))


def convolve(image: pyvips.Image, kernel: Sequence[float]) -> pyvips.Image:
    """Correlate with ``kernel``: 9 or 25 numbers, row by row, not flipped; divided by their sum, or by 1
    where that is 0. Alpha is kept.

    A transparent neighbour counts as if it had the pixel's own colour, a half transparent one by half: no
    kernel, whatever its sum, sees an edge between visible and transparent pixels.
    """
    mask, scale = _mask_of(kernel)
    # In floats: with integers libvips would round the kernel itself, see _MAX_MASK_NUMBER.
    if not image.hasalpha():
        return _with_alpha(image.conv(mask, precision="float"), image)
    colours, visible = image[:3], image[3] / 255
    weighted = (colours * visible).conv(mask, precision="float")
    missing = math.fsum(kernel) / scale - visible.conv(mask, precision="float")
    return _with_alpha(weighted + colours * missing, image)


def correlate(image: pyvips.Image, numbers: Sequence[float], columns: int, *, divide: bool) -> pyvips.Image:
    """Correlate with a kernel of ``columns`` numbers a row, divided by their sum if ``divide`` and if that is
    not 0. Alpha is kept."""
    rows = [list(numbers[start : start + columns]) for start in range(0, len(numbers), columns)]
    total = math.fsum(numbers)
    mask = pyvips.Image.new_from_array(rows, scale=total if divide and abs(total) > 1e-9 else 1.0)
    return _with_alpha(image[:3].conv(mask, precision="float"), image)


def _mask_of(kernel: Sequence[float]) -> tuple[pyvips.Image, float]:
    side = math.isqrt(len(kernel))
    total = math.fsum(kernel)
    scale = total if abs(total) > 1e-9 else 1.0  # 0.1 + 0.2 - 0.3 counts as 0
    rows = [list(kernel[start : start + side]) for start in range(0, len(kernel), side)]
    return pyvips.Image.new_from_array(rows, scale=scale), scale


def _gaussian(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """Gaussian blur of every band by itself: exact in floats, rounded in 8 bits."""
    if sigma < (_LARGE_SIGMA if image.format == "uchar" else _LARGE_SIGMA_OF_FLOATS):
        return _blurred(image, sigma)
    step = int(sigma / _FINE_SIGMA)
    # Variances add up: a mean over `step` pixels is step^2 / 12, linear interpolation step^2 / 6.
    rest = math.sqrt(sigma**2 - step**2 / 4) / step
    width, height = (step * (2 + math.ceil(side / step)) for side in (image.width, image.height))
    # A whole square of edge pixels all around: beyond its border the smaller image repeats the edge's colour.
    framed = image.embed(step, step, width, height, extend="copy")
    small = _blurred(_means(framed, step, step), rest)
    large = enlarge(small, Size(width, height), "bilinear").crop(step, step, image.width, image.height)
    return _as_format(large, image.format)


def _blurred(image: pyvips.Image, sigma: float) -> pyvips.Image:
    reach = math.ceil(3.5 * sigma)
    bell = [math.exp(-((x / sigma) ** 2) / 2) for x in range(-reach, reach + 1)]
    if image.format != "uchar":
        mask = pyvips.Image.new_from_array([bell], scale=sum(bell))
        return image.convsep(mask, precision="float")
    mask = _integer_mask(bell)
    return image.convsep(pyvips.Image.new_from_array([mask], scale=sum(mask)), precision="integer")


def _integer_mask(bell: Sequence[float]) -> list[int]:
    """``bell`` in integers of at most 64, with the largest possible power of two as their sum: libvips uses
    just these without rounding, so a flat area does not change."""
    shares = [0.0, *accumulate(number / math.fsum(bell) for number in bell)]
    total, fitting = _MAX_MASK_NUMBER, [1]
    while True:
        # Cumulative sums are rounded, so that what rounding takes from one number it gives to the next.
        sums = [round(share * total) for share in shares]
        numbers = [after - before for before, after in pairwise(sums)]
        if max(numbers) > _MAX_MASK_NUMBER:
            return fitting
        fitting, total = numbers, 2 * total


def _median(image: pyvips.Image, size: int) -> pyvips.Image:
    # libvips refuses a window larger than the image before it extends the image.
    half = size // 2
    framed = image.embed(half, half, image.width + 2 * half, image.height + 2 * half, extend="copy")
    return framed.median(size).crop(half, half, image.width, image.height)


def _squares(image: pyvips.Image, block: int) -> pyvips.Image:
    rows = [
        [
            _square(image.crop(left, top, width, height), min(block, width), min(block, height))
            for left, width in _strips(image.width, block)
        ]
        for top, height in _strips(image.height, block)
    ]
    return reduce(_below, [reduce(_beside, row) for row in rows])


def _means(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """The mean of every ``width`` x ``height`` pixels as one pixel, in floats; sides must divide evenly.

    In 8 bits libvips' shrink is off by up to 0.6 on average, and no faster.
    """
    return image.cast("float").shrink(width, height)


def _as_format(floats: pyvips.Image, format_: str) -> pyvips.Image:
    return floats if format_ == "float" else floats.rint().cast(format_)


def _square(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    return _as_format(_means(image, width, height), image.format).zoom(width, height)


def _beside(left: pyvips.Image, right: pyvips.Image) -> pyvips.Image:
    return left.join(right, "horizontal")


def _below(top: pyvips.Image, bottom: pyvips.Image) -> pyvips.Image:
    return top.join(bottom, "vertical")


def _strips(side: int, block: int) -> list[tuple[int, int]]:
    """Start and length of the part that whole blocks cover, and of the rest."""
    whole = side - side % block
    return [(start, length) for start, length in ((0, whole), (whole, side - whole)) if length]


def _with_alpha(colours: pyvips.Image, image: pyvips.Image) -> pyvips.Image:
    eight = colours.rint().cast("uchar")
    joined = eight.bandjoin(image[3]) if image.hasalpha() else eight
    return joined.copy(interpretation="srgb")
