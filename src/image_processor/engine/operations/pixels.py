"""The basic pixel operations: resize, colour conversion, orientation, rotation, alpha and blending.

Each takes an image and returns one; none modifies its argument. Images of a level are plain memory: 8
bits, sRGB (or the RGB of a kept profile), 3 bands or 4 with straight alpha, and no metadata at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import pyvips

from image_processor.domain.geometry import Size, tilted
from image_processor.domain.transformation import WHITE, Blend, Colour
from image_processor.engine.codecs.codec import attach_profile

from . import non_separable
from .orientation import Orientation

_OPAQUE = 255

_QUARTER_TURNS: tuple[Callable[[pyvips.Image], pyvips.Image], ...] = (
    lambda image: image,
    lambda image: image.rot90(),
    lambda image: image.rot180(),
    lambda image: image.rot270(),
)


def resize(image: pyvips.Image, size: Size, sides: tuple[float, float] | None = None) -> pyvips.Image:
    """Scale to exactly ``size``: Lanczos 3 down, bicubic up, on premultiplied colours, so that no edge takes
    the colour of transparent pixels. ``sides`` are those that the image would have with the parts of pixels
    that it lacks, or has too much, at its right and bottom: at most half a pixel."""
    whole = image.width, image.height
    if whole == (size.width, size.height):
        return image
    return premultiplied(image, partial(_scale, size=size, sides=sides or whole))


def resize_linear(image: pyvips.Image, size: Size) -> pyvips.Image:
    """As `resize`, but in linear light instead of sRGB's coded values: fine bright detail keeps its
    brightness at a small size. ``image`` must be 8-bit sRGB with 3 bands, or 4 with alpha.

    Light is held in 16 bits, in which sRGB's steps are at least 19 apart.
    """
    if (image.width, image.height) == (size.width, size.height):
        return image
    light = image.maplut(_to_light(image.bands)).copy(interpretation="rgb16")
    scaled = premultiplied(light, partial(_scale, size=size, sides=(image.width, image.height)))
    return scaled.maplut(_from_light(image.bands)).copy(interpretation="srgb")


def premultiplied(image: pyvips.Image, operation: Callable[[pyvips.Image], pyvips.Image]) -> pyvips.Image:
    """Apply ``operation``, which treats all bands alike, with colours premultiplied by alpha if there is
    any."""
    if not image.hasalpha():
        return operation(image)
    # Premultiplied in floats, but processed in the image's own format, which is 2.5 times as fast.
    weighted = image.premultiply().rint().cast(image.format)
    return operation(weighted).unpremultiply().rint().cast(image.format)


def enlarge(image: pyvips.Image, size: Size, interpolate: str) -> pyvips.Image:
    """Scale up to ``size``, every band by itself, with one of libvips' interpolators.

    libvips' own resize shifts what it enlarges by half a pixel of the result to the right and down
    (libvips issues 943 and 4841): a ramp 0, 1, 2 doubled is 0, 0, 0.5 instead of 0, 0.25, 0.75.
    """
    across, down = size.width / image.width, size.height / image.height
    if (across, down) == (1, 1):
        return image
    return image.affine(
        [across, 0, 0, down],
        interpolate=pyvips.Interpolate.new(interpolate),
        oarea=[0, 0, size.width, size.height],
        # Positions are those of pixel centres, in the image and in the result.
        idx=0.5 - 0.5 / across,
        idy=0.5 - 0.5 / down,
        extend="copy",
        premultiplied=True,
    )


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert to 8-bit sRGB with 3 bands, or 4 where there is alpha.

    An embedded profile is applied, and ignored if it is broken or of another colour space. Without one
    CMYK uses the profile built into libvips, and everything else is assumed to be sRGB.
    """
    if image.interpretation == "cmyk" or image.get_typeof("icc-profile-data"):
        # Relative colorimetric with black point compensation is the default of photo editors; without
        # the latter the shadows of a print profile come out grey.
        converted = image.icc_transform(
            "srgb",
            embedded=True,
            intent="relative",
            black_point_compensation=True,
            depth=8,
        )
    elif image.interpretation == "srgb":
        converted = image
    else:
        converted = image.colourspace("srgb")
    return _three_or_four_bands(converted)


def to_p3(image: pyvips.Image) -> pyvips.Image:
    """As `to_srgb`, in the numbers of Display P3."""
    has_profile = image.interpretation == "cmyk" or image.get_typeof("icc-profile-data")
    converted = (image if has_profile else to_srgb(image)).icc_transform(
        "p3",
        embedded=True,
        input_profile="cmyk" if image.interpretation == "cmyk" else "srgb",
        intent="relative",
        black_point_compensation=True,
        depth=8,
    )
    return _three_or_four_bands(converted)


def from_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Convert 8-bit RGB in the colour space of ``profile``, with or without alpha, to sRGB."""
    return materialise(to_srgb(attach_profile(image, profile)))


def rgb_profile(image: pyvips.Image) -> bytes | None:
    """The embedded profile, if it is an RGB profile and the pixels are RGB, else None.

    ICC.1:2022, 7.2: the header has the size, the colour space and, at byte 36, a signature.
    """
    is_rgb = image.interpretation in {"srgb", "rgb", "rgb16"} and image.format in {"uchar", "ushort"}
    if not is_rgb or not image.get_typeof("icc-profile-data"):
        return None
    profile = bytes(image.get("icc-profile-data"))
    is_valid = int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"
    return profile if is_valid and profile[16:20] == b"RGB " else None


def to_eight_bits(image: pyvips.Image) -> pyvips.Image:
    """Keep RGB in its own colour space, but with 8 bits."""
    return _three_or_four_bands(image.msb() if image.format == "ushort" else image)


def materialise(image: pyvips.Image) -> pyvips.Image:
    """Compute the pixels into memory, without any metadata: no metadata of the original passes here."""
    return from_memory(image.write_to_memory(), image)


def from_memory(memory: bytes, image: pyvips.Image) -> pyvips.Image:
    """The computed pixels of ``image``, uchar in RGB, without any metadata."""
    copied = pyvips.Image.new_from_memory(memory, image.width, image.height, image.bands, "uchar")
    return copied.copy(interpretation="srgb")


def orient(image: pyvips.Image, orientation: Orientation) -> pyvips.Image:
    """Rotate by quarter turns and mirror an image in memory."""
    if orientation == Orientation():
        return image
    rotated = _QUARTER_TURNS[orientation.quarters](image)
    return materialise(rotated.fliphor() if orientation.mirrored else rotated)


def fine_rotation(image: pyvips.Image, degrees: float, size: Size, natural: Size) -> pyvips.Image:
    """Rotate clockwise by less than 90 degrees, in a canvas of exactly ``size`` with transparent corners.

    ``natural`` is the size before resizing; it corrects what rounding to whole pixels has changed in
    ``image``. Bicubic around the centre, on premultiplied colours, so that no edge takes the colour of
    transparent pixels. A ``size`` of other proportions than the rotated image's distorts it.
    """
    around = tilted(natural, degrees)
    scale = max(size.width / around.width, size.height / around.height)
    level = Size(*(max(1, round(side * scale)) for side in (around.width, around.height)))
    is_close = max(abs(level.width - size.width), abs(level.height - size.height)) <= 1
    canvas = size if is_close else level
    stretch = natural.width * scale / image.width, natural.height * scale / image.height
    with_alpha = image if image.hasalpha() else image.bandjoin(_OPAQUE)
    rotated = premultiplied(with_alpha, partial(_rotate, degrees=degrees, stretch=stretch, size=canvas))
    return resize(rotated.copy(interpretation="srgb"), size)


def _rotate(image: pyvips.Image, degrees: float, stretch: tuple[float, float], size: Size) -> pyvips.Image:
    # A transparent border: otherwise libvips extends the last row, and the edge is not antialiased.
    framed = image.embed(1, 1, image.width + 2, image.height + 2)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    across, down = stretch
    # libvips' own rotate and similarity rotate around the corner of a pixel, and premultiply again.
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


def drop_opaque_alpha(image: pyvips.Image) -> pyvips.Image:
    """Remove alpha if every pixel is opaque: it costs every later operation."""
    if image.hasalpha() and image[3].min() == _OPAQUE:
        return materialise(image[:3])
    return image


def flatten(image: pyvips.Image, background: Colour | None) -> pyvips.Image:
    """Remove alpha, over ``background`` (white where None)."""
    if not image.hasalpha():
        return image
    # In floats: with 8 bits libvips truncates, which loses half a step on average.
    floats = image.cast("float").copy(interpretation="srgb")
    return floats.flatten(background=_channels(background or WHITE)).rint().cast("uchar")


def blend(backdrop: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """``source`` over all of ``backdrop``: W3C Compositing and Blending Level 1, in sRGB, in floats, rounded
    once. Both are uchar and of one size; the source has straight alpha, the backdrop may have, and the
    result has the backdrop's bands.

    libvips' composite is right only between opaque images: of a translucent layer all modes but `over` use
    the alpha twice (libvips issue 4614), and it truncates integers.
    """
    colours = source[:3] if mode is Blend.OVER else _mixed(backdrop, source[:3], mode)
    layer = _floats(colours.bandjoin(source[3]))
    result = _floats(backdrop).composite2(layer, "over", compositing_space="srgb").rint().cast("uchar")
    return result if backdrop.hasalpha() else result[:3]


def mask(image: pyvips.Image, source: pyvips.Image) -> pyvips.Image:
    """``image`` with its alpha times the luminance and alpha of ``source`` (W3C CSS Masking Level 1, 7.10),
    which has its size and straight alpha."""
    weights = pyvips.Image.new_from_array([[0.2126, 0.7152, 0.0722]])
    share = source[:3].recomb(weights) * source[3] / _OPAQUE**2
    alpha = image[3] if image.hasalpha() else _OPAQUE
    return image[:3].bandjoin((share * alpha).rint().cast("uchar")).copy(interpretation="srgb")


def _mixed(backdrop: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """The source's colours, blended with the backdrop as far as that is opaque (section 5.8.1, Cs)."""
    below = backdrop[:3]
    mixed = _blended(below, source, mode)
    if not backdrop.hasalpha():
        return mixed
    covered = backdrop[3] / _OPAQUE
    return source * (covered * -1 + 1) + mixed * covered


def _blended(below: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """B(cb, cs) of section 9. For dodge and burn libvips has an older rule for 0/0; the modes that mix
    channels it does not have."""
    if mode in non_separable.MODES:
        return non_separable.mix(_floats(below), _floats(source), mode)
    mixed = _floats(below).composite2(_floats(source), str(mode), compositing_space="srgb")[:3]
    if mode is Blend.COLOUR_DODGE:
        return (below == 0).ifthenelse(0, mixed)
    if mode is Blend.COLOUR_BURN:
        return (below == _OPAQUE).ifthenelse(_OPAQUE, mixed)
    return mixed


def _floats(image: pyvips.Image) -> pyvips.Image:
    return image.cast("float").copy(interpretation="srgb")


def _scale(image: pyvips.Image, size: Size, sides: tuple[float, float]) -> pyvips.Image:
    across, down = size.width / sides[0], size.height / sides[1]
    if min(across, down) < 1:
        image = image.resize(min(across, 1), vscale=min(down, 1))
    return enlarge(image, size, "bicubic")


def _to_light(bands: int) -> pyvips.Image:
    """The lookup table from 8-bit sRGB to light in 16 bits (IEC 61966-2-1, 5.2); alpha is only widened."""
    coded = pyvips.Image.identity() / 255
    light = (coded <= 0.04045).ifthenelse(coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return (light.bandjoin([light, light, coded][: bands - 1]) * 65535).rint().cast("ushort")


@cache
def _from_light(bands: int) -> pyvips.Image:
    """The inverse table, made once: it has 65,536 entries, and an animation needs it for each frame."""
    light = pyvips.Image.identity(ushort=True) / 65535
    coded = (light <= 0.0031308).ifthenelse(light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (coded.bandjoin([coded, coded, light][: bands - 1]) * 255).rint().cast("uchar").copy_memory()


def _three_or_four_bands(image: pyvips.Image) -> pyvips.Image:
    """Grey as three bands; values are clipped to 8 bits."""
    if image.bands < 3:
        alpha = image[1:] if image.bands == 2 else []
        image = image[0].bandjoin([image[0], image[0], *([alpha] if image.bands == 2 else [])])
    return image if image.format == "uchar" else image.cast("uchar")


def _channels(colour: Colour) -> list[int]:
    return [colour.red, colour.green, colour.blue]
