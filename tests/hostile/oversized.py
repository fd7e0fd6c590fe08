"""Metadata bombs: chunks that expand, tags with false lengths, endless boxes and elements. Each file is small
and would cost a naive reader much time or memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from drawing import animated, encoded, flat, photograph
from PIL import Image

MEBIBYTE = 2**20


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(*chunks: bytes) -> bytes:
    """A small PNG with ``chunks`` behind its header."""
    whole = encoded(photograph().resize((24, 16)))
    return whole[:33] + b"".join(chunks) + whole[33:]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments: bytes) -> bytes:
    whole = encoded(photograph().resize((24, 16)), "jpeg")
    return whole[:2] + b"".join(segments) + whole[2:]


def expanding(mebibytes: int) -> bytes:
    """Compressed zeros, at a ratio of a thousand."""
    compressor = zlib.compressobj(9)
    zeros = bytes(MEBIBYTE)
    return b"".join(compressor.compress(zeros) for _ in range(mebibytes)) + compressor.flush()


def ifd(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A directory of a little-endian TIFF; entries are tag, type, count, value."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def exif_block(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd(entries, following)


_BASE = [(256, 4, 1, 24), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]


def tiff_with(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A grey TIFF of 24 x 16 pixels with further ``entries``, whose values may be invalid."""
    held = {entry[0]: entry for entry in (*_BASE, (278, 4, 1, 16), (279, 4, 1, 384), *entries)}
    held.setdefault(273, (273, 4, 1, 8 + 2 + 12 * (len(held) + 1) + 4))
    return b"II*\0" + struct.pack("<I", 8) + ifd(sorted(held.values()), following) + bytes(384)


def tiff_chain(pages: int) -> bytes:
    """A TIFF of ``pages`` pages that share their pixels."""
    size = 2 + 12 * 9 + 4
    at = [8 + 384 + size * page for page in range(pages)] + [0]
    entries = [*_BASE, (273, 4, 1, 8), (278, 4, 1, 16), (279, 4, 1, 384)]
    pages_of = [ifd(sorted(entries), at[page + 1]) for page in range(pages)]
    return b"II*\0" + struct.pack("<I", at[0]) + bytes(384) + b"".join(pages_of)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def nested_boxes(depth: int, brand: bytes = b"avif") -> bytes:
    content = b""
    for _ in range(depth):
        content = box(b"meta", bytes(4) + content)
    return box(b"ftyp", brand + b"\0\0\0\0" + brand + b"mif1miaf") + content


def heif_of_many_items(count: int, brand: bytes, codec: bytes) -> bytes:
    """An AVIF or HEIC whose item table has ``count`` entries, each of which refers to all others."""
    items = b"".join(
        box(b"infe", struct.pack(">BBHHH4s", 2, 0, 0, item, 0, codec) + b"\0") for item in range(count)
    )
    references = b"".join(
        box(b"dimg", struct.pack(">HH", item, 200) + struct.pack(">200H", *range(200)))
        for item in range(count)
    )
    meta = (
        box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        + box(b"pitm", struct.pack(">IH", 0, 1))
        + box(b"iinf", struct.pack(">IH", 0, count) + items)
        + box(b"iref", bytes(4) + references)
    )
    return box(b"ftyp", brand + b"\0\0\0\0" + brand + b"mif1miaf") + box(b"meta", bytes(4) + meta)


def jxl_with(*boxes: bytes) -> bytes:
    """A small JPEG XL with ``boxes`` behind its signature and type, before the image."""
    whole = encoded(photograph().resize((24, 16)), "jxl", use_container=True)
    return whole[:32] + b"".join(boxes) + whole[32:]


def svg_of(content: str, *, before: str = "", size: str = 'width="40" height="20"') -> bytes:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"{before}<svg {names} {size}>{content}</svg>".encode()


def _laughs() -> str:
    rows = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 10))
    return f'<!DOCTYPE svg [<!ENTITY a0 "ha">{rows}]>'


def _squares(depth: int) -> str:
    """Patterns that are filled with patterns."""
    patterns = "".join(
        f'<pattern id="p{at}" width=".01" height=".01">'
        f'<rect width="9" height="9" fill="url(#p{at + 1})"/></pattern>'
        for at in range(depth)
    )
    return f'<defs>{patterns}</defs><rect width="40" height="20" fill="url(#p0)"/>'


def _long_animation(format_name: str, frames: int) -> bytes:
    pictures = [Image.new("RGB", (1, 1), (number % 256, number // 256, 0)) for number in range(frames)]
    return animated(pictures, format_name, [10] * frames)


METADATA_BOMBS: dict[str, Callable[[], bytes]] = {
    "png zTXt of 200 MiB": lambda: png_with(png_chunk(b"zTXt", b"a\0\0" + expanding(200))),
    "png iTXt of 200 MiB": lambda: png_with(png_chunk(b"iTXt", b"a\0\1\0\0\0" + expanding(200))),
    "png 20,000 texts": lambda: png_with(*[png_chunk(b"tEXt", b"a%d\0b" % at) for at in range(20_000)]),
    "png 500 zTXt of 4 MiB": lambda: png_with(*[png_chunk(b"zTXt", b"a\0\0" + expanding(4))] * 500),
    "png iCCP of 200 MiB": lambda: png_with(png_chunk(b"iCCP", b"a\0\0" + expanding(200))),
    "png IDAT of 200 MiB": lambda: (
        encoded(flat("red"))[:33] + png_chunk(b"IDAT", expanding(200)) + png_chunk(b"IEND", b"")
    ),
    "png eXIf of 20 MiB": lambda: png_with(png_chunk(b"eXIf", exif_block([])[6:] + bytes(20 * MEBIBYTE))),
    "png PLTE of 1,000 colours": lambda: png_with(png_chunk(b"PLTE", bytes(3000))),
    "jpeg icc of 255 parts": lambda: jpeg_with(
        *[segment(0xE2, b"ICC_PROFILE\0" + bytes([part, 255]) + bytes(65_000)) for part in range(1, 256)]
    ),
    "jpeg 50,000 comments": lambda: jpeg_with(*[segment(0xFE, b"secret")] * 50_000),
    "jpeg 200 exif blocks": lambda: jpeg_with(
        *[segment(0xE1, exif_block([(271, 2, 60_000, 26)]) + bytes(60_000))] * 200
    ),
    "jpeg exif loop": lambda: jpeg_with(segment(0xE1, exif_block([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)], 8))),
    "jpeg exif of 65,535 entries": lambda: jpeg_with(
        segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 271, 2, 2**31, 8) * 5000)
    ),
    "gif of 10,000 frames of 1 x 1": lambda: _long_animation("gif", 10_000),
    "gif comment of 20 MiB": lambda: _gif_with(b"\x21\xfe" + (b"\xff" + bytes(255)) * 80_000 + b"\0"),
    "gif 100,000 extensions": lambda: _gif_with(b"\x21\xf9\4\0\0\0\0\0" * 100_000),
    "webp of 3,000 frames": lambda: _long_animation("webp", 3_000),
    "webp exif of 20 MiB": lambda: _webp_with(b"EXIF", bytes(20 * MEBIBYTE)),
    "avif nested 10,000 deep": lambda: nested_boxes(10_000),
    "avif of 3,000 items": lambda: heif_of_many_items(3_000, b"avif", b"av01"),
    "heic nested 10,000 deep": lambda: nested_boxes(10_000, b"heic"),
    "heic of 3,000 items": lambda: heif_of_many_items(3_000, b"heic", b"hvc1"),
    "jxl of 100,000 boxes": lambda: jxl_with(*[box(b"free", b"")] * 100_000),
    "jxl exif of 20 MiB": lambda: jxl_with(box(b"Exif", bytes(20 * MEBIBYTE))),
    "jxl of 50,000 parts": lambda: jxl_with(
        *[box(b"jxlp", struct.pack(">I", at) + b"\xff\x0a") for at in range(50_000)]
    ),
    "jxl boxes of no length": lambda: jxl_with(struct.pack(">I4sQ", 1, b"xml ", 2**63) * 1000),
    "tiff of 60,000 pages": lambda: tiff_chain(60_000),
    "tiff page loop": lambda: tiff_with(following=8),
    "tiff sub-ifd loop": lambda: tiff_with((330, 4, 1, 8), (34665, 4, 1, 8)),
    "tiff icc of 4 GiB": lambda: tiff_with((34675, 7, 2**32 - 1, 8)),
    "tiff xmp of 4 GiB": lambda: tiff_with((700, 1, 2**32 - 1, 8)),
    "tiff colour map of 4 GiB": lambda: tiff_with((262, 3, 1, 3), (320, 3, 2**31, 8)),
    "tiff strip bytes of 4 GiB": lambda: tiff_with((279, 4, 1, 2**32 - 1)),
    "tiff rows 0": lambda: tiff_with((278, 4, 1, 0)),
    "tiff tiles of 2^31": lambda: tiff_with(
        (322, 4, 1, 2**31 - 16), (323, 4, 1, 2**31 - 16), (324, 4, 1, 8), (325, 4, 1, 9)
    ),
    "tiff 65,535 samples": lambda: tiff_with((277, 3, 1, 65_535)),
    "svg lengths of 4 MiB": lambda: svg_of(
        f'<rect width="{"1" * 2_000_000}mm" height="{"1 " * 1_000_000}"/>'
    ),
    "svg laughs": lambda: svg_of("<text>&a9;</text>", before=_laughs()),
    "svg nested 100,000 deep": lambda: svg_of("<g>" * 100_000 + "</g>" * 100_000),
    "svg attribute of 12 MiB": lambda: svg_of(f'<path d="{"M0 0L9 9" * 1_500_000}"/>'),
    "svg patterns in patterns": lambda: svg_of(_squares(9)),
    "svg filter region": lambda: svg_of(
        '<filter id="f" x="-1000000" y="-1000000" width="1e9" height="1e9">'
        '<feGaussianBlur stdDeviation="9999"/>'
        '<feTurbulence numOctaves="99" baseFrequency="9"/><feMorphology radius="9999"/></filter>'
        '<rect width="40" height="20" filter="url(#f)"/>'
    ),
    "svg of 900,000 elements": lambda: svg_of("<g/>" * 900_000),
    "svg text in 200 kB": lambda: svg_of(f"<text>{'a ' * 100_000}</text>"),
    "svg text in cdata": lambda: svg_of(f"<text><![CDATA[{'a ' * 500_000}]]></text>"),
    "svg text of 5 MiB": lambda: svg_of(f"<text>{'a ' * 2_500_000}</text>"),
    "svg stylesheet of 5 MiB": lambda: svg_of(
        f"<style>{'rect {fill: red} ' * 300_000}</style><rect width='9' height='9'/>"
    ),
    "svg circular use": lambda: svg_of('<g id="a"><use xlink:href="#a"/><use href="#a"/></g>'),
}


def _gif_with(extension: bytes) -> bytes:
    whole = encoded(photograph().resize((24, 16)), "gif")
    at = 13 + (3 << ((whole[10] & 7) + 1))
    return whole[:at] + extension + whole[at:]


def _webp_with(name: bytes, content: bytes) -> bytes:
    whole = encoded(photograph().resize((24, 16)), "webp")
    width, height = struct.pack("<I", 23)[:3], struct.pack("<I", 15)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + width + height
    body = b"WEBP" + extended + whole[12:] + name + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body
