"""TIFF's pixels that libvips does not convert: YCbCr without JPEG, CIE L*a*b*, and grey in separate planes.

The directory is patched so that libtiff returns the samples as they are; they are converted here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyvips
from msgspec import Struct

_BT601 = (0.299, 0.587, 0.114)


class YCbCr(Struct, frozen=True):
    """Luminance factors of red, green and blue, and the codes of black and white for each component
    (TIFF 6.0, sections 20 and 21)."""

    luma: Sequence[float] = _BT601
    references: Sequence[float] = (0, 255, 128, 255, 128, 255)

    def to_rgb(self, image: pyvips.Image) -> pyvips.Image:
        red, green, blue = self.luma
        low, high = self.references[::2], self.references[1::2]
        # The range of codes is 255 for luminance, 127 for the other two.
        scales = [
            full / (white - black) for full, black, white in zip((255, 127, 127), low, high, strict=True)
        ]
        offsets = [-scale * black for scale, black in zip(scales, low, strict=True)]
        to_red, to_blue = 2 - 2 * red, 2 - 2 * blue
        matrix = pyvips.Image.new_from_array(
            [
                [1, 0, to_red],
                [1, -blue * to_blue / green, -red * to_red / green],
                [1, to_blue, 0],
            ]
        )
        rgb = image.linear(scales, offsets).recomb(matrix).rint().cast("uchar")
        return rgb.copy(interpretation="srgb")


class Lab(Struct, frozen=True):
    """CIE L*a*b*; in ``is_offset`` codes a* and b* have 128 added, in others they are signed."""

    is_offset: bool

    def to_rgb(self, image: pyvips.Image) -> pyvips.Image:
        """In sRGB of 8 bits. The white is that of ICC profiles, D50, as in image editors."""
        is_deep = image.format == "ushort"
        white = (0xFF00 if self.is_offset else 0xFFFF) if is_deep else 255
        if self.is_offset:
            chroma = image[1:3] / (256 if is_deep else 1) - 128
        else:
            chroma = image[1:3].copy(format="short" if is_deep else "char") / (256 if is_deep else 1)
        lab = (image[0] * (100 / white)).bandjoin(chroma).copy(interpretation="lab")
        rgb = lab.icc_export(output_profile="srgb", intent="relative", depth=8)
        rgb.remove("icc-profile-data")
        return rgb


def with_colours(image: pyvips.Image, colours: YCbCr | Lab) -> pyvips.Image:
    """``image`` of raw samples in sRGB, its fourth band kept as alpha."""
    plain = image.copy()
    if plain.get_typeof("icc-profile-data"):
        plain.remove("icc-profile-data")  # it describes the samples
    rgb = colours.to_rgb(plain[:3])
    if image.bands == 3:
        return rgb
    alpha = image[3] if image.format == "uchar" else image[3].msb()
    return rgb.bandjoin(alpha).copy(interpretation="srgb")


def as_grey(image: pyvips.Image, *, white_is_zero: bool, is_premultiplied: bool) -> pyvips.Image:
    """``image`` of raw samples, of which the first is grey and the second may be alpha."""
    is_deep = image.format == "ushort"
    grey, others = image[0], image[1:]
    if white_is_zero:
        grey = grey.invert()
    if is_premultiplied:
        plain = grey.bandjoin(others[0]).unpremultiply(max_alpha=65535 if is_deep else 255)
        grey = plain[0].rint().cast(image.format)
    return grey.bandjoin(others).copy(interpretation="grey16" if is_deep else "b-w")
