"""PNG: chunks read from the file's structure; truecolour and palettes, read and written by libvips."""

from __future__ import annotations

from typing import Any

import pyvips

from . import apng, gif, png_palette, sequences
from .codec import Animation, Codec, DecodeOptions, EncodeOptions, always, attach_profile, load, save
from .png_colour import with_colour
from .png_stream import read_stream

_ADAM7_FACTOR = 1.2
"""Memory of an interlaced PNG: the decoded image, and the strip that is read from it."""


def is_truncated(data: bytes) -> bool:
    """Whether a chunk is cut, or pixels are missing. A chunk is length, type, content, checksum (5.3).

    Without the last one, IEND, which has no content, all pixels of a still may be there nevertheless.
    """
    at = 8
    parts: list[tuple[int, int]] = []
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if name == b"IEND" or end > len(data):
            return end > len(data)
        if name == b"IDAT":
            parts.append((at + 8, end - 4))
        at = end
    if sequences.png_frames(data) > 1:
        return True
    return read_stream(data[start:end] for start, end in parts).after is None


def _decode_memory(data: bytes, opened: pyvips.Image, pixels: int, _page: int) -> int:
    depth, interlaced = data[24], data[28] == 1  # bits a sample, and the last byte of IHDR (PNG, 11.2.1)
    return int(_ADAM7_FACTOR * pixels * opened.bands * (2 if depth == 16 else 1)) if interlaced else 0


def _save_options(options: EncodeOptions, _quality: int | None) -> dict[str, Any]:
    # Adaptive filters: a third fewer bytes for photographs.
    level = 6 if options.effort is None else options.effort
    return {"compression": level, "filter": "all", "interlace": options.progressive}


def _encode(image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    if options.colours is None:
        return _encode_exactly(image, options)
    image, depth = _reduce_colours(image, options.colours)
    with gif.palette_lock:
        return save(image, "pngsave", **_save_options(options, quality), palette=True, bitdepth=depth)


_SMALL_PIXELS = 1 << 18
"""Up to here a palette is compared with truecolour; a larger image with few colours is always smaller."""


def _encode_exactly(image: pyvips.Image, options: EncodeOptions) -> bytes:
    """With every pixel as it is, as a palette, in grey, or in truecolour, whichever has fewer bytes."""
    saver = _save_options(options, None)
    grey = _as_grey(image)
    if options.progressive:
        return save(grey, "pngsave", **saver)
    indexed = png_palette.encode(image, saver["compression"])
    if indexed is not None and image.width * image.height > _SMALL_PIXELS:
        return indexed
    return min((save(grey, "pngsave", **saver), *([indexed] if indexed else [])), key=len)


def _as_grey(image: pyvips.Image) -> pyvips.Image:
    """One band of colour where all three are equal, and no profile says what they mean."""
    if image.get_typeof("icc-profile-data") or not _is_grey(image):
        return image
    grey = image[0].bandjoin(image[3]) if image.hasalpha() else image[0]
    return grey.copy(interpretation="b-w")


def _is_grey(image: pyvips.Image) -> bool:
    # A corner first: nearly every picture shows its colours there.
    corner = image.crop(0, 0, min(image.width, 64), min(image.height, 64))
    return all(
        (part[0] - part[1]).abs().max() == 0 and (part[1] - part[2]).abs().max() == 0
        for part in (corner, image)
    )


def _reduce_colours(image: pyvips.Image, colours: int) -> tuple[pyvips.Image, int]:
    """The image, and the bit depth that gives it a palette of at most ``colours``.

    libvips writes PNG palettes of 2, 4, 16 or 256 colours. GIF palettes have every power of two, so an opaque
    image is reduced as a GIF first; the transparency of a GIF would be too coarse for others.
    """
    bits = gif.palette_bits(colours)
    depth = max(depth for depth in (1, 2, 4, 8) if depth <= bits)
    if bits == depth or image.hasalpha():
        return image, depth
    profile = image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else None
    with gif.palette_lock:
        reduced = save(image, "gifsave", effort=4, bitdepth=bits, keep="none")
    source = pyvips.Source.new_from_memory(reduced)
    opaque = attach_profile(pyvips.Operation.call("gifload_source", source)[:3], profile)
    # In memory, because libvips reads the source in place, and it ends with this function.
    return opaque.copy_memory(), 4 if bits < 4 else 8


def _open(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """For one sequential pass; an animation in memory. Raises pyvips.Error."""
    animation = apng.PngAnimation.read(data)
    is_first = (options.first, options.count) == (0, 1)
    if animation is not None and not (is_first and animation.starts_with_default):
        return animation.decoded(options)
    return with_colour(load("pngload", data, access="sequential", fail_on=options.fail_on), data)


def read_animation(data: bytes) -> Animation | None:
    """For `Codec.read_animation`. Raises pyvips.Error."""
    animation = apng.PngAnimation.read(data)
    return None if animation is None else animation.described()


def _encode_animation(image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    if not image.get_typeof("page-height"):
        return _encode_exactly(image, EncodeOptions(effort=options.effort))
    return apng.encode(_as_grey(image), _save_options(options, quality))


CODEC = Codec(
    loader="pngload",
    open=_open,
    read_animation=read_animation,
    saver="pngsave",
    save_options=_save_options,
    encode=_encode,
    file_frames=sequences.png_frames,
    is_truncated=lambda data, _page: is_truncated(data),
    decodes_partially=always,
    decode_memory=_decode_memory,
)

ANIMATED = Codec(saver="pngsave", encode=_encode_animation, read_animation=read_animation)
"""An output format of its own, because a PNG is a still unless a client asks for more."""
