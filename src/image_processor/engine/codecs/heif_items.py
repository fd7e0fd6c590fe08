"""The items of an AVIF or HEIC, read from its boxes without libheif.

They say where the image's bytes are, and what libheif leaves to its callers: the range of grey samples,
premultiplied colours, the colour space, and an alpha channel that is turned differently.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Self

import pyvips
from msgspec import Struct

from image_processor.domain.redaction import redacted_repr

from . import av1

_ALPHA_TYPES = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_TURNS = frozenset({b"irot", b"imir"})

_MAX_ENTRIES = 20_000
"""Items, and properties of items. libheif accepts 1,000 items by default."""


class Property(Struct, frozen=True):
    """A property of an item: its type, its content, and where its entry in the item's list of properties
    begins and ends in the file."""

    kind: bytes
    content: bytes
    entry: tuple[int, int]


class CodedColour(Struct, frozen=True):
    """Primaries and transfer characteristics by their numbers in ISO/IEC 23091-2 (CICP), and whether samples
    use their full range."""

    primaries: int
    transfer: int
    full_range: bool


class HeifItems(Struct, frozen=True):
    """``properties`` by the number of their item, ``references`` as (kind, from, to), and the ``extents`` of
    all items in the file as (item, start, end). ``primary`` is the number of the item that is shown."""

    data: bytes
    primary: int
    properties: dict[int, list[Property]]
    references: list[tuple[bytes, int, int]]
    extents: list[tuple[int, int, int]]

    def __repr__(self) -> str:
        return redacted_repr(self, ("data", "properties"))

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Read the meta box; None where there is none that follows ISO/IEC 14496-12, 8.11."""
        meta = next(((start, end) for kind, start, end in boxes(data) if kind == b"meta"), None)
        if meta is None or meta[1] > len(data):
            return None
        try:
            return cls(data, *_read_meta(data, *meta))
        except (struct.error, IndexError, OverflowError):
            return None

    @property
    def is_premultiplied(self) -> bool:
        """Whether colours are multiplied by alpha (ISO/IEC 23008-12, 6.10.1, `prem`)."""
        return any(kind == b"prem" and start == self.primary for kind, start, _ in self.references)

    @property
    def coded_colour(self) -> CodedColour | None:
        """The colour space of the primary item, if it is given by numbers (`nclx`)."""
        for content in self._contents(self.primary, b"colr"):
            if content[:4] == b"nclx":
                primaries, transfer, _matrix, flags = struct.unpack_from(">HHHB", content, 4)
                return CodedColour(primaries, transfer, bool(flags & 0x80))
        return None

    @property
    def is_limited_grey(self) -> bool:
        """Whether the primary item is grey with samples of 16 to 235 (of 8 bits). libheif expands colour to
        the full range, but not grey."""
        if not self._is_monochrome:
            return False
        colour = self.coded_colour
        if colour is not None:
            return not colour.full_range
        start, end = next(((start, end) for item, start, end in self.extents if item == self._coded), (0, 0))
        return av1.is_limited_grey(self.data[start:end])

    @property
    def _coded(self) -> int:
        """The primary item, or the first tile of its grid."""
        tiles = (to for kind, start, to in self.references if kind == b"dimg" and start == self.primary)
        return next(tiles, self.primary)

    @property
    def _is_monochrome(self) -> bool:
        for found in self.properties.get(self._coded, ()):
            if found.kind == b"av1C":  # AV1 in ISOBMFF, 2.3.3: the flag monochrome
                return bool(found.content[2] & 0x10)
            if found.kind == b"hvcC":  # ISO/IEC 14496-15, 8.3.3.1: chroma_format_idc
                return found.content[16] & 3 == 0
        return False

    @property
    def turns(self) -> list[tuple[bytes, int]]:
        """How the primary item is rotated and mirrored: types and values of its properties, in order."""
        return self._turns(self.primary)

    @property
    def is_alpha_turned_differently(self) -> bool:
        """Whether colour and alpha have different turns: older encoders gave them to the colour alone.
        libavif, and so every browser, turns both as the colour."""
        alpha = self._alpha
        return alpha is not None and self._turns(alpha) != self.turns

    def without_turns(self) -> bytes:
        """The file without the turns of colour and alpha. Its length stays: an entry of 0 in the list of an
        item's properties stands for none (ISO/IEC 23008-12, 9.3.1)."""
        patched = bytearray(self.data)
        for item in (self.primary, self._alpha):
            for found in self.properties.get(item, ()) if item is not None else ():
                if found.kind in _TURNS:
                    start, end = found.entry
                    patched[start:end] = bytes(end - start)
        return bytes(patched)

    @property
    def _alpha(self) -> int | None:
        linked = [start for kind, start, to in self.references if kind == b"auxl" and to == self.primary]
        return next((item for item in linked if self._is_alpha(item)), None)

    def _is_alpha(self, item: int) -> bool:
        return any(content[4:].startswith(_ALPHA_TYPES) for content in self._contents(item, b"auxC"))

    def _turns(self, item: int) -> list[tuple[bytes, int]]:
        return [
            (found.kind, found.content[0]) for found in self.properties.get(item, ()) if found.kind in _TURNS
        ]

    def _contents(self, item: int, kind: bytes) -> list[bytes]:
        return [found.content for found in self.properties.get(item, ()) if found.kind == kind]


def boxes(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """The type of each box from ``at`` to ``stop``, the offset of its content, and where it says it ends.

    A box is size, type, content; size 1 is followed by 64 bits, 0 means to the end
    (ISO/IEC 14496-12, 4.2).
    """
    stop = len(data) if stop is None else stop
    while at + 8 <= stop:
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + max(size, 8) if size else stop
        yield data[at + 4 : at + 8], start, end
        at = end


def is_truncated(data: bytes) -> bool:
    """Whether the file ends before the bytes of an item. What follows the last box does not count: phones
    append trailers, editors newlines."""
    items = HeifItems.read(data)
    if items is None or not items.extents:
        return boxes_end_early(data)
    return any(end > len(data) for _, _, end in items.extents)


def boxes_end_early(data: bytes) -> bool:
    """Whether the last box does not end where the file ends."""
    ends = [end for _, _, end in boxes(data)]
    return not ends or ends[-1] != len(data)


def turn(image: pyvips.Image, turns: Collection[tuple[bytes, int]]) -> pyvips.Image:
    """``image`` with rotation and mirroring applied (ISO/IEC 23008-12, 6.5.10 and 6.5.12). It is not read in
    order then: a file must have been opened for random access."""
    for kind, value in turns:
        if kind == b"irot":  # quarters, counter-clockwise
            image = (image, image.rot270(), image.rot180(), image.rot90())[value & 3]
        else:
            image = image.fliphor() if value & 1 else image.flipver()
    return image


class _Fields:
    """Reads the fields of a full box, one after the other. Raises IndexError behind its end."""

    def __init__(self, data: bytes, at: int, stop: int) -> None:
        self._data, self.at, self._stop = data, at, stop
        self.version = self.take(1)
        self.flags = self.take(3)

    @property
    def left(self) -> int:
        return self._stop - self.at

    def take(self, size: int) -> int:
        """The next ``size`` bytes as a number; 0 for no bytes."""
        end = self.at + size
        if end > self._stop:
            raise IndexError
        value = int.from_bytes(self._data[self.at : end], "big")
        self.at = end
        return value

    def entries(self, size: int) -> range:
        """For each of the entries whose number the next ``size`` bytes are."""
        count = self.take(size)
        if count > _MAX_ENTRIES:
            raise IndexError
        return range(count)


_Properties = dict[int, list[Property]]
_References = list[tuple[bytes, int, int]]
_Extents = list[tuple[int, int, int]]


def _read_meta(data: bytes, start: int, end: int) -> tuple[int, _Properties, _References, _Extents]:
    primary = 0
    properties: _Properties = {}
    references: _References = []
    extents: _Extents = []
    for kind, at, announced in boxes(data, start + 4, end):
        stop = min(announced, end)
        if kind == b"pitm":
            fields = _Fields(data, at, stop)
            primary = fields.take(2 if fields.version == 0 else 4)
        elif kind == b"iloc":
            extents = _read_extents(_Fields(data, at, stop))
        elif kind == b"iref":
            references = _read_references(data, _Fields(data, at, stop), stop)
        elif kind == b"iprp":
            properties = _read_properties(data, at, stop)
    return primary, properties, references, extents


def _read_extents(fields: _Fields) -> _Extents:
    """Where items are in the file (14496-12, 8.11.3); those within the meta box itself are left out."""
    sizes = fields.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    extents: _Extents = []
    wide = fields.version == 2
    for _ in fields.entries(4 if wide else 2):
        item = fields.take(4 if wide else 2)
        method = fields.take(2) & 15 if fields.version else 0
        fields.take(2)  # the file that holds the data; 0 is this one
        base = fields.take(base_size)
        for _ in fields.entries(2):
            fields.take(index_size if fields.version else 0)
            start = base + fields.take(offset_size)
            end = start + fields.take(length_size)
            if method == 0:
                extents.append((item, start, end))
    return extents


def _read_references(data: bytes, fields: _Fields, end: int) -> _References:
    """References between items (14496-12, 8.11.12)."""
    code = ">I" if fields.version else ">H"
    size = struct.calcsize(code)
    references: _References = []
    for kind, at, stop in boxes(data, fields.at, end):
        (start,), (count,) = struct.unpack_from(code, data, at), struct.unpack_from(">H", data, at + size)
        first = at + size + 2
        if first + count * size > min(stop, end):
            raise IndexError
        targets = struct.iter_unpack(code, data[first : first + count * size])
        references += [(kind, start, to) for (to,) in targets]
    return references


def _read_properties(data: bytes, start: int, end: int) -> _Properties:
    """The properties of each item (23008-12, 9.3): the lists in `ipma` point into the boxes of `ipco`."""
    children = {kind: (at, min(stop, end)) for kind, at, stop in boxes(data, start, end)}
    if not {b"ipco", b"ipma"} <= children.keys():
        return {}
    defined = [(kind, data[at : min(stop, end)]) for kind, at, stop in boxes(data, *children[b"ipco"])]
    properties: defaultdict[int, list[Property]] = defaultdict(list)
    fields = _Fields(data, *children[b"ipma"])
    size = 2 if fields.flags & 1 else 1
    for _ in fields.entries(4):
        item = fields.take(4 if fields.version else 2)
        for _ in fields.entries(1):
            index = fields.take(size) & (0x7FFF if size == 2 else 0x7F)
            if 0 < index <= len(defined):
                kind, content = defined[index - 1]
                properties[item].append(Property(kind, content, (fields.at - size, fields.at)))
    return dict(properties)
