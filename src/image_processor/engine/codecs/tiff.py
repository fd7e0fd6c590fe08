"""TIFF: its directory, read without libtiff; pixels read and written by libvips.

The directory says whether all tiles are there and whether the samples will be converted correctly.
libvips checks neither: it fills missing tiles with black and misreads signed, 32-bit and float samples.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from itertools import islice, repeat
from typing import Any

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.redaction import redacted_repr

from .codec import Codec, DecodeOptions, EncodeOptions, load, page_options
from .tiff_colour import Lab, YCbCr, as_grey, with_colours


class Tag(IntEnum):
    """The fields of TIFF 6.0 that decide what the pixels are and where they are stored."""

    SUBFILE_TYPE = 254
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
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    ICC_PROFILE = 34675


_TAGS = frozenset(Tag)

_RATIONAL = 5  # two numbers

# The `struct` code of one value, by field type; other types hold none of these fields.
# The signed types are here because libtiff accepts them too.
_CODES = {1: "B", 3: "H", 4: "I", _RATIONAL: "I", 6: "b", 7: "B", 8: "h", 9: "i", 16: "Q", 17: "q", 18: "Q"}

# PhotometricInterpretation (TIFF 6.0, sections 8, 16 and 21), and its number of colour samples.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _LAB, _ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
_COLOURS = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4,
    _YCBCR: 3, _LAB: 3, _ICC_LAB: 3,
}  # fmt: skip
_INTERPRETATIONS = {4: "a mask", 10: "ITU L*a*b*", 32803: "camera raw", 32844: "LogL", 32845: "LogLuv"}
_CMYK = 1  # InkSet

# Compression: none, CCITT RLE, T.4 and T.6, LZW, JPEG, deflate (two numbers), PackBits.
_JPEG = 7
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946})
_COMPRESSION_NAMES = {6: "old JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}

_SAMPLE_FORMATS = {2: "signed", 3: "floating", 5: "complex", 6: "complex"}
# ExtraSamples; 0 is unspecified.
_ASSOCIATED, _UNASSOCIATED, _COREL = 1, 2, 999  # libtiff takes Corel's for unassociated
_ALPHA = frozenset({_ASSOCIATED, _UNASSOCIATED, _COREL})
_SEPARATE = 2  # PlanarConfiguration

_MAX_SAMPLES = 5
"""Cyan, magenta, yellow, black and alpha."""

_MAX_REDUCED_PAGES = 16
"""Reduced pages that are skipped before the main one."""

_MAX_STRIP_ROWS = 128
"""libvips reads strips of more rows than this line by line where it can (tiff2vips.c)."""


class Directory(Struct, frozen=True, dict=True):
    """The directory of one page. ``fields`` holds, by tag, the struct code of its values, their number, and
    their offset in ``data``."""

    data: bytes
    order: str
    fields: Mapping[int, tuple[str, int, int]]

    def __repr__(self) -> str:
        return redacted_repr(self, ("data",))

    def values(self, tag: Tag) -> Iterator[int]:
        """The values of a field, none if it is missing; an iterator, since there may be millions."""
        code, count, at = self.fields.get(tag, ("B", 0, 0))
        item = struct.Struct(self.order + code)
        return (value for (value,) in item.iter_unpack(memoryview(self.data)[at : at + count * item.size]))

    def value(self, tag: Tag, default: int) -> int:
        return next(self.values(tag), default)

    @cached_property
    def samples(self) -> int:
        """How many samples a pixel has."""
        return self.value(Tag.SAMPLES, 1)

    @cached_property
    def bits(self) -> frozenset[int]:
        """The different sizes of samples, in bits."""
        return frozenset(islice(self.values(Tag.BITS), _MAX_SAMPLES)) or frozenset({1})

    @cached_property
    def colours(self) -> int:
        """How many samples of a pixel are colour; 0 where that is unknown."""
        photometric = self.value(Tag.PHOTOMETRIC, -1)
        if photometric == _SEPARATED and self.value(Tag.INK_SET, _CMYK) != _CMYK:
            return 0
        return _COLOURS.get(photometric, 0)

    @cached_property
    def unconverted(self) -> YCbCr | Lab | None:
        """The colour space, if libvips does not convert it."""
        photometric = self.value(Tag.PHOTOMETRIC, -1)
        if photometric in {_LAB, _ICC_LAB}:
            return Lab(is_offset=photometric == _ICC_LAB)
        if photometric != _YCBCR or self.value(Tag.COMPRESSION, 1) == _JPEG:
            return None
        default = YCbCr()
        return YCbCr(
            self._ratios(Tag.YCBCR_COEFFICIENTS, default.luma),
            self._ratios(Tag.REFERENCE_BLACK_WHITE, default.references),
        )

    @cached_property
    def is_separate_grey(self) -> bool:
        """Whether grey and further samples are in planes of their own, whose rows libvips mixes up (8.18)."""
        is_separate = self.samples > 1 and self.value(Tag.PLANAR, 1) == _SEPARATE
        return is_separate and self.value(Tag.PHOTOMETRIC, -1) in {_WHITE_IS_ZERO, _BLACK_IS_ZERO}

    def _ratios(self, tag: Tag, default: Sequence[float]) -> Sequence[float]:
        numbers = list(islice(self.values(tag), 2 * len(default)))
        if len(numbers) < 2 * len(default) or 0 in numbers[1::2]:
            return default
        return [above / below for above, below in zip(numbers[::2], numbers[1::2], strict=True)]

    def as_rgb(self) -> bytes:
        """The file, of the same length, whose page claims to be RGB: libtiff then converts nothing."""
        return self._with_value(self.data, Tag.PHOTOMETRIC, _RGB)

    def as_planes(self) -> bytes:
        """As `as_rgb`, without associated alpha: libvips then leaves the samples as they are."""
        data = self.as_rgb()
        return self._with_value(data, Tag.EXTRA_SAMPLES, _UNASSOCIATED) if self.is_associated else data

    def _with_value(self, data: bytes, tag: Tag, value: int) -> bytes:
        """``data`` with another first value of a field that exists."""
        code, _, at = self.fields[tag]
        packed = struct.pack(self.order + code, value)
        return b"".join((data[:at], packed, data[at + len(packed) :]))

    @cached_property
    def is_associated(self) -> bool:
        """Whether colours are premultiplied by alpha."""
        return self.value(Tag.EXTRA_SAMPLES, 0) == _ASSOCIATED

    @cached_property
    def idle_samples(self) -> int:
        """How many trailing samples of a pixel are neither colour nor alpha."""
        extra = self.samples - self.colours
        return extra - 1 if extra and self._has_alpha else extra

    @cached_property
    def _has_alpha(self) -> bool:
        """Whether the first sample after the colours is alpha. Where the field is missing, a fourth sample of
        RGB is, as for Pillow: without alpha, what is transparent would often be black."""
        kind = next(self.values(Tag.EXTRA_SAMPLES), None)
        if kind is None:
            return self.samples == 4 and self.value(Tag.PHOTOMETRIC, -1) == _RGB
        return kind in _ALPHA

    @cached_property
    def block_bytes(self) -> int:
        """The bytes that libvips decodes at a time: a row of tiles, a strip, or a line."""
        width, rows = self.value(Tag.WIDTH, 0), self.value(Tag.HEIGHT, 0)
        if Tag.TILE_OFFSETS in self.fields:
            across = max(1, self.value(Tag.TILE_WIDTH, 1))
            width = -(-width // across) * across
            rows = self.value(Tag.TILE_HEIGHT, 1)
        else:
            rows = min(rows, self.value(Tag.ROWS_PER_STRIP, rows))
            by_line = self.value(Tag.PLANAR, 1) != _SEPARATE and self.value(Tag.PHOTOMETRIC, -1) != _YCBCR
            rows = 1 if by_line and rows > _MAX_STRIP_ROWS else rows
        return width * rows * self.samples * max(self.bits) // 8

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each tile or strip; 0 for a missing length."""
        tiled = Tag.TILE_OFFSETS in self.fields
        lengths = Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES
        sizes = self.values(lengths) if lengths in self.fields else repeat(0)
        return zip(self.values(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS), sizes, strict=False)


def read_directory(data: bytes, page: int = 0) -> Directory | None:
    """The directory of a page (0-based) of a TIFF or BigTIFF of either byte order (TIFF 6.0, section 2).

    None where the file ends before the directory, or before the values of one of the fields in Tag.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    pointer, counter = ("Q", "Q") if big else ("I", "H")
    entry = struct.Struct(f"{order}HH{pointer}{pointer}")
    inline = struct.calcsize(pointer)  # values that fit are stored in the entry itself
    try:
        (start,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + counter, data, start)
        for _ in range(page):
            # The offset of the next directory follows the entries; it is 0 after the last.
            after = start + struct.calcsize(counter) + count * entry.size
            (start,) = struct.unpack_from(order + pointer, data, after)
            (count,) = struct.unpack_from(order + counter, data, start or len(data))
        start += struct.calcsize(counter)
    except (struct.error, OverflowError):  # the latter for an offset beyond any address
        return None
    if start + count * entry.size > len(data):
        return None
    fields: dict[int, tuple[str, int, int]] = {}
    for after in range(start + entry.size, start + count * entry.size + 1, entry.size):
        tag, kind, length, pointed = entry.unpack_from(data, after - entry.size)
        # libtiff uses the first of a repeated tag.
        if tag not in _TAGS or tag in fields or kind not in _CODES:
            continue
        length *= 2 if kind == _RATIONAL else 1
        size = length * struct.calcsize(order + _CODES[kind])
        at = after - inline if size <= inline else pointed
        if at + size > len(data):
            return None
        fields[tag] = (_CODES[kind], length, at)
    return Directory(data, order, fields)


def is_truncated(data: bytes, page: int = 0) -> bool:
    """Whether the directory, or a tile or strip that it names, is beyond the end of the file."""
    directory = read_directory(data, page)
    return directory is None or any(at + length > len(data) for at, length in directory.blocks())


def check_samples(directory: Directory) -> None:
    """Raise Refused(UNSUPPORTED_FORMAT) unless libvips converts this kind of pixel correctly."""
    for check in _CHECKS:
        fault = check(directory)
        if fault is not None:
            raise Refused(Reason.UNSUPPORTED_FORMAT, f"expected {fault}")


def _compression_fault(directory: Directory) -> str | None:
    compression = directory.value(Tag.COMPRESSION, 1)
    if compression in _COMPRESSIONS:
        return None
    got = _COMPRESSION_NAMES.get(compression, f"number {compression}")
    return f"LZW, deflate, PackBits, JPEG, CCITT or no compression in a tiff, got {got}"


def _colour_fault(directory: Directory) -> str | None:
    if directory.colours:
        return None
    number = directory.value(Tag.PHOTOMETRIC, -1)
    got = _INTERPRETATIONS.get(number, f"interpretation {number}")
    return f"grey, a palette, RGB, CMYK, YCbCr or CIE L*a*b* for a tiff's pixels, got {got}"


def _count_fault(directory: Directory) -> str | None:
    if directory.colours <= directory.samples <= _MAX_SAMPLES:
        return None
    return f"{directory.colours}-{_MAX_SAMPLES} samples a pixel in a tiff, got {directory.samples}"


def _sample_fault(directory: Directory) -> str | None:
    supported = {1, 2, 4, 8, 16} if directory.samples == 1 else {8, 16}
    kinds = set(islice(directory.values(Tag.SAMPLE_FORMAT), _MAX_SAMPLES))
    unsupported = [name for kind, name in _SAMPLE_FORMATS.items() if kind in kinds][:1]
    if not unsupported and len(directory.bits) == 1 and directory.bits <= supported:
        return None
    got = " ".join(["/".join(map(str, sorted(directory.bits))), "bits", *unsupported])
    return f"8 or 16 unsigned bits a sample in a tiff, got {got}"


def _subsampling_fault(directory: Directory) -> str | None:
    """Of colours that are converted here, those whose samples are not all there, or have other depths."""
    unconverted = directory.unconverted
    if unconverted is None:
        return None
    if isinstance(unconverted, YCbCr):
        factors = list(islice(directory.values(Tag.YCBCR_SUBSAMPLING), 2)) or [2, 2]
        low, high = unconverted.references[::2], unconverted.references[1::2]
        if factors != [1, 1] or directory.bits != {8}:
            return "YCbCr of 8 bits without subsampling, or in JPEG, in a tiff, got another coding of YCbCr"
        if any(black == white for black, white in zip(low, high, strict=True)) or not unconverted.luma[1]:
            return "different codes for black and white in a tiff, got equal ones"
    return None if directory.idle_samples == 0 else "no samples but colour and alpha in a tiff, got others"


def _layout_fault(directory: Directory) -> str | None:
    is_separate = directory.samples > 1 and directory.value(Tag.PLANAR, 1) == _SEPARATE
    if is_separate and Tag.TILE_OFFSETS in directory.fields:
        return "all samples of a pixel side by side in a tiff with tiles, got a plane for each"
    return None


_CHECKS = (
    *(_compression_fault, _colour_fault, _count_fault),
    *(_sample_fault, _subsampling_fault, _layout_fault),
)

_MEMORY_FACTOR = 3
"""A row of tiles as decoded, as pixels, and the next one."""


def _idle_bands(data: bytes, page: int) -> int:
    directory = read_directory(data, page)
    if directory is None:
        return 0
    check_samples(directory)
    return directory.idle_samples


def _decode_memory(data: bytes, _opened: pyvips.Image, _pixels: int, page: int) -> int:
    directory = read_directory(data, page)
    return _MEMORY_FACTOR * directory.block_bytes if directory else 0


def _save_options(_options: EncodeOptions, _quality: int | None) -> dict[str, Any]:
    # LZW and strips are in TIFF 6.0 itself, so every reader opens them; deflate, which came later,
    # saves 8 %. The horizontal predictor saves a third.
    return {"compression": "lzw", "predictor": "horizontal"}


def _open(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """One page, for one sequential pass. Raises pyvips.Error."""
    directory = read_directory(data, options.first)
    colours = directory.unconverted if directory else None
    if directory and directory.is_separate_grey:
        image = _load(directory.as_planes(), options)
        is_inverted = directory.value(Tag.PHOTOMETRIC, -1) == _WHITE_IS_ZERO
        return as_grey(image, white_is_zero=is_inverted, is_premultiplied=directory.is_associated)
    image = _load(directory.as_rgb() if directory and colours else data, options)
    return with_colours(image, colours) if colours else image


def _load(data: bytes, options: DecodeOptions) -> pyvips.Image:
    return load("tiffload", data, access="sequential", fail_on=options.fail_on, **page_options(options))


def main_page(data: bytes) -> int:
    """The first page that is not a reduced version of another one (NewSubfileType, bit 0); 0 if all are."""
    for page in range(_MAX_REDUCED_PAGES):
        directory = read_directory(data, page)
        if directory is None:
            break
        if not directory.value(Tag.SUBFILE_TYPE, 0) & 1:
            return page
    return 0


CODEC = Codec(
    loader="tiffload",
    open=_open,
    main_page=main_page,
    saver="tiffsave",
    save_options=_save_options,
    is_truncated=is_truncated,
    decodes_partially=lambda data, page: read_directory(data, page) is not None,
    idle_bands=_idle_bands,
    decode_memory=_decode_memory,
    exif_block=lambda data: data,
    multi_page=True,
)
