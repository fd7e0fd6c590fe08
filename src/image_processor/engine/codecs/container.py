"""What a file's own structure says, read without any decoder: does it end where it should,
and how many scans does a JPEG have. Runs before libvips sees the bytes, in time linear in
the number of blocks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from . import tiff

# In entropy-coded JPEG data 0xff is followed by 0x00 (stuffing) or by a restart marker
# (ITU-T T.81, B.1.1.5); anything else ends the scan. Further 0xff are fill bytes.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1, 0xC9})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})


def ends_early(data: bytes, format_name: str) -> bool:
    """Whether the file announces more than there is. False also means: only decoding can tell.

    libvips is no judge of this: it drops the broken last frame of a GIF without a word and
    does not tell a PNG that ends early from one with wrong bytes, and fills the missing tiles of
    a TIFF with black. A JPEG cannot be judged without decoding.
    """
    check = _CHECKS.get(format_name)
    return check is not None and check(data)


def is_cut_off(data: bytes, format_name: str) -> bool:
    """As `ends_early`, and also of a JPEG: whether it has no end of image. Walks through all of it."""
    return _lacks_end(data) if format_name == "jpeg" else ends_early(data, format_name)


def count_scans(data: bytes) -> int:
    """How many scans of a JPEG libjpeg will decode; a progressive one costs a full pass for each.

    Markers are walked, because their two bytes also occur by chance: in a thumbnail inside the
    EXIF block, or in the film that telephones append after the picture.
    """
    scans = 0
    components = b""
    for marker, at in _markers(data):
        if marker in _SEQUENTIAL_FRAMES:
            components = data[at + 7 : at + 8]
        if marker == _START_OF_SCAN:
            scans += 1
            # A scan with all components of a sequential frame is the last that libjpeg reads.
            # To stop here spares the walk through the data of most photographs.
            if data[at + 2 : at + 3] == components:
                break
    return scans


def held_coefficients(data: bytes) -> int:
    """How many coefficients of a JPEG libjpeg holds at a time: all where they come in several
    scans, none (but a few lines) where one pass is enough."""
    frames = _SEQUENTIAL_FRAMES | _PROGRESSIVE_FRAMES
    marker, at = next((found for found in _markers(data) if found[0] in frames), (0, 0))
    if len(data) < at + 8 or (marker not in _PROGRESSIVE_FRAMES and count_scans(data) < 2):
        return 0
    height, width, components = struct.unpack_from(">HHB", data, at + 3)
    # T.81, B.2.2: how often a component is sampled across and down, in the two halves of a byte.
    sampling = [(each >> 4, each & 15) for each in data[at + 9 : at + 8 + 3 * components : 3]]
    samples = sum(across * down for across, down in sampling)
    most = max((across for across, _ in sampling), default=1) * max((down for _, down in sampling), default=1)
    held: int = width * height * samples // max(most, 1)
    return held


def _lacks_end(data: bytes) -> bool:
    return all(marker != _END_OF_IMAGE for marker, _ in _markers(data))


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker of a JPEG up to its end of image, and where its segment (its length) begins."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        yield marker, at + 2
        if marker == _END_OF_IMAGE:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN:
            end = _SCAN_END.search(data, at)
            at = end.start() if end else len(data)


def _png_ends_early(data: bytes) -> bool:
    """Chunks are length, type, content, checksum (PNG, 5.3); the last is IEND."""
    at = 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IEND":
            return end > len(data)
        at = end
    return True


def _webp_ends_early(data: bytes) -> bool:
    """The RIFF header says how many bytes follow it (RFC 9649, 2.4)."""
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The type of each box, where its content begins, and where it says that it ends.

    Boxes are size, type, content; size 1 is followed by 64 bits, 0 means to the end
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


def _boxes_end_early(data: bytes) -> bool:
    ends = [end for _, _, end in boxes(data)]
    return not ends or ends[-1] != len(data)


def _jxl_ends_early(data: bytes) -> bool:
    """A bare codestream does not say how long it is."""
    return not data.startswith(b"\xff\x0a") and _boxes_end_early(data)


def _svg_ends_early(data: bytes) -> bool:
    """The last tag closes the first; a file that ends between two others is for the parser to tell."""
    return not data.rstrip(b" \t\r\n\0").endswith(b">")


def _gif_ends_early(data: bytes) -> bool:
    """Blocks up to the trailer 0x3b (GIF89a, 17-27); each carries a chain of sub-blocks."""
    at = 13 + _colour_table_bytes(data, 10)
    while at < len(data):
        introducer = data[at]
        if introducer == 0x3B:
            return False
        if introducer == 0x21:
            at += 2
        elif introducer == 0x2C:
            at += 11 + _colour_table_bytes(data, at + 9)
        else:
            return False  # Not a matter of length: the decoder will say what is wrong.
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return True


def _colour_table_bytes(data: bytes, flags_at: int) -> int:
    """The size of the colour table that follows, from its packed flags (GIF89a, 18 and 20)."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "png": _png_ends_early,
    "webp": _webp_ends_early,
    "avif": _boxes_end_early,
    "heic": _boxes_end_early,
    "jxl": _jxl_ends_early,
    "svg": _svg_ends_early,
    "gif": _gif_ends_early,
    "tiff": tiff.ends_early,
}
