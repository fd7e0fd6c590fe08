"""Estimates the memory of decoding from the header, so that an oversized original is refused unopened.

Most decoders stream an image line by line, whatever its size. The numbers in the codecs are those of
decoders that must hold it whole: the largest measured (libvips 8.18, peak of the process above its
baseline, 25 to 100 megapixels, several kinds of image).
"""

from __future__ import annotations

import pyvips

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits

from .codec import PixelLayout, sample_bytes

_BASELINE_BYTES = 48 * 1024 * 1024
"""Python, libvips, and a 100-megapixel baseline JPEG streamed line by line: 44 MiB."""

_WIDE_PIXELS = 10_000
_STRIP_LINES = 2_000
"""Bytes for each byte of a line beyond _WIDE_PIXELS, about the largest measured (PNG, 8 and 16 bits, 1-4
bands). Operations process an image in strips of some lines, as wide as the image: those of 65,000 x 100
pixels with alpha take 490 MiB."""


def check_memory(expected: int, limits: Limits, format_name: str) -> None:
    """Raise Refused(TOO_MANY_PIXELS) where decoding takes ``expected`` bytes above the process's baseline
    and that is more than the limits allow."""
    total = _BASELINE_BYTES + expected
    if total > limits.max_memory:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            f"expected at most {_mebibytes(limits.max_memory)} MiB of memory for decoding "
            f"(IMAGE_PROCESSOR_MAX_MEMORY), got a {format_name} that takes {_mebibytes(total)} MiB",
        )


def strip_bytes(opened: pyvips.Image | PixelLayout) -> int:
    """The memory of the strips of a very wide image."""
    return int(_STRIP_LINES * max(0, opened.width - _WIDE_PIXELS) * opened.bands * sample_bytes(opened))


def _mebibytes(count: int) -> int:
    return -(-count // (1024 * 1024))
