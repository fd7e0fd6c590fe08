"""Files without metadata, from the coded data of others: nothing is decoded, no pixel changes.

Each function keeps an allow-list of parts and drops all else: EXIF, XMP, comments, thumbnails, what follows
the image. ``profile`` is the ICC profile to embed, None for none. Where that cannot be done, the result is a
KeepSmaller that says why. Whether it shows the same is for the caller to check (engine/keep_smaller.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from image_processor.domain.models import KeepSmaller

from . import gif_blocks
from .avif_strip import avif
from .jpeg_markers import END_OF_IMAGE, START_OF_SCAN, markers, scan_end
from .jpeg_tables import needs_all_tables
from .png_chunks import chunk, chunks
from .png_stream import PngStream, pixel_bytes, read_stream
from .webp_parts import riff_chunk, riff_chunks, riff_file

Stripped = bytes | KeepSmaller

# JPEG ----------------------------------------------------------------------------------------------

_JFIF, _ADOBE, _ICC = 0xE0, 0xEE, 0xE2
_CODED = frozenset({*range(0xC0, 0xD0), START_OF_SCAN, 0xDB, 0xDC, 0xDD}) - {0xC8}
"""Frames, scans, and the tables that they need (ITU-T T.81, table B.1)."""
_DROPPED = frozenset({*range(0xE0, 0xF0), 0xFE})
_JFIF_HEADER = bytes.fromhex("ffe00010") + b"JFIF\0" + bytes.fromhex("010100000100010000")
"""Without a density and without a thumbnail."""
_ICC_PART = 65_519


def jpeg(data: bytes, profile: bytes | None) -> Stripped:
    """JFIF and Adobe segments stay as far as they say which colours the components are."""
    if not needs_all_tables(data):
        return KeepSmaller.STRUCTURE
    head, body = [b"\xff\xd8"], list[bytes]()
    for marker, at in markers(data):
        end = at + int.from_bytes(data[at : at + 2], "big")
        if marker in _CODED:
            body.append(data[at - 2 : scan_end(data, end) if marker == START_OF_SCAN else end])
        elif marker == _JFIF and data[at + 2 : at + 7] == b"JFIF\0":
            head.append(_JFIF_HEADER)
        elif marker == _ADOBE and data[at + 2 : at + 7] == b"Adobe":
            body.insert(0, b"\xff\xee\x00\x0e" + data[at + 2 : at + 14])
        elif marker not in _DROPPED and marker != END_OF_IMAGE:
            return KeepSmaller.STRUCTURE
    return b"".join([*head, *_icc_segments(profile or b""), *body, b"\xff\xd9"])


def _icc_segments(profile: bytes) -> Iterator[bytes]:
    """A profile in numbered parts (ICC.1:2022, B.4)."""
    parts = [profile[at : at + _ICC_PART] for at in range(0, len(profile), _ICC_PART)]
    for number, part in enumerate(parts, 1):
        content = b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part
        yield bytes([0xFF, _ICC]) + (len(content) + 2).to_bytes(2, "big") + content


# PNG -----------------------------------------------------------------------------------------------

_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_ANCILLARY = 0x20
"""The bit of a chunk's first letter that says that an image can be shown without it (PNG, 5.4)."""
_GREY_TYPES = frozenset({0, 4})


def png(data: bytes, profile: bytes | None) -> Stripped:
    """Of an animation the still image; a grey image can have no RGB profile."""
    if profile is not None and data[25] in _GREY_TYPES:
        return KeepSmaller.COLOUR
    parts, pixels = [data[:8]], []
    for name, start, end in chunks(data):
        if name in _PIXEL_CHUNKS:
            parts.append(data[start:end])
        elif not name[0] & _ANCILLARY and name != b"IEND":
            return KeepSmaller.STRUCTURE
        if name == b"IDAT":
            pixels.append(data[start + 8 : end - 4])
        if name == b"IHDR" and profile is not None:
            parts.append(chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile, 9)))
    # Not whole, or something is hidden in rows below the last one, or behind the stream.
    if read_stream(pixels) != PngStream(pixel_bytes(data), b""):
        return KeepSmaller.STRUCTURE
    return b"".join([*parts, chunk(b"IEND", b"")])


# WebP ----------------------------------------------------------------------------------------------

_IMAGES = frozenset({(b"VP8 ",), (b"VP8L",), (b"ALPH", b"VP8 ")})
"""The chunks of which an image can be. What else a decoder skips could hide anything."""
_FRAME_CHUNKS = frozenset(name for names in _IMAGES for name in names)
_ALPHA_FLAG, _ANIMATION_FLAG, _ICC_FLAG = 0x10, 0x02, 0x20
"""Of the first byte of VP8X (RFC 9649, 2.7)."""
_Chunk = tuple[bytes, bytes]


def webp(data: bytes, profile: bytes | None) -> Stripped:
    """A profile needs the extended format, to which a simple file is not converted."""
    parts, still, frames, flags = [], list[_Chunk](), list[list[_Chunk]](), 0
    for name, content in riff_chunks(data[12 : 8 + int.from_bytes(data[4:8], "little")]):
        if name == b"VP8X":
            flags = content[0] & (_ALPHA_FLAG | _ANIMATION_FLAG)
            header = bytes([flags | (_ICC_FLAG if profile else 0), 0, 0, 0]) + content[4:10]
            parts.append(riff_chunk(name, header))
            parts += [riff_chunk(b"ICCP", profile)] if profile else []
        elif name == b"ANMF":
            frames.append([sub for sub in riff_chunks(content[16:]) if sub[0] in _FRAME_CHUNKS])
            coded = b"".join(riff_chunk(*sub) for sub in frames[-1])
            parts.append(riff_chunk(name, content[:16] + coded))
        elif name in _FRAME_CHUNKS:
            still.append((name, content))
            parts.append(riff_chunk(name, content))
        elif name == b"ANIM":
            parts.append(riff_chunk(name, content[:6]))
    is_animated = bool(flags & _ANIMATION_FLAG)
    images, hidden = (frames, still) if is_animated else ([still], frames)
    is_shown = images and all(_is_image(chunks, flags) for chunks in images)
    if hidden or not is_shown or (profile and parts[0][:4] != b"VP8X"):
        return KeepSmaller.STRUCTURE
    return riff_file(parts)


def _is_image(chunks: Sequence[_Chunk], flags: int) -> bool:
    """Whether a decoder shows all of ``chunks`` in a file with these flags."""
    names = tuple(name for name, _ in chunks)
    return names in _IMAGES and (b"ALPH" not in names or bool(flags & _ALPHA_FLAG))


# GIF -----------------------------------------------------------------------------------------------

_GRAPHIC_CONTROL, _CONTROL_BYTES = b"\x21\xf9\x04", 8
_LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"


def gif(data: bytes, _profile: bytes | None) -> Stripped:
    """Of extensions only the timing of frames and the number of loops stay."""
    found = list(gif_blocks.blocks(data))
    if not found or found[-1].end > len(data):
        return KeepSmaller.STRUCTURE
    parts = [data[: gif_blocks.header_end(data)]]
    for block in found:
        content = data[block.start : block.end]
        if content.startswith(_GRAPHIC_CONTROL) and len(content) != _CONTROL_BYTES:
            return KeepSmaller.STRUCTURE
        if block.introducer == gif_blocks.IMAGE or content.startswith(_GRAPHIC_CONTROL):
            parts.append(content)
        elif content.startswith(_LOOP):
            parts.append(content[: len(_LOOP) + 2] + b"\0")
    return b"".join(parts) + bytes([gif_blocks.TRAILER])


# All -----------------------------------------------------------------------------------------------

STRIPPERS: Mapping[str, Callable[[bytes, bytes | None], Stripped]] = MappingProxyType(
    {"jpeg": jpeg, "png": png, "webp": webp, "gif": gif, "avif": avif}
)
"""By format. Imported only where a rendition has its original's format and size."""
