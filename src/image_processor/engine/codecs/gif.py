"""GIF: animations and palettes, read and written by libvips."""

from __future__ import annotations

import threading
from typing import Any

import pyvips
from msgspec.structs import replace

from .codec import Codec, DecodeOptions, EncodeOptions, always, load, page_options, save
from .gif_blocks import is_truncated, leaves_gaps, mended

palette_lock = threading.Lock()
"""Held while colours are reduced to a palette. libimagequant starts the dithering of each image with
srand() and rand(), which all threads of a process share: two at a time would change each other's bytes."""

_DECODE_BYTES_PER_PIXEL = 6


def _open(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """The frames of ``options``, stacked. Raises pyvips.Error."""
    image = _load(mended(data, with_gaps=False), options)
    if image.hasalpha() or not leaves_gaps(data):
        return image
    frames = image.get("n-pages")
    count = options.count if options.count > 0 else max(1, frames - options.first)
    with_alpha = _load(mended(data, with_gaps=True), replace(options, count=count))
    if with_alpha.get("n-pages") != frames + 1:
        return image
    return _of_frames(with_alpha, frames)


def _load(data: bytes, options: DecodeOptions) -> pyvips.Image:
    return load(
        "gifload",
        data,
        access="sequential",
        fail_on=options.fail_on,
        **page_options(options),
    )


def _of_frames(image: pyvips.Image, frames: int) -> pyvips.Image:
    """``image`` with the metadata of its first ``frames`` frames only."""
    copy = image.copy()
    copy.set_type(pyvips.GValue.gint_type, "n-pages", frames)
    copy.set_type(pyvips.GValue.array_int_type, "delay", image.get("delay")[:frames])
    return copy


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
    open=_open,
    saver="gifsave",
    encode_bytes=27,
    save_options=_save_options,
    encode=_encode,
    carries_profile=False,
    is_truncated=lambda data, _page: is_truncated(data),
    decodes_partially=always,
    decode_memory=lambda data, _opened, pixels, _page: len(data) + _DECODE_BYTES_PER_PIXEL * pixels,
)
