"""Operations on colours that only steps have: linear maps of the channels, CIE LCh, noise.

They compute what other products compute, with their constants, so that their URLs keep their pictures.
Images are uchar sRGB with 3 bands, or 4 with straight alpha, which is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pyvips

from .tone import luma, with_alpha

_TOP = 255


def linear(image: pyvips.Image, numbers: Sequence[float]) -> pyvips.Image:
    """``factor * value + offset`` for every channel (2 numbers), or three factors and three offsets (6), on a
    scale of 0-255; rounded and clipped."""
    half = len(numbers) // 2
    factors, offsets = list(numbers[:half]), list(numbers[half:])
    return _finished(image[:3].linear(factors, offsets), image)


def matrix(image: pyvips.Image, numbers: Sequence[float]) -> pyvips.Image:
    """Each channel of the result from all three: 9 factors, row by row, then 3 offsets or none."""
    rows = [list(numbers[start : start + 3]) for start in (0, 3, 6)]
    mixed = image[:3].recomb(pyvips.Image.new_from_array(rows))
    return _finished(mixed + list(numbers[9:12]) if len(numbers) > 9 else mixed, image)


def lch(
    image: pyvips.Image, brightness: float, saturation: float, hue: float, lightness: float
) -> pyvips.Image:
    """CIE LCh (D65) with lightness times ``brightness`` plus ``lightness`` (0-100), chroma times
    ``saturation`` and the hue rotated by ``hue`` degrees: sharp's `modulate`."""
    polar = image[:3].colourspace("lch")
    moved = polar.linear([brightness, saturation, 1], [lightness, 0, hue])
    return _finished(moved.copy(interpretation="lch").colourspace("srgb"), image)


def saturate(image: pyvips.Image, factor: float) -> pyvips.Image:
    """Scale each channel's distance from the perceived brightness ``sqrt(0.299 R² + 0.587 G² + 0.114 B²)``
    (Darel Rex Finley, "HSP Color Model", 2006): thumbor's `saturation`."""
    plain = image[:3]
    squares = (plain * plain).recomb(pyvips.Image.new_from_array([[0.299, 0.587, 0.114]]))
    brightness = squares**0.5
    return _finished(brightness + (plain - brightness) * factor, image)


def vibrance(image: pyvips.Image, amount: float) -> pyvips.Image:
    """Scale each channel's distance from luma (Rec. 709) by 1 + ``amount`` / 100 * (1 - s), where s is the
    spread of the pixel's channels as a share of 255: grey and fully saturated colours stay."""
    plain = image[:3]
    bright = luma(plain)
    least, most = _extremes(plain)
    unsaturated = (most - least) * (-1 / _TOP) + 1
    factor = unsaturated * (amount / 100) + 1
    return _finished(bright + (plain - bright) * factor, image)


def equalise(image: pyvips.Image) -> pyvips.Image:
    """Spread the values of each channel evenly over the scale, each by itself: thumbor's `equalize`."""
    tables = [_spread(channel.hist_find().tolist()[0]) for channel in image[:3].bandsplit()]
    levels = bytes(value for levels in zip(*tables, strict=True) for value in levels)
    table = pyvips.Image.new_from_memory(levels, 256, 1, 3, "uchar")
    return with_alpha(image[:3].maplut(table), image)


def stretch_lightness(image: pyvips.Image, low: float, high: float) -> pyvips.Image:
    """Stretch CIE L* so that its percentiles ``low`` and ``high`` become 0 and 100: sharp's `normalise`,
    which counts whole numbers of L* and ranks them in as many steps. Nothing changes where both differ by
    at most 1.
    """
    lab = image[:3].colourspace("lab")
    whole = lab[0].cast("ushort")  # libvips finds percentiles of integers only
    first = whole.min() if low == 0 else whole.percent(low)
    last = whole.max() if high == 100 else whole.percent(high)
    if last - first <= 1:
        return image
    stretched = (lab[0] - first) * (100 / (last - first))
    joined = stretched.bandjoin(lab[1:]).copy(interpretation="lab")
    return _finished(joined.colourspace("srgb"), image)


def threshold(image: pyvips.Image, level: int) -> pyvips.Image:
    """White where grey is at least ``level``, else black."""
    grey = image[:3].colourspace("b-w")[0]
    return with_alpha((grey >= level).bandjoin([grey >= level] * 2), image)


def noise(image: pyvips.Image, amount: float, seed: int) -> pyvips.Image:
    """Add the same random number to all three channels of a pixel, uniform within ``amount`` / 2 around 0."""
    # The sum of the bytes of a Gaussian far wider than 256, modulo 256, is uniform.
    wide = pyvips.Image.gaussnoise(image.width, image.height, mean=0, sigma=100_000, seed=seed)
    uniform = (wide - (wide / 256).floor() * 256) / 256 - 0.5
    return _finished(image[:3] + uniform * amount, image)


def _extremes(colours: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    """The least and the largest channel of each pixel."""
    red, green, blue = colours.bandsplit()
    return red.minpair(green).minpair(blue), red.maxpair(green).maxpair(blue)


def _spread(counts: Sequence[float]) -> list[int]:
    """The new value of each value: its rank among all pixels, without those of the lowest value."""
    padded = [*counts, *[0] * (256 - len(counts))]
    lowest = next(count for count in padded if count)
    rest = sum(padded) - lowest
    if not rest:
        return list(range(256))
    return [max(0, int((below - lowest) * _TOP / rest)) for below in accumulate(padded)]


def _finished(colours: pyvips.Image, image: pyvips.Image) -> pyvips.Image:
    return with_alpha(colours.rint().cast("uchar"), image)
