"""Delivery: a placeholder that a page shows while the image loads: a blurred preview as a data URI of about
300 characters. Pure; neither the page nor this program needs a decoder for it.
"""

from __future__ import annotations

import base64
import zlib
from binascii import crc32

from image_processor.domain.models import ImageMetadata, VisualSummary

from .thumbhash_pixels import thumbhash_to_rgba

_SIDE = 10
"""Pixels of the longer side. Enlarged by a browser, they differ from the full ThumbHash by 3 of 255 (root
mean square); 16 pixels would halve that at twice the size."""

_MASK = 0b1111_1100
"""Keeps six bits of each channel: invisible in a blur, and smaller after deflate."""

_RGB, _RGBA = 2, 6


def placeholder(look: VisualSummary, original: ImageMetadata) -> str:
    """The image in a few pixels; in one of the dominant colour if the ThumbHash cannot be decoded."""
    width, height = _sides(original)
    try:
        pixels = thumbhash_to_rgba(base64.b64decode(look.thumbhash, validate=True), width, height)
    except ValueError:
        width, height, pixels = 1, 1, bytes.fromhex(look.dominant_colour[1:]) + b"\xff"
    return "data:image/png;base64," + base64.b64encode(_png(width, height, pixels)).decode()


def _sides(original: ImageMetadata) -> tuple[int, int]:
    longer = max(original.width, original.height)
    return tuple(max(1, round(_SIDE * side / longer)) for side in (original.width, original.height))  # type: ignore[return-value]  # of a pair


def _png(width: int, height: int, rgba: bytes) -> bytes:
    """A PNG (W3C, "PNG Specification") with 8 bits per channel, without alpha if it is opaque."""
    bands, kind = (3, _RGB) if set(rgba[3::4]) == {255} else (4, _RGBA)
    pixels = bytes(_reduce(value) for at, value in enumerate(rgba) if at % 4 < bands)
    rows = [pixels[at : at + width * bands] for at in range(0, len(pixels), width * bands)]
    lines = zlib.compress(b"".join(_filtered(rows)), 9)
    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, kind, 0, 0, 0])
    chunks = ((b"IHDR", head), (b"IDAT", lines), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _reduce(value: int) -> int:
    return min(255, value + 2) & _MASK if value < 254 else 255


def _filtered(rows: list[bytes]) -> list[bytes]:
    """Each row as its difference to the one above (PNG filter type 2)."""
    previous = [bytes(len(rows[0])), *rows]
    return [
        b"\x02" + bytes((value - before) % 256 for value, before in zip(row, line, strict=True))
        for row, line in zip(rows, previous, strict=False)
    ]


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + crc32(name + body).to_bytes(4)
