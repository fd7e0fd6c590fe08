"""AVIF, read and written by libvips (libheif with dav1d and libaom)."""

from __future__ import annotations

from typing import Any

import pyvips
from msgspec.structs import replace

from . import avif_sequence, sequences
from .codec import Codec, DecodeOptions, EncodeOptions, QualityFit, load, sample_bytes, save
from .heif_items import HeifItems, is_truncated, turn
from .heif_pixels import completed

_DECODE_BYTES_8_BITS = 19
"""15 with subsampled chroma: planes of dav1d and of libheif, then RGB twice."""
_DECODE_BYTES_DEEPER = 25
_ENCODE_BYTES = 22


def _open(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """The primary image, opened for one sequential pass; a sequence in memory. Raises pyvips.Error."""
    if avif_sequence.read_animation(data) is not None:
        return avif_sequence.decode(data, options)
    items = HeifItems.read(data)
    is_turned = items is not None and items.is_alpha_turned_differently
    readable = items.without_turns() if items and is_turned else data
    access = "random" if is_turned else "sequential"
    image = load("heifload", readable, access=access, fail_on="error")
    if items is None:
        return image
    whole = completed(image, items)
    return turn(whole, items.turns) if is_turned else whole


def _decode_memory(data: bytes, opened: pyvips.Image, pixels: int, _page: int) -> int:
    # Of the file: what is tone-mapped has 8 bits afterwards.
    bits = opened.get("bits-per-sample") if opened.get_typeof("bits-per-sample") else 16
    decoded = pixels * (_DECODE_BYTES_8_BITS if bits == 8 else _DECODE_BYTES_DEEPER)
    items = HeifItems.read(data)
    # Pixels that are turned here are read in another order than they are decoded in.
    is_turned = items is not None and items.is_alpha_turned_differently
    return decoded + (pixels * opened.bands * sample_bytes(opened) if is_turned else 0)


def _save_options(options: EncodeOptions, quality: int | None) -> dict[str, Any]:
    # Effort 4 takes 38 times the CPU of effort 0 for 18 % fewer bytes; the cliff is after 3.
    saver = {"compression": "av1", "effort": options.effort or 0, "bitdepth": 8}
    if options.lossless:
        return saver | {"lossless": True}
    # libvips' "auto" would stop subsampling at quality 90, as JPEG's does, for a third more bytes.
    subsampled = "off" if options.subsampling == "444" else "on"
    return saver | {"Q": quality, "subsample_mode": subsampled}


def _encode_sequence(image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    if not image.get_typeof("page-height"):
        return save(image, "heifsave", **_save_options(replace(options, lossless=False), quality))
    assert quality is not None
    return avif_sequence.encode(image, quality, options.effort or 0, options.subsampling)


CODEC = Codec(
    loader="heifload",
    open=_open,
    read_animation=avif_sequence.read_animation,
    saver="heifsave",
    save_options=_save_options,
    encode_bytes=_ENCODE_BYTES,
    quality_fit=QualityFit(62.51, (-9.6, 6.87, -5.59, -0.33), 0.65),
    file_frames=sequences.heif_frames,
    is_truncated=lambda data, _page: is_truncated(data) or sequences.ends_early(data),
    decode_memory=_decode_memory,
)

SEQUENCE = Codec(
    package=avif_sequence.PACKAGE,
    saver="heifsave",
    encode=_encode_sequence,
    encode_bytes=_ENCODE_BYTES,
    quality_fit=CODEC.quality_fit,
    read_animation=avif_sequence.read_animation,
)
"""An output format of its own, because an AVIF is a still unless a client asks for more."""
