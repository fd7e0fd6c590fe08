"""The steps that change each pixel's colour by itself, between resizing and encoding.

Where a channel depends on itself alone it is a table of 256 entries, which is quickest; where the
channels mix it is a 3x3 matrix. Alpha passes untouched, except through `opacity`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate

import pyvips

from image_processor.domain.transformation import BLACK, WHITE, Colour

Rows = tuple[tuple[float, ...], ...]

# ITU-R BT.709-6, 3.2: how much red, green and blue make up luma.
LUMA = (0.2126, 0.7152, 0.0722)

_IDENTITY: Rows = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_GREY: Rows = (LUMA, LUMA, LUMA)
# W3C Filter Effects Module Level 1, 8.2 (sepia).
_SEPIA: Rows = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


def brightness(picture: pyvips.Image, amount: float) -> pyvips.Image:
    """Mix with black (``amount`` -100..0) or with white (0..100); 0 changes nothing.

    An offset would cut off one end of the scale. Mixing keeps every two values apart as long as
    8 bits can, comes to exactly black and white at the ends, and treats both ends alike:
    brightening is darkening the negative.
    """
    keep = 1 - abs(amount) / 100
    white = max(amount, 0) / 100
    return _mapped(picture, lambda value: keep * value + white)


def contrast(picture: pyvips.Image, amount: float) -> pyvips.Image:
    """Stretch around mid grey (127.5) by 1 + ``amount`` / 100: -100 is flat grey (128), 0 changes
    nothing, 100 doubles every distance."""
    slope = 1 + amount / 100
    return _mapped(picture, lambda value: slope * (value - 0.5) + 0.5)


def gamma(picture: pyvips.Image, exponent: float) -> pyvips.Image:
    """``out = in ** (1 / exponent)`` on a scale of 0-1, with ``exponent`` 0.1-10: above 1 lightens
    the middle, 1 changes nothing; black and white stay."""
    return _mapped(picture, lambda value: value ** (1 / exponent))


def negate(picture: pyvips.Image) -> pyvips.Image:
    """The negative: each channel counted from its other end. Twice is none."""
    return _mapped(picture, lambda value: 1 - value)


def saturation(picture: pyvips.Image, amount: float) -> pyvips.Image:
    """Scale each channel's distance from luma (Rec. 709) by 1 + ``amount`` / 100: -100 is grey,
    0 changes nothing, 100 doubles it. Luma stays where nothing clips."""
    return _mixed(picture, _between(_GREY, _IDENTITY, 1 + amount / 100))


def hue(picture: pyvips.Image, degrees: float) -> pyvips.Image:
    """Turn the hue by ``degrees`` (0-360; red goes to green at about 120), keeping luma (Rec. 709).

    The matrix of W3C Filter Effects Level 1, `hue-rotate`, on sRGB's coded values, with weights of
    four digits instead of three; turns add up. Nothing but clipping at 0 and 255 changes luma. A
    turn in LCh keeps lightness a little better and takes more than five times as long.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = tuple(
        tuple(
            grey + cosine * (one - grey) + sine * turn
            for grey, one, turn in zip(greys, ones, turns, strict=True)
        )
        for greys, ones, turns in zip(_GREY, _IDENTITY, _quarter_turn(), strict=True)
    )
    return _mixed(picture, rows)


def grey(picture: pyvips.Image) -> pyvips.Image:
    """Luma (Rec. 709 weights on the coded values) in all three colour bands, as CSS grayscale()."""
    return duotone(picture, BLACK, WHITE)


def sepia(picture: pyvips.Image, strength: float) -> pyvips.Image:
    """Brown as an old print, ``strength`` 0-100 percent: W3C Filter Effects Level 1, `sepia`."""
    return _mixed(picture, _between(_IDENTITY, _SEPIA, strength / 100))


def duotone(picture: pyvips.Image, dark: Colour, light: Colour) -> pyvips.Image:
    """Luma as a place on the straight way from ``dark`` (black) to ``light`` (white)."""
    ends = list(zip(_bands(dark), _bands(light), strict=True))
    table = bytes(
        _byte((low + (high - low) * value / 255) / 255) for value in range(256) for low, high in ends
    )
    return _with_alpha(_rounded(luma(picture)).maplut(_lut(table, 3)), picture)


def tint(picture: pyvips.Image, colour: Colour) -> pyvips.Image:
    """Keep lightness (CIELAB L*) and take chroma (a*, b*) from ``colour``, as sharp's tint does.

    The chroma is whole at L* = 50 and fades as a parabola to none at black and white, which have
    no room for any. Where sRGB has no such colour the nearest one changes lightness too.
    """
    lightness = pyvips.Image.identity().copy(interpretation="b-w").colourspace("lab")[0]
    room = 1 - (lightness / 50 - 1) ** 2
    _, a, b = _lab(colour)
    lab = lightness.bandjoin([room * a, room * b]).copy(interpretation="lab")
    greys = picture[:3].colourspace("b-w")
    return _with_alpha(greys.maplut(lab.colourspace("srgb")), picture)


def opacity(picture: pyvips.Image, percent: float) -> pyvips.Image:
    """Multiply alpha by ``percent`` / 100 (0-100); what has no alpha gets it, unless 100 asks for
    nothing."""
    share = percent / 100
    if picture.hasalpha():
        table = bytes(x for value in range(256) for x in (value, value, value, _byte(share * value / 255)))
        return picture.maplut(_lut(table, 4))
    return picture if share == 1 else picture.bandjoin(_byte(share))


def normalise(frames: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Stretch the 1st to the 99th percentile of luma to black and white, in all ``frames`` alike so
    that an animation does not flicker.

    All channels go through the one straight line, so hues stay and chroma grows with contrast.
    Pixels count by their alpha. Where both percentiles are one value nothing changes.
    """
    counts = _luma_counts(frames)
    low, high = _percentile(counts, 0.01), _percentile(counts, 0.99)
    if high <= low:
        return list(frames)
    return [_mapped(frame, lambda value: (value * 255 - low) / (high - low)) for frame in frames]


def equalise(frames: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Spread luma evenly over the scale (histogram equalisation), one table for all ``frames``.

    Each channel moves by as much as luma does, so chroma (R-Y, B-Y) stays where nothing clips.
    Pixels count by their alpha. A single value of luma is left as it is.
    """
    counts = _luma_counts(frames)
    darkest = next((count for count in counts if count), 0)
    rest = sum(counts) - darkest
    if not rest:
        return list(frames)
    spread = [_byte(max(below - darkest, 0) / rest) for below in accumulate(counts)]
    moves = array("h", [wanted - value for value, wanted in enumerate(spread)])
    table = pyvips.Image.new_from_memory(moves.tobytes(), 256, 1, 1, "short")
    return [_moved(frame, table) for frame in frames]


def luma(picture: pyvips.Image) -> pyvips.Image:
    """Rec. 709 luma of the coded values: one band of floats, 0-255."""
    return picture.recomb(pyvips.Image.new_from_array([[*LUMA, *[0] * (picture.bands - 3)]]))


def _mapped(picture: pyvips.Image, curve: Callable[[float], float]) -> pyvips.Image:
    """Every colour channel through ``curve``, which is on a scale of 0-1."""
    table = [_byte(curve(value / 255)) for value in range(256)]
    if not picture.hasalpha():
        return picture.maplut(_lut(bytes(table), 1))
    # One table for all four bands, the last one idle: parting and joining bands takes longer.
    return picture.maplut(_lut(bytes(x for value, y in enumerate(table) for x in (y, y, y, value)), 4))


def _mixed(picture: pyvips.Image, rows: Rows) -> pyvips.Image:
    """Every colour times the matrix ``rows``, alpha times one."""
    matrix: list[list[float]] = [list(row) for row in rows]
    if picture.hasalpha():
        matrix = [*([*row, 0] for row in matrix), [0, 0, 0, 1]]
    return _rounded(picture.recomb(pyvips.Image.new_from_array(matrix)))


def _between(one: Rows, other: Rows, share: float) -> Rows:
    """``one`` at 0, ``other`` at 1; beyond that, further along."""
    return tuple(
        tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))
        for first, second in zip(one, other, strict=True)
    )


def _quarter_turn() -> Rows:
    """What a turn by 90 degrees makes of a colour's distance from grey.

    The first and last row are the specification's. The middle one follows from them: the luma of
    what is turned is zero.
    """
    red, green, blue = LUMA
    first, last = (-red, -green, 1 - blue), (red - 1, green, blue)
    return first, tuple(-(red * a + blue * b) / green for a, b in zip(first, last, strict=True)), last


def _moved(picture: pyvips.Image, table: pyvips.Image) -> pyvips.Image:
    """Each colour channel plus what ``table`` says for the pixel's luma."""
    moved = picture[:3] + _rounded(luma(picture)).maplut(table)
    return _with_alpha(moved.cast("uchar"), picture)


def _luma_counts(frames: Sequence[pyvips.Image]) -> list[float]:
    """How much there is of each luma, 0-255, in all frames together; an opaque pixel is 255."""
    whole = [0.0] * 256
    for frame in frames:
        levels = _rounded(luma(frame))
        opaque = not frame.hasalpha()
        counts = (levels.hist_find() * 255 if opaque else frame[3].hist_find_indexed(levels)).tolist()[0]
        # The histogram ends with the largest value that there is.
        for value, count in enumerate(counts):
            whole[value] += count
    return whole


def _percentile(counts: Sequence[float], share: float) -> int:
    """The smallest value which, with all below it, makes up ``share`` of the whole."""
    wanted = share * sum(counts)
    return next(value for value, below in enumerate(accumulate(counts)) if below >= wanted)


def _lab(colour: Colour) -> list[float]:
    pixel = pyvips.Image.new_from_memory(bytes(_bands(colour)), 1, 1, 3, "uchar")
    point: list[float] = pixel.copy(interpretation="srgb").colourspace("lab").getpoint(0, 0)
    return point


def _with_alpha(colours: pyvips.Image, picture: pyvips.Image) -> pyvips.Image:
    """``colours`` with the alpha that ``picture`` has, marked as what they are."""
    joined = colours.bandjoin(picture[3]) if picture.hasalpha() else colours
    return joined.copy(interpretation="srgb")


def _rounded(picture: pyvips.Image) -> pyvips.Image:
    """Floats to 8 bits: cast alone cuts the fraction off. It clips, and never wraps."""
    return picture.rint().cast("uchar")


def _byte(value: float) -> int:
    """0-1 to 0-255, rounded half up and clipped."""
    return int(min(max(value, 0), 1) * 255 + 0.5)


def _lut(table: bytes, bands: int) -> pyvips.Image:
    return pyvips.Image.new_from_memory(table, 256, 1, bands, "uchar")


def _bands(colour: Colour) -> list[int]:
    return [colour.red, colour.green, colour.blue]
