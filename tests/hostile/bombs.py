"""Small files that announce, or cost, far more than their size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from drawing import encoded, flat


def png_header(width: int, height: int) -> bytes:
    """A PNG of that size with almost no data in it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def gif_of(frames: int, width: int, height: int) -> bytes:
    """A GIF whose frames hold one pixel's worth of data each."""
    size = struct.pack("<HH", width, height)
    head = b"GIF89a" + size + b"\x80\0\0" + b"\xff\xff\xff\0\0\0"
    frame = b"\x2c" + bytes(4) + size + b"\0" + b"\x02\x02\x44\x01\0"
    return head + frames * frame + b"\x3b"


def jpeg_of(scans: int, side: int) -> bytes:
    """A progressive JPEG whose scans are empty, take a few bytes each, and must all be decoded."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    blocks = (-(-side // 8)) ** 2
    tables = segment(0xDB, b"\0" + b"\1" * 64)
    # One code of one bit in each table: a zero difference, and a run of 16,384 empty blocks.
    tables += segment(0xC4, b"\x00\1" + bytes(15) + b"\x00") + segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    frame = segment(0xC2, b"\x08" + struct.pack(">HH", side, side) + b"\1\1\x11\0")
    mean = segment(0xDA, b"\1\1\x00\0\0\0") + bytes(-(-blocks // 8))
    detail = segment(0xDA, b"\1\1\x00\1\x3f\0") + bytes(-(-15 * -(-blocks // 16384) // 8))
    return b"\xff\xd8" + tables + frame + mean + (scans - 1) * detail + b"\xff\xd9"


def jpeg_header(marker: int, side: int, sampling: tuple[int, ...]) -> bytes:
    """A JPEG whose frame has these sampling factors (0x21: twice across, once down), with an empty scan."""
    components = b"".join(bytes([index, factors, 0]) for index, factors in enumerate(sampling))
    frame = struct.pack(">BHHB", 8, side, side, len(sampling)) + components
    scan = b"\xff\xda" + struct.pack(">HB", 6 + 2 * len(sampling), len(sampling))
    scan += b"".join(bytes([index, 0]) for index in range(len(sampling))) + b"\0\0\0"
    size = struct.pack(">H", len(frame) + 2)
    return b"\xff\xd8\xff" + bytes([marker]) + size + frame + scan + b"\xff\xd9"


def interlaced(side: int, *, depth: int = 8) -> bytes:
    """A PNG header of RGBA pixels in Adam7's order."""
    whole = png_header(side, side)
    body = b"IHDR" + struct.pack(">IIBBBBB", side, side, depth, 6, 0, 0, 1)
    return whole[:12] + body + struct.pack(">I", zlib.crc32(body)) + whole[33:]


def avif_header(side: int) -> bytes:
    """An AVIF whose container claims this size (ISO/IEC 14496-12, 12.1.4: the box ispe)."""
    whole = encoded(flat("red"), "avif")
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", side, side) + whole[at + 8 :]


def webp_header(width: int, height: int) -> bytes:
    """A lossless WebP that claims this size (RFC 9649, 3.4: 14 bits each, less one)."""
    whole = encoded(flat("red"), "webp", lossless=True)
    at = whole.index(b"VP8L") + 9
    return whole[:at] + struct.pack("<I", width - 1 | (height - 1) << 14) + whole[at + 4 :]


def tiff_header(width: int, height: int, samples: int = 3) -> bytes:
    """A TIFF of that size with one declared strip."""
    fields = (
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 2),
        (273, 8),
        (277, samples),
        (278, 1),
        (279, 1),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)


def heic_header(side: int) -> bytes:
    whole = encoded(flat("red"), "heic")
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", side, side) + whole[at + 8 :]


def jxl_header(side: int) -> bytes:
    """A codestream that announces this size (ISO/IEC 18181-1, D.2: 30 bits for each side)."""
    number = 0 | 3 << 1 | (side - 1) << 3 | 0 << 33 | 3 << 36 | (side - 1) << 38 | 1 << 68
    return b"\xff\x0a" + number.to_bytes(40, "little")


def animated_webp_header(side: int) -> bytes:
    """A WebP with a canvas of that size and one frame of one pixel (RFC 9649, 2.7.1)."""
    size = struct.pack("<I", side - 1)[:3]
    frame = encoded(flat("red", size=(1, 1)), "webp", lossless=True)[12:]
    anim = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    anmf = bytes(6) + struct.pack("<I", 0)[:3] * 2 + struct.pack("<I", 10)[:3] + b"\0" + frame
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size * 2 + anim
    chunks += b"ANMF" + struct.pack("<I", len(anmf)) + anmf
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


DIMENSIONS: dict[str, Callable[[], bytes]] = {
    "png 2^31": lambda: png_header(2**31 - 1, 2**31 - 1),
    "png square": lambda: png_header(100_000, 100_000),
    "png wide": lambda: png_header(50_000_000, 2),
    "png of 100 megapixels and more": lambda: png_header(10_001, 10_000),
    "png interlaced": lambda: interlaced(9_990, depth=16),
    "jpeg": lambda: jpeg_header(0xC0, 65_500, (0x11, 0x11, 0x11)),
    "jpeg progressive": lambda: jpeg_header(0xC2, 20_000, (0x11, 0x11, 0x11)),
    "gif": lambda: gif_of(1, 65_535, 65_535),
    "gif frames": lambda: gif_of(400, 1_000, 1_000),
    "webp": lambda: webp_header(16_383, 16_383),
    "webp canvas": lambda: animated_webp_header(16_384),
    "avif": lambda: avif_header(65_535),
    "avif 2^31": lambda: avif_header(2**31),
    "tiff": lambda: tiff_header(2**31 - 1, 2**31 - 1),
    "tiff square": lambda: tiff_header(60_000, 60_000),
    "heic": lambda: heic_header(65_535),
    "jxl": lambda: jxl_header(2**30),
    "jxl square": lambda: jxl_header(40_000),
}
"""Refused because of the size they announce."""
