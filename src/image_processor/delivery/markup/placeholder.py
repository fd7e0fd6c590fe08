"""Delivery: what a page shows until the picture is there: its blurred look, as a data URI of some 300
characters. Pure; it needs no decoder, on a page or here.
"""

from __future__ import annotations

import base64
import zlib
from binascii import crc32

from image_processor.domain.models import ImageMetadata, VisualSummary

from .thumbhash_pixels import pixels_of

_SIDE = 10
"""Pixels of the longer side. Enlarged by a browser they differ from the whole ThumbHash by 3 of 255 (root
mean square); 16 pixels would halve that, for twice the bytes."""

_STEPS = 0b1111_1100
"""Six bits of each channel are kept: what nobody sees in a blur, but deflate does."""

_TRUE_COLOUR, _WITH_ALPHA = 2, 6


def placeholder(look: VisualSummary, original: ImageMetadata) -> str:
    """The picture in a few pixels; the dominant colour alone where the record's hash cannot be read."""
    width, height = _sides(original)
    try:
        pixels = pixels_of(base64.b64decode(look.thumbhash, validate=True), width, height)
    except ValueError:
        width, height, pixels = 1, 1, bytes.fromhex(look.dominant_colour[1:]) + b"\xff"
    return "data:image/png;base64," + base64.b64encode(_png(width, height, pixels)).decode()


def _sides(original: ImageMetadata) -> tuple[int, int]:
    longer = max(original.width, original.height)
    return tuple(max(1, round(_SIDE * side / longer)) for side in (original.width, original.height))  # type: ignore[return-value]  # of a pair


def _png(width: int, height: int, rgba: bytes) -> bytes:
    """A PNG (W3C, "PNG Specification") of 8 bits a channel, without alpha where there is none."""
    bands, kind = (3, _TRUE_COLOUR) if set(rgba[3::4]) == {255} else (4, _WITH_ALPHA)
    pixels = bytes(_coarse(value) for at, value in enumerate(rgba) if at % 4 < bands)
    rows = [pixels[at : at + width * bands] for at in range(0, len(pixels), width * bands)]
    lines = zlib.compress(b"".join(_filtered(rows)), 9)
    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, kind, 0, 0, 0])
    chunks = ((b"IHDR", head), (b"IDAT", lines), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _coarse(value: int) -> int:
    return min(255, value + 2) & _STEPS if value < 254 else 255


def _filtered(rows: list[bytes]) -> list[bytes]:
    """Each line as its difference to the one above (filter type 2)."""
    above = [bytes(len(rows[0])), *rows]
    return [
        b"\x02" + bytes((value - before) % 256 for value, before in zip(row, line, strict=True))
        for row, line in zip(rows, above, strict=False)
    ]


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + crc32(name + body).to_bytes(4)
