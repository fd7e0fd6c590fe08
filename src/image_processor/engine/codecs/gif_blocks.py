"""The blocks of a GIF, read and mended before libnsgif gets them (GIF89a, 17-27).

libnsgif stops without a word at a byte that begins no block, which all browsers skip; it loses the last
pixels of a frame without an end-of-information code; and it makes a canvas black that no frame covers,
unless some frame has a transparent colour.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from image_processor.domain.geometry import Box

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_RESTORE_BACKGROUND = 2

_TRANSPARENT_FRAME = bytes.fromhex("21f90401000000002c00000000010001000002024c0100")
"""A frame of one pixel, with a transparent colour."""


class Block(Struct, frozen=True):
    """A block from ``start`` to ``end``, behind its terminator; beyond the file's end if it is cut."""

    introducer: int
    start: int
    end: int


def blocks(data: bytes) -> Iterator[Block]:
    """All blocks up to the trailer. Bytes between them that begin no block are left out."""
    at = header_end(data)
    while at < len(data):
        introducer = data[at]
        if introducer == TRAILER:
            yield Block(introducer, at, at + 1)
            return
        if introducer == EXTENSION:
            end = _sub_blocks_end(data, at + 2)
        elif introducer == IMAGE:
            end = _sub_blocks_end(data, at + 11 + _colour_table_bytes(data, at + 9))
        else:
            at += 1
            continue
        yield Block(introducer, at, end)
        at = end


def is_truncated(data: bytes) -> bool:
    """Whether a block is cut, or there is no image. Without a trailer no pixel is missing."""
    last, has_image = Block(0, 0, 0), False
    for last in blocks(data):
        has_image = has_image or last.introducer == IMAGE
    return not has_image or last.end > len(data)


def leaves_gaps(data: bytes) -> bool:
    """Whether some of the canvas is not covered by any frame at some time."""
    cleared: Box | None = Box(0, 0, _number(data, 6), _number(data, 8))
    disposal = 0
    for block in blocks(data):
        if _is_control(data, block):
            disposal = _disposal(data, block.start)
        elif block.introducer == IMAGE:
            left, top, width, height = (_number(data, block.start + at) for at in (1, 3, 5, 7))
            frame = Box(left, top, width, height)
            if cleared is not None and not _covers(frame, cleared):
                return True
            cleared = frame if disposal == _RESTORE_BACKGROUND else None
            disposal = 0
    return False


def mended(data: bytes, *, with_gaps: bool) -> bytes:
    """The same animation, for libnsgif. ``with_gaps`` adds a transparent frame at the end, for which libnsgif
    gives all frames alpha, and clears to transparent what libnsgif would fill with the background colour."""
    body = bytearray(data[: header_end(data)])
    control = None
    for block in blocks(data):
        if block.end > len(data):
            return bytes(body + data[block.start :])
        if block.introducer == IMAGE:
            if with_gaps and control is not None:
                _make_transparent(body, control, _code_bits(data, block))
            # A byte more than the codes have: libnsgif reads ahead.
            body += data[block.start : block.end - 1] + b"\1\0\0"
            control = None
        elif block.introducer == EXTENSION:
            control = len(body) if _is_control(data, block) else control
            body += data[block.start : block.end]
    return bytes(body + (_TRANSPARENT_FRAME if with_gaps else b"") + bytes([TRAILER]))


def _make_transparent(body: bytearray, control: int, code_bits: int) -> None:
    """Give a frame that is cleared a transparent colour, one that no pixel of it has. A frame of 256 colours
    keeps the background colour."""
    if _disposal(body, control) == _RESTORE_BACKGROUND and not body[control + 3] & 1 and code_bits < 8:
        body[control + 3] |= 1
        body[control + 6] = 0xFF


def _is_control(data: bytes, block: Block) -> bool:
    """Whether it is a whole graphic control extension, which describes the next image."""
    is_whole = block.introducer == EXTENSION and block.end - block.start == 8
    return is_whole and data[block.start + 1] == _GRAPHIC_CONTROL


def _disposal(data: bytes | bytearray, control: int) -> int:
    return data[control + 3] >> 2 & 7 if control + 3 < len(data) else 0


def _code_bits(data: bytes, image: Block) -> int:
    """The size of a colour index in bits."""
    return data[image.start + 10 + _colour_table_bytes(data, image.start + 9)]


def header_end(data: bytes) -> int:
    """Where the blocks begin: behind the header, the screen descriptor and the global colour table."""
    return 13 + _colour_table_bytes(data, 10)


def _sub_blocks_end(data: bytes, at: int) -> int:
    """The end of a chain of sub-blocks, each of which begins with its length, 0 for the terminator."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _colour_table_bytes(data: bytes, flags_at: int) -> int:
    """The size of the colour table that follows, from its packed flags (GIF89a, 18 and 20)."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _covers(frame: Box, cleared: Box) -> bool:
    return (
        frame.left <= cleared.left
        and frame.top <= cleared.top
        and frame.left + frame.width >= cleared.left + cleared.width
        and frame.top + frame.height >= cleared.top + cleared.height
    )
