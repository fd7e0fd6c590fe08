"""The steps that change pixels. Each takes a picture and gives a picture; none changes its own.

A level's pictures are plain memory: 8 bits, sRGB (or the kept profile's RGB), 3 bands or 4
with straight alpha, and no metadata at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import pyvips

from image_processor.domain.geometry import Size, tilted
from image_processor.domain.transformation import WHITE, Colour

from .orientation import Orientation

_OPAQUE = 255

_QUARTERS: tuple[Callable[[pyvips.Image], pyvips.Image], ...] = (
    lambda picture: picture,
    lambda picture: picture.rot90(),
    lambda picture: picture.rot180(),
    lambda picture: picture.rot270(),
)


def resize(picture: pyvips.Image, size: Size) -> pyvips.Image:
    """Scale to exactly ``size`` (Lanczos 3, bicubic where it grows), weighting colours by alpha so
    that no edge gets the colour of what is invisible."""
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    return premultiplied(picture, partial(_scale, size=size))


def resize_linear(picture: pyvips.Image, size: Size) -> pyvips.Image:
    """As `resize`, but mixing light instead of sRGB's coded values: fine bright detail keeps its
    brightness when it gets small. ``picture`` must be 8-bit sRGB with 3 bands, or 4 with alpha.

    Light is held in 16 bits, in which sRGB's steps are at least 19 apart.
    """
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    light = picture.maplut(_light(picture.bands)).copy(interpretation="rgb16")
    scaled = premultiplied(light, partial(_scale, size=size))
    return scaled.maplut(_coded(picture.bands)).copy(interpretation="srgb")


def premultiplied(picture: pyvips.Image, step: Callable[[pyvips.Image], pyvips.Image]) -> pyvips.Image:
    """``step``, which treats all bands alike, with colours weighted by alpha where there is any."""
    if not picture.hasalpha():
        return step(picture)
    # Premultiplied in floats, but worked on in the picture's own format: that is 2.5 times as quick.
    premultiplied = picture.premultiply().rint().cast(picture.format)
    return step(premultiplied).unpremultiply().rint().cast(picture.format)


def enlarge(picture: pyvips.Image, size: Size, interpolate: str) -> pyvips.Image:
    """Scale up to ``size``, every band by itself, by one of libvips' interpolators.

    libvips' own resize puts what it enlarges half a pixel of the result too far right and down
    (libvips issues 943 and 4841): a ramp 0, 1, 2 doubled is 0, 0, 0.5 instead of 0, 0.25, 0.75.
    """
    across, down = size.width / picture.width, size.height / picture.height
    if (across, down) == (1, 1):
        return picture
    return picture.affine(
        [across, 0, 0, down],
        interpolate=pyvips.Interpolate.new(interpolate),
        oarea=[0, 0, size.width, size.height],
        # A pixel's place is its middle, in the picture as in the result.
        idx=0.5 - 0.5 / across,
        idy=0.5 - 0.5 / down,
        extend="copy",
        premultiplied=True,
    )


def to_srgb(picture: pyvips.Image) -> pyvips.Image:
    """Convert to 8-bit sRGB with 3 bands, or 4 where there is alpha.

    An embedded profile is followed, and passed over if it is broken or of another colour space.
    Without one CMYK is taken to be the profile built into libvips, all else to be sRGB.
    """
    if picture.interpretation == "cmyk" or picture.get_typeof("icc-profile-data"):
        # Relative colorimetric with black point compensation is what photo editors default to;
        # without the latter the shadows of a print profile come out grey.
        converted = picture.icc_transform(
            "srgb",
            embedded=True,
            intent="relative",
            black_point_compensation=True,
            depth=8,
        )
    elif picture.interpretation == "srgb":
        converted = picture
    else:
        converted = picture.colourspace("srgb")
    return _three_or_four(converted)


def rgb_profile(picture: pyvips.Image) -> bytes | None:
    """The embedded profile, if it is one of RGB pixels and these are such, else None.

    ICC.1:2022, 7.2: the header says size, colour space and, at byte 36, what it is.
    """
    rgb = picture.interpretation in {"srgb", "rgb", "rgb16"} and picture.format in {"uchar", "ushort"}
    if not rgb or not picture.get_typeof("icc-profile-data"):
        return None
    profile = bytes(picture.get("icc-profile-data"))
    whole = int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"
    return profile if whole and profile[16:20] == b"RGB " else None


def to_eight_bits(picture: pyvips.Image) -> pyvips.Image:
    """Keep RGB in its own colour space, but with 8 bits."""
    eight = picture.msb() if picture.format == "ushort" else picture
    return _three_or_four(eight)


def materialise(picture: pyvips.Image) -> pyvips.Image:
    """The pixels as memory, and nothing else: no metadata of the input passes this line."""
    memory = picture.write_to_memory()
    copied = pyvips.Image.new_from_memory(memory, picture.width, picture.height, picture.bands, "uchar")
    return copied.copy(interpretation="srgb")


def turn(picture: pyvips.Image, turned: Orientation) -> pyvips.Image:
    """Turn and mirror a picture in memory."""
    if turned == Orientation():
        return picture
    rotated = _QUARTERS[turned.quarters](picture)
    return materialise(rotated.fliphor() if turned.mirrored else rotated)


def fine_rotation(picture: pyvips.Image, degrees: float, size: Size, natural: Size) -> pyvips.Image:
    """Turn clockwise by less than a quarter, in a canvas of exactly ``size`` with transparent corners.

    ``picture`` shows one of size ``natural``; how far its whole pixels are off that is made good
    here. Bicubic around the middle, on premultiplied colours, so that no edge takes the colour of
    what is invisible. A ``size`` of other proportions than the turned picture's distorts it.
    """
    around = tilted(natural, degrees)
    scale = max(size.width / around.width, size.height / around.height)
    level = Size(*(max(1, round(side * scale)) for side in (around.width, around.height)))
    alike = max(abs(level.width - size.width), abs(level.height - size.height)) <= 1
    canvas = size if alike else level
    stretch = natural.width * scale / picture.width, natural.height * scale / picture.height
    opaque = picture if picture.hasalpha() else picture.bandjoin(_OPAQUE)
    turned = premultiplied(opaque, partial(_tilted, degrees=degrees, stretch=stretch, size=canvas))
    return resize(turned.copy(interpretation="srgb"), size)


def _tilted(picture: pyvips.Image, degrees: float, stretch: tuple[float, float], size: Size) -> pyvips.Image:
    # A border that is transparent: else libvips draws the last row outwards and the edge is hard.
    framed = picture.embed(1, 1, picture.width + 2, picture.height + 2)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    across, down = stretch
    # libvips' own rotate and similarity turn around a corner of a pixel, and weight by alpha once more.
    return framed.affine(
        [cosine * across, -sine * down, sine * across, cosine * down],
        interpolate=pyvips.Interpolate.new("bicubic"),
        oarea=[0, 0, size.width, size.height],
        idx=(1 - framed.width) / 2,
        idy=(1 - framed.height) / 2,
        odx=(size.width - 1) / 2,
        ody=(size.height - 1) / 2,
        premultiplied=True,
    )


def drop_opaque_alpha(picture: pyvips.Image) -> pyvips.Image:
    """Without its alpha if every pixel is opaque: it says nothing and costs every later step."""
    if picture.hasalpha() and picture[3].min() == _OPAQUE:
        return materialise(picture[:3])
    return picture


def flatten(picture: pyvips.Image, background: Colour | None) -> pyvips.Image:
    """Without alpha, over ``background`` (white where None)."""
    if not picture.hasalpha():
        return picture
    # In floats: of 8 bits libvips cuts off what is behind the point, half a step on the average.
    floats = picture.cast("float").copy(interpretation="srgb")
    return floats.flatten(background=_bands(background or WHITE)).rint().cast("uchar")


def _scale(picture: pyvips.Image, size: Size) -> pyvips.Image:
    across, down = size.width / picture.width, size.height / picture.height
    if min(across, down) < 1:
        picture = picture.resize(min(across, 1), vscale=min(down, 1))
    return enlarge(picture, size, "bicubic")


def _light(bands: int) -> pyvips.Image:
    """The table from 8-bit sRGB to light in 16 bits (IEC 61966-2-1, 5.2); alpha is only widened."""
    coded = pyvips.Image.identity() / 255
    light = (coded <= 0.04045).ifthenelse(coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return (light.bandjoin([light, light, coded][: bands - 1]) * 65535).rint().cast("ushort")


@cache
def _coded(bands: int) -> pyvips.Image:
    """The table back, made once: it has 65,536 entries, and an animation needs it for each frame."""
    light = pyvips.Image.identity(ushort=True) / 65535
    coded = (light <= 0.0031308).ifthenelse(light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (coded.bandjoin([coded, coded, light][: bands - 1]) * 255).rint().cast("uchar").copy_memory()


def _three_or_four(picture: pyvips.Image) -> pyvips.Image:
    """Grey as three bands, and whatever is not 8-bit cut off."""
    if picture.bands < 3:
        alpha = picture[1:] if picture.bands == 2 else []
        picture = picture[0].bandjoin([picture[0], picture[0], *([alpha] if picture.bands == 2 else [])])
    return picture if picture.format == "uchar" else picture.cast("uchar")


def _bands(colour: Colour) -> list[int]:
    return [colour.red, colour.green, colour.blue]
