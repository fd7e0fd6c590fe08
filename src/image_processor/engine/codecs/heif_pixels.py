"""What libheif leaves to its callers, done on the pixels that it returns: for AVIF and HEIC alike."""

from __future__ import annotations

import pyvips

from .colour import with_coded_colour
from .heif_items import HeifItems

_BLACK, _STEPS = 16, 219
"""Limited range, of 8 bits (ITU-R BT.709, 4.6)."""


def completed(image: pyvips.Image, items: HeifItems) -> pyvips.Image:
    """``image`` with full-range samples, straight alpha, and the profile of a colour space that is given by
    numbers. Its pixels are still read in order."""
    if items.is_limited_grey:
        image = _expanded(image)
    if items.is_premultiplied and image.hasalpha():
        image = image.unpremultiply().rint().cast(image.format)
    colour = items.coded_colour
    if colour is None or image.get_typeof("icc-profile-data"):
        return image
    return with_coded_colour(image, colour.primaries, colour.transfer)


def _expanded(image: pyvips.Image) -> pyvips.Image:
    """Colours from limited to full range; alpha always has its full range (AV1 Image File Format, 4)."""
    unit = 256 if image.format == "ushort" else 1
    white = unit * 256 - 1
    scale = white / (_STEPS * unit)
    colours = image[: image.bands - 1] if image.hasalpha() else image
    full = colours.linear(scale, -_BLACK * unit * scale).rint().cast(image.format)
    return (full.bandjoin(image[image.bands - 1]) if image.hasalpha() else full).copy(
        interpretation=image.interpretation
    )
