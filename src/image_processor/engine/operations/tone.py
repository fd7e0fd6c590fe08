"""Pixel operations on the colour of each pixel by itself.

An operation on one channel is a lookup table of 256 entries, which is fastest; one that mixes channels is a
3x3 matrix. Alpha is kept, except by `opacity`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate

import pyvips

from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import BLACK, WHITE, Colour

Rows = tuple[tuple[float, ...], ...]

# ITU-R BT.709-6, 3.2: the weights of red, green and blue in luma.
LUMA = (0.2126, 0.7152, 0.0722)

_IDENTITY: Rows = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_GREY: Rows = (LUMA, LUMA, LUMA)
# W3C Filter Effects Module Level 1, 8.2 (sepia).
_SEPIA: Rows = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


def brightness(image: pyvips.Image, amount: float) -> pyvips.Image:
    """Mix with black (``amount`` -100..0) or with white (0..100); 0 changes nothing.

    An offset would clip one end of the scale. Mixing keeps values distinct as far as 8 bits allow, reaches
    exactly black and white, and is symmetric: brightening equals darkening the negative.
    """
    keep = 1 - abs(amount) / 100
    white = max(amount, 0) / 100
    return _apply_curve(image, lambda value: keep * value + white)


def contrast(image: pyvips.Image, amount: float) -> pyvips.Image:
    """Stretch around mid grey (127.5) by 1 + ``amount`` / 100: -100 is flat grey (128), 0 changes
    nothing, 100 doubles every distance."""
    slope = 1 + amount / 100
    return _apply_curve(image, lambda value: slope * (value - 0.5) + 0.5)


def gamma(image: pyvips.Image, exponent: float) -> pyvips.Image:
    """``out = in ** (1 / exponent)`` on a scale of 0-1, with ``exponent`` 0.1-10: above 1 lightens
    the mid-tones, 1 changes nothing; black and white stay."""
    return _apply_curve(image, lambda value: value ** (1 / exponent))


_STEEPEST = 3
"""How much steeper than the identity a tone curve gets at black or white, with monotony kept."""


def tones(image: pyvips.Image, shadows: float, highlights: float) -> pyvips.Image:
    """Move the dark tones by ``shadows`` and then the light ones by ``highlights``, each -100 to 100.

    The curves are ``v + a v (1 - v)^3`` and ``v + b v^3 (1 - v)`` on a scale of 0-1, with factors that
    keep them monotone: black, white and the order of all values stay.
    """
    lift = shadows / 100 * (_STEEPEST if shadows > 0 else 1)
    gain = highlights / 100 * (_STEEPEST if highlights < 0 else 1)

    def curve(value: float) -> float:
        lifted = value + lift * value * (1 - value) ** 3
        return lifted + gain * lifted**3 * (1 - lifted)

    return _apply_curve(image, curve)


def negate(image: pyvips.Image) -> pyvips.Image:
    """The negative of each channel; applied twice it changes nothing."""
    return _apply_curve(image, lambda value: 1 - value)


def saturation(image: pyvips.Image, amount: float) -> pyvips.Image:
    """Scale each channel's distance from luma (Rec. 709) by 1 + ``amount`` / 100: -100 is grey,
    0 changes nothing, 100 doubles it. Luma stays where nothing clips."""
    return _apply_matrix(image, _interpolated(_GREY, _IDENTITY, 1 + amount / 100))


def hue(image: pyvips.Image, degrees: float) -> pyvips.Image:
    """Rotate the hue by ``degrees`` (0-360; red goes to green at about 120), keeping luma (Rec. 709).

    The matrix of W3C Filter Effects Level 1, `hue-rotate`, on sRGB's coded values, with weights of
    four digits instead of three; rotations add up. Luma changes only by clipping at 0 and 255. A
    rotation in LCh keeps lightness slightly better and takes more than five times as long.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = tuple(
        tuple(
            grey + cosine * (unit - grey) + sine * quarter
            for grey, unit, quarter in zip(greys, units, quarters, strict=True)
        )
        for greys, units, quarters in zip(_GREY, _IDENTITY, _quarter_turn(), strict=True)
    )
    return _apply_matrix(image, rows)


def grey(image: pyvips.Image) -> pyvips.Image:
    """Luma (Rec. 709 weights on the coded values) in all three colour bands, as CSS grayscale()."""
    return duotone(image, BLACK, WHITE)


def sepia(image: pyvips.Image, strength: float) -> pyvips.Image:
    """A sepia tone, ``strength`` 0-100 percent: W3C Filter Effects Level 1, `sepia`."""
    return _apply_matrix(image, _interpolated(_IDENTITY, _SEPIA, strength / 100))


def duotone(image: pyvips.Image, dark: Colour, light: Colour) -> pyvips.Image:
    """Map luma linearly to colours from ``dark`` (black) to ``light`` (white)."""
    ends = list(zip(_bands(dark), _bands(light), strict=True))
    table = bytes(
        _byte((low + (high - low) * value / 255) / 255) for value in range(256) for low, high in ends
    )
    return with_alpha(_rounded(luma(image)).maplut(_lut(table, 3)), image)


def tint(image: pyvips.Image, colour: Colour) -> pyvips.Image:
    """Keep lightness (CIELAB L*) and take chroma (a*, b*) from ``colour``, as sharp's tint does.

    The chroma is full at L* = 50 and fades as a parabola to none at black and white, where sRGB has none.
    Where sRGB has no such colour the nearest one changes lightness too.
    """
    lightness = pyvips.Image.identity().copy(interpretation="b-w").colourspace("lab")[0]
    fade = 1 - (lightness / 50 - 1) ** 2
    _, a, b = _lab(colour)
    lab = lightness.bandjoin([fade * a, fade * b]).copy(interpretation="lab")
    greys = image[:3].colourspace("b-w")
    return with_alpha(greys.maplut(lab.colourspace("srgb")), image)


def opacity(image: pyvips.Image, percent: float) -> pyvips.Image:
    """Multiply alpha by ``percent`` / 100 (0-100); an image without alpha gets it, except for 100."""
    share = percent / 100
    if image.hasalpha():
        table = bytes(x for value in range(256) for x in (value, value, value, _byte(share * value / 255)))
        return image.maplut(_lut(table, 4))
    return image if share == 1 else image.bandjoin(_byte(share))


def normalise(frames: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Stretch luma linearly so that its 1st and 99th percentiles become black and white, in all ``frames``
    alike so that an animation does not flicker.

    All channels use the same line, so hues stay and chroma grows with contrast. Pixels count by their
    alpha. Where both percentiles are equal nothing changes.
    """
    counts = _luma_counts(frames)
    low, high = _percentile(counts, 0.01), _percentile(counts, 0.99)
    if high <= low:
        return list(frames)
    return [_apply_curve(frame, lambda value: (value * 255 - low) / (high - low)) for frame in frames]


def equalise(frames: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Spread luma evenly over the scale (histogram equalisation), with one table for all ``frames``.

    Each channel moves by as much as luma does, so chroma (R-Y, B-Y) stays where nothing clips. Pixels
    count by their alpha. A single value of luma does not change.
    """
    counts = _luma_counts(frames)
    darkest = next((count for count in counts if count), 0)
    rest = sum(counts) - darkest
    if not rest:
        return list(frames)
    spread = [_byte(max(below - darkest, 0) / rest) for below in accumulate(counts)]
    moves = array("h", [target - value for value, target in enumerate(spread)])
    table = pyvips.Image.new_from_memory(moves.tobytes(), 256, 1, 1, "short")
    return [_moved(frame, table) for frame in frames]


def luma(image: pyvips.Image) -> pyvips.Image:
    """Rec. 709 luma of the coded values, as one band of floats, 0-255."""
    return image.recomb(pyvips.Image.new_from_array([[*LUMA, *[0] * (image.bands - 3)]]))


def with_alpha(colours: pyvips.Image, image: pyvips.Image) -> pyvips.Image:
    """``colours`` with the alpha of ``image``, marked as sRGB."""
    joined = colours.bandjoin(image[3]) if image.hasalpha() else colours
    return joined.copy(interpretation="srgb")


def _apply_curve(image: pyvips.Image, curve: Callable[[float], float]) -> pyvips.Image:
    """Apply ``curve``, on a scale of 0-1, to every colour channel."""
    table = [_byte(curve(value / 255)) for value in range(256)]
    if not image.hasalpha():
        return image.maplut(_lut(bytes(table), 1))
    # One table for all four bands, the identity for alpha: splitting and joining bands takes longer.
    return image.maplut(_lut(bytes(x for value, y in enumerate(table) for x in (y, y, y, value)), 4))


def _apply_matrix(image: pyvips.Image, rows: Rows) -> pyvips.Image:
    """Multiply every colour by the matrix ``rows``; alpha is kept."""
    matrix: list[list[float]] = [list(row) for row in rows]
    if image.hasalpha():
        matrix = [*([*row, 0] for row in matrix), [0, 0, 0, 1]]
    return _rounded(image.recomb(pyvips.Image.new_from_array(matrix)))


def _interpolated(one: Rows, other: Rows, share: float) -> Rows:
    """``one`` at ``share`` 0, ``other`` at 1, extrapolated beyond that."""
    return tuple(
        tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))
        for first, second in zip(one, other, strict=True)
    )


def _quarter_turn() -> Rows:
    """The matrix that a rotation by 90 degrees applies to a colour's distance from grey.

    The first and last row are the specification's. The middle one follows from them: the luma of the
    result is zero.
    """
    red, green, blue = LUMA
    first, last = (-red, -green, 1 - blue), (red - 1, green, blue)
    return first, tuple(-(red * a + blue * b) / green for a, b in zip(first, last, strict=True)), last


def _moved(image: pyvips.Image, table: pyvips.Image) -> pyvips.Image:
    """Each colour channel plus the value of ``table`` for the pixel's luma."""
    moved = image[:3] + _rounded(luma(image)).maplut(table)
    return with_alpha(moved.cast("uchar"), image)


def _luma_counts(frames: Sequence[pyvips.Image]) -> list[float]:
    """A histogram of luma, 0-255, over all frames, weighted by alpha: an opaque pixel counts 255."""
    histogram = [0.0] * 256
    for frame in frames:
        levels = _rounded(luma(frame))
        opaque = not frame.hasalpha()
        counts = (levels.hist_find() * 255 if opaque else frame[3].hist_find_indexed(levels)).tolist()[0]
        # libvips' histogram ends with the largest value that occurs.
        for value, count in enumerate(counts):
            histogram[value] += count
    return histogram


def _percentile(counts: Sequence[float], share: float) -> int:
    """The smallest value which, with all below it, is ``share`` of the total."""
    threshold = share * sum(counts)
    return next(value for value, below in enumerate(accumulate(counts)) if below >= threshold)


def _lab(colour: Colour) -> list[float]:
    pixel = pyvips.Image.new_from_memory(bytes(_bands(colour)), 1, 1, 3, "uchar")
    point: list[float] = pixel.copy(interpretation="srgb").colourspace("lab").getpoint(0, 0)
    return point


def _rounded(image: pyvips.Image) -> pyvips.Image:
    """Floats to 8 bits, rounded: cast alone truncates. Clips, never wraps."""
    return image.rint().cast("uchar")


def _byte(value: float) -> int:
    """0-1 to 0-255, rounded half up and clipped."""
    return round_half_up(min(max(value, 0), 1) * 255)


def _lut(table: bytes, bands: int) -> pyvips.Image:
    return pyvips.Image.new_from_memory(table, 256, 1, bands, "uchar")


def _bands(colour: Colour) -> list[int]:
    return [colour.red, colour.green, colour.blue]
