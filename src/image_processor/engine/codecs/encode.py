"""Turns finished frames into bytes of one format, with no metadata but, where asked, a profile.

The same frames give the same bytes, whatever the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS

LOWEST_QUALITY = 10
"""What a search for fewer bytes goes down to: below it even faces fall into blocks."""

_NEAR = 0.97
"""A search ends with what takes this part of the bytes: one step of quality is about 2 % of them."""

_dithering = threading.Lock()
"""Held while colours are reduced to a palette. libimagequant begins each picture's dithering with
srand() and rand(), which all threads of a process share: of two at a time one gets other bytes."""


class Encoding(Struct, frozen=True):
    """How a picture is encoded; what a format does not take (Format.takes) is passed over.

    ``quality`` is 1-100, None for the format's default. ``subsampling`` of the colours is auto,
    420 or 444. ``optimise`` spends mozjpeg's extra passes. ``effort`` is 0-9, None for what suits
    a server. ``colours`` is at most so many (2-256) in a palette; None is none, but for GIF.
    """

    quality: int | None = None
    progressive: bool = False
    subsampling: str = "auto"
    optimise: bool = False
    effort: int | None = None
    lossless: bool = False
    colours: int | None = None


class Encoded(Struct, frozen=True):
    """``quality`` is the one that was used, None where nothing was lost to it."""

    body: bytes
    quality: int | None


class Timing(Struct, frozen=True):
    """How an animation runs: milliseconds a frame, and how often in all (0 is for ever)."""

    delays: tuple[int, ...] = ()
    loop: int = 0


def encode(
    frames: Sequence[pyvips.Image],
    format_name: str,
    encoding: Encoding,
    *,
    profile: bytes | None,
    timing: Timing,
) -> Encoded:
    """The encoded picture; several frames make an animation. ``profile`` is embedded where the
    format can carry one."""
    return _encode_once(_ready(frames, profile, timing), format_name, encoding)


def encode_within(
    frames: Sequence[pyvips.Image],
    format_name: str,
    encoding: Encoding,
    max_bytes: int,
    *,
    profile: bytes | None,
    timing: Timing,
) -> Encoded:
    """As `encode`, in at most ``max_bytes``: with the highest quality up to the one asked for that
    fits, or one that takes 97 % of them. At most 8 encodings, 5 as a rule.

    Raises Refused(OUTPUT_TOO_LARGE) where LOWEST_QUALITY takes more, or where the encoding has no
    quality to lower: colours and pixels are not given up unasked.
    """
    # Held in memory, so that no step before is computed again with each try.
    picture = _ready([frame.copy_memory() for frame in frames], profile, timing)

    def attempt(quality: int) -> Encoded:
        return _encode_once(picture, format_name, replace(encoding, quality=quality))

    first = _encode_once(picture, format_name, encoding)
    if len(first.body) <= max_bytes:
        return first
    low, over, fits = LOWEST_QUALITY, first, None
    while over.quality is not None and low < over.quality:
        middle = attempt((low + over.quality) // 2)
        assert middle.quality is not None
        if len(middle.body) > max_bytes:
            over = middle
            continue
        fits, low = middle, middle.quality + 1
        if len(middle.body) >= _NEAR * max_bytes:
            break
    if fits is None:
        raise _too_large(over, max_bytes)
    return fits


@cache
def srgb_profile() -> bytes:
    """The sRGB profile built into libvips, about 500 bytes."""
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile: bytes = pixel.icc_transform("srgb").get("icc-profile-data")
    return profile


def _too_large(smallest: Encoded, max_bytes: int) -> Refused:
    how = f" at quality {smallest.quality}" if smallest.quality else ", and no quality to lower"
    return Refused(
        Reason.OUTPUT_TOO_LARGE, f"expected at most {max_bytes} bytes, got {len(smallest.body)}{how}"
    )


def _ready(frames: Sequence[pyvips.Image], profile: bytes | None, timing: Timing) -> pyvips.Image:
    """One picture of all frames, with what its encoder has to know of it."""
    picture = _stacked(frames, timing)
    if profile is None:
        return picture
    picture = picture.copy()
    picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return picture


def _stacked(frames: Sequence[pyvips.Image], timing: Timing) -> pyvips.Image:
    if len(frames) == 1:
        return frames[0]
    stacked = pyvips.Image.arrayjoin(list(frames), across=1).copy()
    stacked.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    stacked.set_type(pyvips.GValue.array_int_type, "delay", list(timing.delays))
    stacked.set_type(pyvips.GValue.gint_type, "loop", timing.loop)
    return stacked


def _encode_once(picture: pyvips.Image, format_name: str, encoding: Encoding) -> Encoded:
    format_ = FORMATS[format_name]
    lossless = format_.quality is None or ("lossless" in format_.encoder_options and encoding.lossless)
    quality = None if lossless else encoding.quality or format_.quality
    keep = "icc" if picture.get_typeof("icc-profile-data") else "none"
    options = _OPTIONS[format_name](encoding, quality)
    if format_name == "png" and encoding.colours is not None:
        picture, options = _palette(picture, encoding.colours, options)
    return Encoded(_saved(picture, format_.saver, keep=keep, **options), quality)


def _saved(picture: pyvips.Image, saver: str | None, **options: Any) -> bytes:
    alone = saver == "gifsave" or "palette" in options
    with _dithering if alone else nullcontext():
        body: bytes = pyvips.Operation.call(f"{saver}_buffer", picture, **options)
    return body


def _jpeg(encoding: Encoding, quality: int | None) -> dict[str, Any]:
    # Optimised tables save 2 % of the bytes for 10 ms of CPU at 1920 x 1440. Progressive would
    # save 1 % more for another 20 ms, and cost every reader 3 bytes of memory a pixel.
    options = {"Q": quality, "optimize_coding": True, "subsample_mode": _SUBSAMPLE[encoding.subsampling]}
    if encoding.progressive:
        options["interlace"] = True
    if encoding.optimise:
        # Table 3 is made for what the eye sees, the others for PSNR. Together with trellis
        # quantisation it saves a fifth of the bytes at one quality, for three times the CPU.
        options |= {"trellis_quant": True, "overshoot_deringing": True, "quant_table": 3}
        # Scans can only be split where there are several.
        options["optimize_scans"] = encoding.progressive
    return options


def _png(encoding: Encoding, _quality: int | None) -> dict[str, Any]:
    # Adaptive filters: a third fewer bytes for photographs.
    level = 6 if encoding.effort is None else encoding.effort
    return {"compression": level, "filter": "all", "interlace": encoding.progressive}


def _webp(encoding: Encoding, quality: int | None) -> dict[str, Any]:
    effort = 4 if encoding.effort is None else _spread(encoding.effort, 0, 6)
    return {"lossless": True, "effort": effort} if encoding.lossless else {"Q": quality, "effort": effort}


def _avif(encoding: Encoding, quality: int | None) -> dict[str, Any]:
    # Effort 4 takes 38 times the CPU of effort 0 for 18 % fewer bytes; the cliff is after 3.
    options = {"compression": "av1", "effort": encoding.effort or 0, "bitdepth": 8}
    if encoding.lossless:
        return options | {"lossless": True}
    # libvips' "auto" would stop subsampling at quality 90, as JPEG's does, for a third more bytes.
    subsampled = "off" if encoding.subsampling == "444" else "on"
    return options | {"Q": quality, "subsample_mode": subsampled}


def _gif(encoding: Encoding, _quality: int | None) -> dict[str, Any]:
    # Effort 7, the default, takes 4 times the CPU for 7 % fewer bytes.
    options: dict[str, Any] = {"effort": 4 if encoding.effort is None else encoding.effort + 1}
    if encoding.colours is not None:
        options["bitdepth"] = _bits(encoding.colours)
    return options | ({"interlace": True} if encoding.progressive else {})


def _tiff(_encoding: Encoding, _quality: int | None) -> dict[str, Any]:
    # LZW and strips are in TIFF 6.0 itself, so that whatever opens a TIFF opens these; deflate,
    # which came later, saves 8 %. The difference to the left neighbour saves a third.
    return {"compression": "lzw", "predictor": "horizontal"}


_OPTIONS: dict[str, Callable[[Encoding, int | None], dict[str, Any]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
    "tiff": _tiff,
}
_SUBSAMPLE = {"auto": "auto", "420": "on", "444": "off"}


def _palette(
    picture: pyvips.Image, colours: int, options: dict[str, Any]
) -> tuple[pyvips.Image, dict[str, Any]]:
    """The picture, and the options that make it a PNG with a palette of at most ``colours``.

    PNG's palettes have 2, 4, 16 or 256 colours. GIF's have every power of two, so what a GIF has
    left of an opaque picture is written; its transparency would be too coarse for others.
    """
    bits = _bits(colours)
    depth = max(depth for depth in (1, 2, 4, 8) if depth <= bits)
    if bits != depth and not picture.hasalpha():
        profile = picture.get("icc-profile-data") if picture.get_typeof("icc-profile-data") else None
        reduced = _saved(picture, "gifsave", effort=4, bitdepth=bits, keep="none")
        source = pyvips.Source.new_from_memory(reduced)
        picture = _ready([pyvips.Operation.call("gifload_source", source)[:3]], profile, Timing())
        # Held, because libvips reads the source where it lies.
        picture, depth = picture.copy_memory(), 4 if bits < 4 else 8
    return picture, options | {"palette": True, "bitdepth": depth}


def _bits(colours: int) -> int:
    """The most bits whose numbers are no more than ``colours``."""
    return colours.bit_length() - 1


def _spread(effort: int, low: int, high: int) -> int:
    """0-9 on the scale of an encoder."""
    return low + (effort * (high - low) + 4) // 9
