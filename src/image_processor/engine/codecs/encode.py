"""Encodes finished frames as one format, with no metadata except, if requested, an ICC profile.

The same frames give the same bytes, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS

from .codec import Codec, EncodeOptions, attach_profile, save
from .registry import CODECS

LOWEST_QUALITY = 10
"""The lower bound of a search for fewer bytes: below it even faces break into blocks."""

_CLOSE_ENOUGH = 0.97
"""A search ends at this part of the byte limit: one step of quality is about 2 % of the bytes."""


class EncodedImage(Struct, frozen=True):
    """``quality`` is the one that was used, None for a lossless encoding."""

    body: bytes
    quality: int | None


class AnimationTiming(Struct, frozen=True):
    """Milliseconds a frame, and how often the animation plays (0 is forever)."""

    delays: tuple[int, ...] = ()
    loop: int = 0


def encode(
    frames: Sequence[pyvips.Image],
    format_name: str,
    options: EncodeOptions,
    *,
    profile: bytes | None,
    timing: AnimationTiming,
) -> EncodedImage:
    """The encoded image; several frames make an animation. ``profile`` is embedded where the format can
    carry one."""
    return _encode_once(_prepare(frames, profile, timing), format_name, options)


def encode_within(
    frames: Sequence[pyvips.Image],
    format_name: str,
    options: EncodeOptions,
    max_bytes: int,
    *,
    profile: bytes | None,
    timing: AnimationTiming,
    strict: bool = True,
) -> EncodedImage:
    """As `encode`, in at most ``max_bytes``: with the highest quality up to the requested one that fits,
    or one that takes 97 % of them. At most 8 encodings, usually 5.

    Raises Refused(OUTPUT_TOO_LARGE) where LOWEST_QUALITY takes more, or where the encoding has no
    quality to lower: colours and dimensions are never reduced unasked. If not ``strict``, returns the
    smallest encoding instead.
    """
    # In memory, so that no operation is computed again for each attempt.
    image = _prepare([frame.copy_memory() for frame in frames], profile, timing)

    def attempt(quality: int) -> EncodedImage:
        return _encode_once(image, format_name, replace(options, quality=quality))

    first = _encode_once(image, format_name, options)
    if len(first.body) <= max_bytes:
        return first
    low, too_large, fitting = LOWEST_QUALITY, first, None
    while too_large.quality is not None and low < too_large.quality:
        middle = attempt((low + too_large.quality) // 2)
        assert middle.quality is not None
        if len(middle.body) > max_bytes:
            too_large = middle
            continue
        fitting, low = middle, middle.quality + 1
        if len(middle.body) >= _CLOSE_ENOUGH * max_bytes:
            break
    if fitting is None and not strict:
        return too_large
    if fitting is None:
        raise _output_too_large(too_large, max_bytes)
    return fitting


@cache
def srgb_profile() -> bytes:
    """The sRGB profile built into libvips, about 500 bytes."""
    return _built_in("srgb")


@cache
def p3_profile() -> bytes:
    """The Display P3 profile built into libvips, about 500 bytes."""
    return _built_in("p3")


def _built_in(name: str) -> bytes:
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile: bytes = pixel.icc_transform(name).get("icc-profile-data")
    return profile


def _output_too_large(smallest: EncodedImage, max_bytes: int) -> Refused:
    how = f" at quality {smallest.quality}" if smallest.quality else ", and no quality to lower"
    return Refused(
        Reason.OUTPUT_TOO_LARGE, f"expected at most {max_bytes} bytes, got {len(smallest.body)}{how}"
    )


def _prepare(frames: Sequence[pyvips.Image], profile: bytes | None, timing: AnimationTiming) -> pyvips.Image:
    """One image of all frames, with the metadata that its encoder reads."""
    return attach_profile(_stack(frames, timing), profile)


def _stack(frames: Sequence[pyvips.Image], timing: AnimationTiming) -> pyvips.Image:
    if len(frames) == 1:
        return frames[0]
    stacked = pyvips.Image.arrayjoin(list(frames), across=1).copy()
    stacked.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    stacked.set_type(pyvips.GValue.array_int_type, "delay", list(timing.delays))
    stacked.set_type(pyvips.GValue.gint_type, "loop", timing.loop)
    return stacked


def _encode_once(image: pyvips.Image, format_name: str, options: EncodeOptions) -> EncodedImage:
    format_ = FORMATS[format_name]
    lossless = format_.quality is None or ("lossless" in format_.encoder_options and options.lossless)
    quality = None if lossless else options.quality or format_.quality
    return EncodedImage(_encode(CODECS[format_name], image, options, quality), quality)


def _encode(codec: Codec, image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    if codec.encode is not None:
        return codec.encode(image, options, quality)
    assert codec.saver is not None
    return save(image, codec.saver, **(codec.save_options(options, quality) if codec.save_options else {}))
