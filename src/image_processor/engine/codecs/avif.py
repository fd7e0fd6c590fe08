"""AVIF, read and written by libvips (libheif with dav1d and libaom), and the boxes that AVIF, HEIC and
JPEG XL files consist of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyvips

from .codec import Codec, EncodeOptions, QualityFit, sample_bytes

_DECODE_BYTES_8_BITS = 19
"""15 with subsampled chroma: planes of dav1d and of libheif, then RGB twice."""
_DECODE_BYTES_DEEPER = 25


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The type of each top-level box, the offset of its content, and the offset where it says it ends.

    A box is size, type, content; size 1 is followed by 64 bits, 0 means to the end
    (ISO/IEC 14496-12, 4.2).
    """
    at = 0
    while at + 8 <= len(data):
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + max(size, 8) if size else len(data)
        yield data[at + 4 : at + 8], start, end
        at = end


def boxes_are_truncated(data: bytes) -> bool:
    """Whether the last box does not end where the file ends."""
    ends = [end for _, _, end in boxes(data)]
    return not ends or ends[-1] != len(data)


def _decode_memory(_data: bytes, opened: pyvips.Image, pixels: int, _page: int) -> int:
    return pixels * (_DECODE_BYTES_8_BITS if sample_bytes(opened) == 1 else _DECODE_BYTES_DEEPER)


def _save_options(options: EncodeOptions, quality: int | None) -> dict[str, Any]:
    # Effort 4 takes 38 times the CPU of effort 0 for 18 % fewer bytes; the cliff is after 3.
    saver = {"compression": "av1", "effort": options.effort or 0, "bitdepth": 8}
    if options.lossless:
        return saver | {"lossless": True}
    # libvips' "auto" would stop subsampling at quality 90, as JPEG's does, for a third more bytes.
    subsampled = "off" if options.subsampling == "444" else "on"
    return saver | {"Q": quality, "subsample_mode": subsampled}


CODEC = Codec(
    loader="heifload",
    saver="heifsave",
    save_options=_save_options,
    quality_fit=QualityFit(62.51, (-9.6, 6.87, -5.59, -0.33), 0.65),
    is_truncated=lambda data, _page: boxes_are_truncated(data),
    decode_memory=_decode_memory,
)
