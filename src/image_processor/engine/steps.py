"""The steps that change pixels. Each takes a picture and gives a picture; none changes its own.

A level's pictures are plain memory: 8 bits, sRGB (or the kept profile's RGB), 3 bands or 4
with straight alpha, and no metadata at all.
"""

from __future__ import annotations

from collections.abc import Callable

import pyvips

from image_processor.transformation import WHITE, Colour, Gravity

from .geometry import Size, offset

_OPAQUE = 255

# EXIF 2.32, 4.6.4.A, tag 274: how the stored rows and columns become upright ones.
_TURNS: dict[int, Callable[[pyvips.Image], pyvips.Image]] = {
    2: lambda picture: picture.fliphor(),
    3: lambda picture: picture.rot180(),
    4: lambda picture: picture.flipver(),
    5: lambda picture: picture.rot90().fliphor(),
    6: lambda picture: picture.rot90(),
    7: lambda picture: picture.rot270().fliphor(),
    8: lambda picture: picture.rot270(),
}


def resize(picture: pyvips.Image, size: Size) -> pyvips.Image:
    """Scale to exactly ``size`` (Lanczos 3), weighting colours by alpha so that no edge gets the
    colour of what is invisible."""
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    if not picture.hasalpha():
        return _scale(picture, size)
    # Premultiplied in floats, but scaled in the picture's own format: that is 2.5 times as quick.
    premultiplied = picture.premultiply().rint().cast(picture.format)
    return _scale(premultiplied, size).unpremultiply().rint().cast(picture.format)


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


def plain(picture: pyvips.Image) -> pyvips.Image:
    """The pixels as memory, and nothing else: no metadata of the input passes this line."""
    memory = picture.write_to_memory()
    copied = pyvips.Image.new_from_memory(memory, picture.width, picture.height, picture.bands, "uchar")
    return copied.copy(interpretation="srgb")


def turn_upright(picture: pyvips.Image, orientation: int) -> pyvips.Image:
    """Apply EXIF's orientation, 1-8, to a picture in memory."""
    turn = _TURNS.get(orientation)
    return plain(turn(picture)) if turn else picture


def drop_idle_alpha(picture: pyvips.Image) -> pyvips.Image:
    """Without its alpha if every pixel is opaque: it says nothing and costs every later step."""
    if picture.hasalpha() and picture[3].min() == _OPAQUE:
        return plain(picture[:3])
    return picture


def flatten(picture: pyvips.Image, background: Colour | None) -> pyvips.Image:
    """Without alpha, over ``background`` (white where None)."""
    if not picture.hasalpha():
        return picture
    return picture.flatten(background=_bands(background or WHITE))


def pad(picture: pyvips.Image, size: Size, gravity: Gravity, background: Colour | None) -> pyvips.Image:
    """Place in a canvas of ``size``; bars are ``background``, or transparent where None."""
    if background is None and not picture.hasalpha():
        picture = picture.bandjoin(_OPAQUE)
    ink = _bands(background) if background else [0, 0, 0, 0]
    left, top = offset(size, Size(picture.width, picture.height), gravity)
    return picture.embed(left, top, size.width, size.height, extend="background", background=ink)


def _scale(picture: pyvips.Image, size: Size) -> pyvips.Image:
    return picture.resize(size.width / picture.width, vscale=size.height / picture.height)


def _three_or_four(picture: pyvips.Image) -> pyvips.Image:
    """Grey as three bands, and whatever is not 8-bit cut off."""
    if picture.bands < 3:
        alpha = picture[1:] if picture.bands == 2 else []
        picture = picture[0].bandjoin([picture[0], picture[0], *([alpha] if picture.bands == 2 else [])])
    return picture if picture.format == "uchar" else picture.cast("uchar")


def _bands(colour: Colour) -> list[int]:
    return [colour.red, colour.green, colour.blue]
