"""The visual summary of an image in a few bytes: placeholders, colours, a perceptual hash, a focal point.

All are computed from one small level, in pure Python, within a few milliseconds.
"""

from __future__ import annotations

import base64
from itertools import chain

import pyvips

from image_processor.domain.geometry import Size
from image_processor.domain.models import VisualSummary
from image_processor.engine.operations.pixels import flatten, from_memory, materialise, resize

from .attention import SIDE, find_attention
from .palette import colour_boxes, dominant_colour, palette
from .placeholders import blurhash, lowest_frequencies, rows_of, thumbhash

_HASH_SIDE = SIDE

_CENTRE = (0.5, 0.5)


def summarise(level: pyvips.Image) -> VisualSummary:
    """The summary of ``level``: 3 or 4 bands, at most 64 pixels a side."""
    longest = max(level.width, level.height)
    width, height = (max(1, side * _HASH_SIDE // longest) for side in (level.width, level.height))
    rgb, rgba = _both(resize(level, Size(width, height)))
    boxes = colour_boxes(rgba)
    square = resize(flatten(level, None), Size(_HASH_SIDE, _HASH_SIDE))
    pixels = _bytes_of(square)
    return VisualSummary(
        dominant_colour=dominant_colour(boxes),
        thumbhash=base64.b64encode(thumbhash(width, height, rgba)).decode(),
        perceptual_hash=perceptual_hash(_bytes_of(from_memory(pixels, square).colourspace("b-w"))),
        blurhash=blurhash(width, height, rgb),
        palette=palette(boxes),
        focus=focus(level, pixels),
    )


def perceptual_hash(grey: bytes) -> str:
    """16 hex digits: which of the 8 x 8 lowest DCT coefficients of 32 x 32 grey values exceed their median,
    row by row, the mean first."""
    frequencies = lowest_frequencies(rows_of(grey, _HASH_SIDE), 8, 8)
    # Rounded, so that floating-point noise in a flat image does not become bits.
    lowest = [round(value, 3) for value in chain.from_iterable(frequencies)]
    median = sum(sorted(lowest)[31:33]) / 2  # of 64 values
    bits = "".join("1" if value > median else "0" for value in lowest)
    return f"{int(bits, 2):016x}"


def focus(level: pyvips.Image, square: bytes) -> tuple[float, float]:
    """The focal point: x and y as parts (0-1, three decimals) of width and height. ``square`` are the
    pixels of ``level`` resized to 32 x 32, without alpha.

    It is the centre of attention of libvips' smartcrop for the largest square of the image. For an image in
    which nothing stands out it is the centre; libvips would return the top left corner.
    """
    x, y = _attention(level, square)
    if (x, y) == (0, 0) and _is_flat(level):
        return _CENTRE
    return round((x + 0.5) / level.width, 3), round((y + 0.5) / level.height, 3)


def _attention(level: pyvips.Image, square: bytes) -> tuple[int, int]:
    side = min(level.width, level.height)
    # libvips premultiplies alpha, and enlarges in another way.
    if side >= SIDE and not level.hasalpha():
        return find_attention(square, level.width, level.height)
    _, found = level.smartcrop(side, side, interesting="attention", attention_x=True, attention_y=True)
    return found["attention_x"], found["attention_y"]


def _is_flat(level: pyvips.Image) -> bool:
    return all(band.min() == band.max() for band in level.bandsplit())


def _both(small: pyvips.Image) -> tuple[bytes, bytes]:
    """The pixels over white, and with their alpha."""
    if small.hasalpha():
        computed = materialise(small)
        return _bytes_of(flatten(computed, None)), _bytes_of(computed)
    rgb = _bytes_of(small)
    return rgb, _opaque(rgb)


def _opaque(rgb: bytes) -> bytes:
    """With an alpha of 255. In Python: an operation of libvips takes longer to set up."""
    rgba = bytearray(b"\xff") * (len(rgb) // 3 * 4)
    for band in range(3):
        rgba[band::4] = rgb[band::3]
    return bytes(rgba)


def _bytes_of(image: pyvips.Image) -> bytes:
    return bytes(image.write_to_memory())
