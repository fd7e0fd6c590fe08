"""Judges a TIFF by its directory, without libtiff: is all of it there, and will its samples be
converted rightly. libvips is no judge of either: it fills missing tiles with black, and takes
signed, 32-bit and floating samples for something else than they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cached_property
from itertools import islice, repeat

from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.redaction import redacted_repr


class Tag(IntEnum):
    """Those of TIFF 6.0's fields that decide what the pixels are and where they lie."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    ICC_PROFILE = 34675


_TAGS = frozenset(Tag)

# The code in `struct` of one value, by field type; a type that is not here holds no such field.
# The signed ones are here because libtiff takes them too.
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 16: "Q", 17: "q", 18: "Q"}

# PhotometricInterpretation (TIFF 6.0, sections 8, 16 and 21), and its samples that are colour.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_CMYK = 1  # InkSet

# Compression: none, CCITT RLE, T.4 and T.6, LZW, JPEG, deflate by two numbers, PackBits.
_JPEG = 7
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946})
_COMPRESSION_NAMES = {6: "old JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}

_SAMPLE_FORMATS = {2: "signed", 3: "floating", 5: "complex", 6: "complex"}
_ALPHA = frozenset({1, 2})  # ExtraSamples: associated and not; 0 does not say what it is
_SEPARATE = 2  # PlanarConfiguration

_MAX_SAMPLES = 5
"""Cyan, magenta, yellow, black and alpha: no picture has more."""

_ROWS_AT_ONCE = 128
"""Strips of more rows than this are read line by line where libvips can (its tiff2vips.c)."""


class Directory(Struct, frozen=True, dict=True):
    """The directory of the page that is opened. ``fields`` holds, by tag, the struct
    code of its values, their number, and where in ``data`` they begin."""

    data: bytes
    order: str
    fields: Mapping[int, tuple[str, int, int]]

    def __repr__(self) -> str:
        return redacted_repr(self, ("data",))

    def values(self, tag: Tag) -> Iterator[int]:
        """The values of a field, none if it is not there; one by one, since there may be millions."""
        code, count, at = self.fields.get(tag, ("B", 0, 0))
        one = struct.Struct(self.order + code)
        return (value for (value,) in one.iter_unpack(memoryview(self.data)[at : at + count * one.size]))

    def one(self, tag: Tag, default: int) -> int:
        return next(self.values(tag), default)

    @cached_property
    def samples(self) -> int:
        """How many samples a pixel has."""
        return self.one(Tag.SAMPLES, 1)

    @cached_property
    def bits(self) -> frozenset[int]:
        """The different sizes of samples, in bits."""
        return frozenset(islice(self.values(Tag.BITS), _MAX_SAMPLES)) or frozenset({1})

    @cached_property
    def colours(self) -> int:
        """How many samples of a pixel are its colour; 0 where that cannot be told."""
        photometric = self.one(Tag.PHOTOMETRIC, -1)
        if photometric == _SEPARATED and self.one(Tag.INK_SET, _CMYK) != _CMYK:
            return 0
        # Only libjpeg converts YCbCr; otherwise its samples would be taken for RGB.
        if photometric == _YCBCR and self.one(Tag.COMPRESSION, 1) != _JPEG:
            return 0
        return _COLOURS.get(photometric, 0)

    @cached_property
    def idle_samples(self) -> int:
        """How many samples at a pixel's end are neither colour nor alpha."""
        extra = self.samples - self.colours
        return extra - 1 if extra and self.one(Tag.EXTRA_SAMPLES, 0) in _ALPHA else extra

    @cached_property
    def bytes_at_once(self) -> int:
        """How much libvips decodes at a time: a row of tiles, a strip, or a line."""
        width, rows = self.one(Tag.WIDTH, 0), self.one(Tag.HEIGHT, 0)
        if Tag.TILE_OFFSETS in self.fields:
            across = max(1, self.one(Tag.TILE_WIDTH, 1))
            width = -(-width // across) * across
            rows = self.one(Tag.TILE_HEIGHT, 1)
        else:
            rows = min(rows, self.one(Tag.ROWS_PER_STRIP, rows))
            by_line = self.one(Tag.PLANAR, 1) != _SEPARATE and self.one(Tag.PHOTOMETRIC, -1) != _YCBCR
            rows = 1 if by_line and rows > _ROWS_AT_ONCE else rows
        return width * rows * self.samples * max(self.bits) // 8

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each tile or strip; 0 for a length that is not said."""
        tiled = Tag.TILE_OFFSETS in self.fields
        lengths = Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES
        said = self.values(lengths) if lengths in self.fields else repeat(0)
        return zip(self.values(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS), said, strict=False)


def read_directory(data: bytes, page: int = 0) -> Directory | None:
    """The directory of a page (0-based) of a TIFF or BigTIFF of either byte order (TIFF 6.0, section 2).

    None where the file ends before the directory, or before the values of a field that counts.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    pointer, counter = ("Q", "Q") if big else ("I", "H")
    entry = struct.Struct(f"{order}HH{pointer}{pointer}")
    room = struct.calcsize(pointer)
    try:
        (start,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + counter, data, start)
        for _ in range(page):
            # Where the next one begins stands behind the entries, 0 behind the last.
            after = start + struct.calcsize(counter) + count * entry.size
            (start,) = struct.unpack_from(order + pointer, data, after)
            (count,) = struct.unpack_from(order + counter, data, start or len(data))
        start += struct.calcsize(counter)
    except (struct.error, OverflowError):  # the latter for an offset that no address can have
        return None
    if start + count * entry.size > len(data):
        return None
    fields: dict[int, tuple[str, int, int]] = {}
    for after in range(start + entry.size, start + count * entry.size + 1, entry.size):
        tag, kind, length, pointed = entry.unpack_from(data, after - entry.size)
        # Of a tag that comes twice libtiff takes the first.
        if tag not in _TAGS or tag in fields or kind not in _CODES:
            continue
        size = length * struct.calcsize(order + _CODES[kind])
        at = after - room if size <= room else pointed
        if at + size > len(data):
            return None
        fields[tag] = (_CODES[kind], length, at)
    return Directory(data, order, fields)


def ends_early(data: bytes, page: int = 0) -> bool:
    """Whether the directory, or a tile or strip that it names, lies behind the end of the file."""
    directory = read_directory(data, page)
    return directory is None or any(at + length > len(data) for at, length in directory.blocks())


def check_samples(directory: Directory) -> None:
    """Raise Refused(UNSUPPORTED_FORMAT) unless the pixels are of a kind that is converted rightly."""
    for check in (_compression_fault, _colour_fault, _count_fault, _sample_fault):
        fault = check(directory)
        if fault is not None:
            raise Refused(Reason.UNSUPPORTED_FORMAT, f"expected {fault}")


def _compression_fault(directory: Directory) -> str | None:
    compression = directory.one(Tag.COMPRESSION, 1)
    if compression in _COMPRESSIONS:
        return None
    got = _COMPRESSION_NAMES.get(compression, f"number {compression}")
    return f"LZW, deflate, PackBits, JPEG, CCITT or no compression in a tiff, got {got}"


def _colour_fault(directory: Directory) -> str | None:
    if directory.colours:
        return None
    got = directory.one(Tag.PHOTOMETRIC, -1)
    return f"grey, a palette, RGB, CMYK or YCbCr in JPEG for a tiff's pixels, got interpretation {got}"


def _count_fault(directory: Directory) -> str | None:
    if directory.colours <= directory.samples <= _MAX_SAMPLES:
        return None
    return f"{directory.colours}-{_MAX_SAMPLES} samples a pixel in a tiff, got {directory.samples}"


def _sample_fault(directory: Directory) -> str | None:
    fine = {1, 2, 4, 8, 16} if directory.samples == 1 else {8, 16}
    kinds = set(islice(directory.values(Tag.SAMPLE_FORMAT), _MAX_SAMPLES))
    strange = [name for kind, name in _SAMPLE_FORMATS.items() if kind in kinds][:1]
    if not strange and len(directory.bits) == 1 and directory.bits <= fine:
        return None
    got = " ".join(["/".join(map(str, sorted(directory.bits))), "bits", *strange])
    return f"8 or 16 unsigned bits a sample in a tiff, got {got}"
