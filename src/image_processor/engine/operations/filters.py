"""The steps in which neighbouring pixels mix: blur, sharpen, pixelate, median, any convolution.

Colours are weighted by alpha, so that what is invisible never bleeds into what is seen. Beyond its
borders a picture goes on with the pixels of its edge.
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

# From here on it is quicker to blur a smaller picture: in 8 bits, and in floats.
_LARGE_SIGMA = 20
_LARGE_SIGMA_OF_FLOATS = 6
# How many pixels of such a smaller picture its sigma still is, so that nobody sees its pixels.
_FINE_SIGMA = 3
# libvips' quick convolution of 8 bits holds the numbers of a mask as multiples of a power of two
# with 6 bits and a sign (libvips/convolution/convi.c, vips_convi_intize). Any other mask it rounds
# without keeping the sum: gaussblur changes flat white to 251 with some sigmas.
_LARGEST_NUMBER = 64


def blur(picture: pyvips.Image, sigma: float) -> pyvips.Image:
    """Gaussian blur of colours and alpha; ``sigma`` is 0.3-250 pixels.

    The cost is bounded: from sigma 20 on the picture is averaged over squares of sigma / 3 pixels,
    blurred by what is missing, and interpolated back. All of it is within 1 of 255 of the true
    Gaussian, a sigma below 3 within 4.
    """
    return premultiplied(picture, partial(_gaussian, sigma=sigma))


def sharpen(picture: pyvips.Image, sigma: float, amount: float) -> pyvips.Image:
    """Unsharp mask: add ``amount`` (0.1-10; 1 is the whole) times what a Gaussian blur of ``sigma``
    (0.1-10 pixels) takes away.

    It is measured on luma (Rec. 709) and added to red, green and blue alike, so no edge changes
    its hue. Alpha stays.
    """
    bright = luma(picture)
    if picture.hasalpha():
        alpha = picture[3]
        both = _gaussian((bright * alpha).bandjoin(alpha), sigma)
        soft = both[0] / both[1]
    else:
        soft = _gaussian(bright, sigma)
    return _with_alpha(picture[:3] + (bright - soft) * amount, picture)


def pixelate(picture: pyvips.Image, block: int) -> pyvips.Image:
    """Squares of ``block`` pixels from the top left on, each in the mean of its colours and alpha;
    those at the right and bottom are cut off by the border and are the mean of what is there."""
    return premultiplied(picture, partial(_squares, block=block))


def median(picture: pyvips.Image, size: int) -> pyvips.Image:
    """The median of each band in a square of ``size`` (odd, 3-15) pixels around each pixel."""
    return premultiplied(picture, partial(_median, size=size))


def convolve(picture: pyvips.Image, kernel: Sequence[float]) -> pyvips.Image:
    """Each pixel as a sum of its neighbours, times the 9 or 25 numbers of ``kernel`` row by row
    (not turned around), divided by the sum of them all, or by 1 where that is 0. Alpha stays.

    An invisible neighbour counts as if it had the pixel's own colour, a half visible one by half:
    so no kernel, whatever its sum, sees an edge between what is seen and what is not.
    """
    mask, scale = _mask_of(kernel)
    # In floats: with integers libvips would round the kernel itself, see _LARGEST_NUMBER.
    if not picture.hasalpha():
        return _with_alpha(picture.conv(mask, precision="float"), picture)
    colours, visible = picture[:3], picture[3] / 255
    seen = (colours * visible).conv(mask, precision="float")
    missing = math.fsum(kernel) / scale - visible.conv(mask, precision="float")
    return _with_alpha(seen + colours * missing, picture)


def _mask_of(kernel: Sequence[float]) -> tuple[pyvips.Image, float]:
    side = math.isqrt(len(kernel))
    total = math.fsum(kernel)
    scale = total if abs(total) > 1e-9 else 1.0  # 0.1 + 0.2 - 0.3 is meant to be 0
    rows = [list(kernel[start : start + side]) for start in range(0, len(kernel), side)]
    return pyvips.Image.new_from_array(rows, scale=scale), scale


def _gaussian(picture: pyvips.Image, sigma: float) -> pyvips.Image:
    """Gaussian blur of every band by itself: floats stay exact, 8 bits are rounded."""
    if sigma < (_LARGE_SIGMA if picture.format == "uchar" else _LARGE_SIGMA_OF_FLOATS):
        return _blurred(picture, sigma)
    step = int(sigma / _FINE_SIGMA)
    # Variances add up: a mean over `step` pixels is step^2 / 12, linear interpolation step^2 / 6.
    rest = math.sqrt(sigma**2 - step**2 / 4) / step
    width, height = (step * (2 + math.ceil(side / step)) for side in (picture.width, picture.height))
    # A whole square of edge all around: what the smaller picture goes on with is the edge's colour.
    framed = picture.embed(step, step, width, height, extend="copy")
    small = _blurred(_means(framed, step, step), rest)
    large = enlarge(small, Size(width, height), "bilinear").crop(step, step, picture.width, picture.height)
    return _as_format(large, picture.format)


def _blurred(picture: pyvips.Image, sigma: float) -> pyvips.Image:
    reach = math.ceil(3.5 * sigma)
    bell = [math.exp(-((x / sigma) ** 2) / 2) for x in range(-reach, reach + 1)]
    if picture.format != "uchar":
        mask = pyvips.Image.new_from_array([bell], scale=sum(bell))
        return picture.convsep(mask, precision="float")
    whole = _in_whole_numbers(bell)
    return picture.convsep(pyvips.Image.new_from_array([whole], scale=sum(whole)), precision="integer")


def _in_whole_numbers(bell: Sequence[float]) -> list[int]:
    """``bell`` in whole numbers of at most 64, the sum the largest power of two that allows it:
    libvips takes just these without rounding, and a flat area stays what it is."""
    shares = [0.0, *accumulate(number / math.fsum(bell) for number in bell)]
    total, fitting = _LARGEST_NUMBER, [1]
    while True:
        # Sums are rounded, not numbers, so that what rounding takes from one it gives to the next.
        sums = [round(share * total) for share in shares]
        numbers = [after - before for before, after in pairwise(sums)]
        if max(numbers) > _LARGEST_NUMBER:
            return fitting
        fitting, total = numbers, 2 * total


def _median(picture: pyvips.Image, size: int) -> pyvips.Image:
    # libvips refuses a window that is larger than the picture, and frames it only after that.
    half = size // 2
    framed = picture.embed(half, half, picture.width + 2 * half, picture.height + 2 * half, extend="copy")
    return framed.median(size).crop(half, half, picture.width, picture.height)


def _squares(picture: pyvips.Image, block: int) -> pyvips.Image:
    rows = [
        [
            _square(picture.crop(left, top, width, height), min(block, width), min(block, height))
            for left, width in _strips(picture.width, block)
        ]
        for top, height in _strips(picture.height, block)
    ]
    return reduce(_below, [reduce(_beside, row) for row in rows])


def _means(picture: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """One pixel for every ``width`` x ``height``, which must come out even: their mean, in floats.

    Of 8 bits libvips' shrink makes up to 0.6 too much or too little on average, and saves no time.
    """
    return picture.cast("float").shrink(width, height)


def _as_format(floats: pyvips.Image, wanted: str) -> pyvips.Image:
    return floats if wanted == "float" else floats.rint().cast(wanted)


def _square(picture: pyvips.Image, width: int, height: int) -> pyvips.Image:
    return _as_format(_means(picture, width, height), picture.format).zoom(width, height)


def _beside(left: pyvips.Image, right: pyvips.Image) -> pyvips.Image:
    return left.join(right, "horizontal")


def _below(top: pyvips.Image, bottom: pyvips.Image) -> pyvips.Image:
    return top.join(bottom, "vertical")


def _strips(side: int, block: int) -> list[tuple[int, int]]:
    """Start and length of what whole blocks cover, and of the rest."""
    whole = side - side % block
    return [(start, length) for start, length in ((0, whole), (whole, side - whole)) if length]


def _with_alpha(colours: pyvips.Image, picture: pyvips.Image) -> pyvips.Image:
    eight = colours.rint().cast("uchar")
    joined = eight.bandjoin(picture[3]) if picture.hasalpha() else eight
    return joined.copy(interpretation="srgb")
