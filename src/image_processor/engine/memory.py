"""Judges by the header what decoding will cost in memory. Most decoders go through a picture line
by line, whatever its size; these numbers are of those that must hold it whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyvips

from image_processor.domain.errors import Reason, Refused

from .codecs.container import held_coefficients
from .codecs.image_header import PixelLayout
from .codecs.tiff import read_directory

PEAK_BYTES = 512 * 1024 * 1024
"""What one worker may need for any original, with renditions of the usual sizes."""

_FLOOR_BYTES = 48 * 1024 * 1024
"""Python, libvips, and a 100-megapixel baseline JPEG going through line by line: 44 MiB."""

# Bytes a pixel of one frame, each the largest that was measured (libvips 8.18, peak of the process
# without its floor, 25 to 100 megapixels, several kinds of picture).
_AVIF_8_BITS = 19  # 15 with subsampled colour: planes of dav1d and of libheif, then RGB twice
_AVIF_DEEPER = 25
_COEFFICIENT = 2.3  # two bytes each, and what five renditions take at the same time
_GIF = 6
_WEBP = 9  # lossless, or at full size, or moving: the frame, the canvas before and the canvas after

_ADAM7 = 1.2  # the picture as it is decoded, and what is cut off it at a time
_TIFF_BLOCKS = 3  # a row of tiles as decoded, as pixels, and the next one

# librsvg's memory of a document (spans with a position of their own), and Pango's of the text that is
# laid out, per byte of it (single letters with spaces between). What looks like a tag is not text, but
# for what begins with an exclamation mark, which may hold some.
_SVG_TAG = 3_000
_SVG_LETTER = 3_000
_TAG = re.compile(rb"<[^<>!][^<>]*>")

_WIDE = 10_000
_LINES = 2_000
"""Bytes for each byte of a line that is wider than _WIDE pixels, about the largest that was measured (PNG,
8 and 16 bits, 1-4 bands). The steps go through a picture in strips of some lines, which are as wide
as it is: of 65,000 x 100 pixels with alpha they hold 490 MiB."""


def check_memory(
    data: bytes, opened: pyvips.Image | PixelLayout, frame_pixels: int, format_name: str, page: int = 0
) -> None:
    """Raise Refused(TOO_MANY_PIXELS) where decoding would take more than PEAK_BYTES.

    ``opened`` is the original with its header read, or what an optional package read of it;
    ``frame_pixels`` is the area of one frame, ``page`` the 0-based one of a TIFF.
    """
    held = _tiff(data, page) if format_name == "tiff" else _HELD[format_name](data, opened, frame_pixels)
    _check(_FLOOR_BYTES + len(data) + held + _strips(opened), format_name)


def check_document(data: bytes) -> None:
    """Raise Refused(TOO_MANY_PIXELS) where an SVG's elements and text would take more than PEAK_BYTES,
    which they begin to do as soon as it is opened."""
    drawn_text = len(_TAG.sub(b"", data)) if b"text" in data else 0
    held = _SVG_TAG * data.count(b"<") + _SVG_LETTER * drawn_text
    _check(_FLOOR_BYTES + len(data) + held, "svg")


def _check(expected: int, format_name: str) -> None:
    if expected > PEAK_BYTES:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            f"expected at most {_mebibytes(PEAK_BYTES)} MiB of memory for decoding, "
            f"got a {format_name} that takes {_mebibytes(expected)} MiB",
        )


def _jpeg(data: bytes, _opened: pyvips.Image, _pixels: int) -> int:
    return int(_COEFFICIENT * held_coefficients(data))


def _png(data: bytes, opened: pyvips.Image, pixels: int) -> int:
    interlaced = data[28] == 1  # the last byte of IHDR (PNG, 11.2.1)
    return int(_ADAM7 * pixels * opened.bands * _sample_bytes(opened)) if interlaced else 0


def _webp(_data: bytes, _opened: pyvips.Image, pixels: int) -> int:
    return _WEBP * pixels


def _avif(_data: bytes, opened: pyvips.Image, pixels: int) -> int:
    return pixels * (_AVIF_8_BITS if _sample_bytes(opened) == 1 else _AVIF_DEEPER)


def _gif(_data: bytes, _opened: pyvips.Image, pixels: int) -> int:
    return _GIF * pixels


def _tiff(data: bytes, page: int) -> int:
    directory = read_directory(data, page)
    return _TIFF_BLOCKS * directory.bytes_at_once if directory else 0


def _svg(_data: bytes, _opened: pyvips.Image, _pixels: int) -> int:
    return 0  # svg.py bounds what is drawn at a time; for the document there is check_document


def _outside(_data: bytes, seen: PixelLayout, pixels: int) -> int:
    return int(seen.held * pixels)


_HELD: dict[str, Callable[[bytes, Any, int], int]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
    "heic": _outside,
    "jxl": _outside,
    "svg": _svg,
}


def _strips(opened: pyvips.Image | PixelLayout) -> int:
    return int(_LINES * max(0, opened.width - _WIDE) * opened.bands * _sample_bytes(opened))


def _sample_bytes(opened: pyvips.Image | PixelLayout) -> int:
    return 1 if opened.format == "uchar" else 2


def _mebibytes(count: int) -> int:
    return -(-count // (1024 * 1024))
