"""GIF: blocks read from the file's structure; animations and palettes, read and written by libvips."""

from __future__ import annotations

import threading
from typing import Any

import pyvips

from .codec import Codec, EncodeOptions, always, page_options, save

palette_lock = threading.Lock()
"""Held while colours are reduced to a palette. libimagequant starts the dithering of each image with
srand() and rand(), which all threads of a process share: two at a time would change each other's bytes."""

_DECODE_BYTES_PER_PIXEL = 6


def is_truncated(data: bytes) -> bool:
    """Whether the trailer 0x3b is missing. Blocks carry a chain of sub-blocks (GIF89a, 17-27).

    libvips drops the broken last frame of a GIF silently.
    """
    at = 13 + _colour_table_bytes(data, 10)
    while at < len(data):
        introducer = data[at]
        if introducer == 0x3B:
            return False
        if introducer == 0x21:
            at += 2
        elif introducer == 0x2C:
            at += 11 + _colour_table_bytes(data, at + 9)
        else:
            return False  # Not a matter of length: the decoder will report what is wrong.
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return True


def _colour_table_bytes(data: bytes, flags_at: int) -> int:
    """The size of the colour table that follows, from its packed flags (GIF89a, 18 and 20)."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def palette_bits(colours: int) -> int:
    """The largest bit depth with at most ``colours`` (2-256) values."""
    return colours.bit_length() - 1


def _save_options(options: EncodeOptions, _quality: int | None) -> dict[str, Any]:
    # Effort 7, the default of libvips, takes 4 times the CPU for 7 % fewer bytes.
    saver: dict[str, Any] = {"effort": 4 if options.effort is None else options.effort + 1}
    if options.colours is not None:
        saver["bitdepth"] = palette_bits(options.colours)
    return saver | ({"interlace": True} if options.progressive else {})


def _encode(image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    with palette_lock:
        return save(image, "gifsave", **_save_options(options, quality))


CODEC = Codec(
    loader="gifload",
    load_options=page_options,
    saver="gifsave",
    save_options=_save_options,
    encode=_encode,
    is_truncated=lambda data, _page: is_truncated(data),
    decodes_partially=always,
    decode_memory=lambda _data, _opened, pixels, _page: _DECODE_BYTES_PER_PIXEL * pixels,
)
