"""WebP: the RIFF header; libwebp by libvips, with animations and lossless encoding."""

from __future__ import annotations

from typing import Any

import pyvips

from .codec import Codec, DecodeOptions, EncodeOptions, QualityFit, ShrinkOnLoad, page_options, save

_DECODE_BYTES_PER_PIXEL = 9
"""Lossless, or at full size, or animated: the frame, the canvas before it and the canvas after it."""

_ALPHA_FLAG = 0x10
"""In the first byte of the chunk VP8X (RFC 9649, 2.7)."""


def is_truncated(data: bytes) -> bool:
    """Whether the RIFF header announces more bytes than there are (RFC 9649, 2.4)."""
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _load_options(options: DecodeOptions) -> dict[str, Any]:
    return page_options(options) | ({"scale": 1 / options.shrink} if options.shrink > 1 else {})


def _save_options(options: EncodeOptions, quality: int | None) -> dict[str, Any]:
    effort = 4 if options.effort is None else _libwebp_effort(options.effort)
    return {"lossless": True, "effort": effort} if options.lossless else {"Q": quality, "effort": effort}


def _encode(image: pyvips.Image, options: EncodeOptions, quality: int | None) -> bytes:
    body = save(image, "webpsave", **_save_options(options, quality))
    if not image.hasalpha() or body[12:16] != b"VP8X":
        return body
    # libwebp looks at the parts of frames that it stores. Where these are opaque and do not cover the canvas,
    # it says that nothing is transparent.
    return body[:20] + bytes([body[20] | _ALPHA_FLAG]) + body[21:]


def _libwebp_effort(effort: int) -> int:
    """0-9 on libwebp's scale of 0-6."""
    return (effort * 6 + 4) // 9


CODEC = Codec(
    loader="webpload",
    load_options=_load_options,
    saver="webpsave",
    save_options=_save_options,
    encode=_encode,
    quality_fit=QualityFit(56.18, (-10.38, 6.37, -5.16, -1.5), 0.62),
    is_truncated=lambda data, _page: is_truncated(data),
    decode_memory=lambda _data, _opened, pixels, _page: _DECODE_BYTES_PER_PIXEL * pixels,
    shrink_on_load=ShrinkOnLoad.ROUNDS,
)
