"""Reads the requested fields of an original's EXIF; nothing else of it leaves the engine.

The EXIF block is parsed here, because libvips' strings lose Latin-1 text, mix values with explanations and
are missing for TIFF.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from fractions import Fraction

from msgspec import Struct

from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Exif, ExifField

from .decode import open_original
from .registry import CODECS

MAX_CHARACTERS = 200
"""Longer texts are cut."""

_MAX_ENTRIES = 1000
"""Entries of a directory beyond this are ignored; cameras write fifty."""

_MAX_TEXT_BYTES = 4 * MAX_CHARACTERS + 64

# Bytes of one value by field type: EXIF 2.32, 4.6.2; 129 is UTF-8 (EXIF 3.0).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 129: 1}
_TEXTS = frozenset({2, 7, 129})
_INTEGERS = {1: "B", 3: "H", 4: "I"}
_RATIONAL = 5

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825

_DATE_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)


class _Directory(Struct, frozen=True):
    """One directory of a block: by tag the field type and the bytes of its values, at most
    _MAX_TEXT_BYTES of them. ``order`` is the byte order for `struct`."""

    order: str
    fields: dict[int, tuple[int, bytes]]

    def text(self, tag: int, part: int = 0) -> str | None:
        """The text up to its NUL, or a later ``part`` of it, as one line of printable characters, cut at
        MAX_CHARACTERS. None for an empty one."""
        kind, values = self.fields.get(tag, (0, b""))
        parts = values.split(b"\0")
        if kind not in _TEXTS or part >= len(parts):
            return None
        printed = "".join(char if char.isprintable() else " " for char in _decoded(parts[part]))
        return " ".join(printed.split())[:MAX_CHARACTERS].rstrip() or None

    def integer(self, tag: int) -> int | None:
        kind, values = self.fields.get(tag, (0, b""))
        if kind not in _INTEGERS:
            return None
        value: int = struct.unpack_from(self.order + _INTEGERS[kind], values)[0]
        return value

    def fractions(self, tag: int) -> list[Fraction] | None:
        """Up to three fractions; None if there are none or one is a division by zero."""
        kind, values = self.fields.get(tag, (0, b""))
        if kind != _RATIONAL:
            return None
        numbers = list(struct.iter_unpack(self.order + "II", values[:24]))
        return [Fraction(up, down) for up, down in numbers] if all(down for _, down in numbers) else None

    def fraction(self, tag: int) -> Fraction | None:
        """The first fraction, None if it is zero: cameras write that for "unknown"."""
        fractions = self.fractions(tag)
        return fractions[0] or None if fractions else None


class _Block(Struct, frozen=True):
    """The directories of an EXIF block; ``gps`` is empty unless it was asked for."""

    main: _Directory
    photo: _Directory
    gps: _Directory


def read_exif(data: bytes, format_name: str, wanted: Collection[ExifField]) -> Exif:
    """The ``wanted`` fields of the original, in the order of ExifField, without missing and invalid ones.

    ``data`` has passed `probe`. The GPS position is read only for ExifField.GPS.
    """
    if not wanted:
        return ()
    block = _parse(_block_bytes(data, format_name), gps=ExifField.GPS in wanted)
    if block is None:
        return ()
    values = ((field.value, _READERS[field](block)) for field in ExifField if field in wanted)
    return tuple((name, value) for name, value in values if value is not None)


def _block_bytes(data: bytes, format_name: str) -> bytes:
    """The EXIF block, without JPEG's identifier before it. A TIFF file is such a block itself."""
    exif_block = CODECS[format_name].exif_block
    if exif_block is not None:
        return exif_block(data)
    opened = open_original(data, FORMATS[format_name])
    block = bytes(opened.get("exif-data")) if opened.get_typeof("exif-data") else b""
    return block.removeprefix(b"Exif\0\0")


def _parse(block: bytes, *, gps: bool) -> _Block | None:
    """The directories of a block; None where the bytes are no EXIF block."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    main = _directory(block, order, struct.unpack_from(order + "I", block, 4)[0])
    empty = _Directory(order, {})

    def inner(tag: int) -> _Directory:
        start = main.integer(tag)
        return empty if start is None else _directory(block, order, start)

    return _Block(main, inner(_EXIF_DIRECTORY), inner(_GPS_DIRECTORY) if gps else empty)


def _directory(block: bytes, order: str, start: int) -> _Directory:
    """The directory at ``start``, as far as it and its values lie within ``block``."""
    fields: dict[int, tuple[int, bytes]] = {}
    with suppress(struct.error):  # the block is truncated
        (count,) = struct.unpack_from(order + "H", block, start)
        for index in range(min(count, _MAX_ENTRIES)):
            at = start + 2 + 12 * index
            tag, kind, length = struct.unpack_from(order + "HHI", block, at)
            size = length * _SIZES.get(kind, 0)
            begin = at + 8 if size <= 4 else struct.unpack_from(order + "I", block, at + 8)[0]
            if size and begin + size <= len(block):
                fields.setdefault(tag, (kind, block[begin : begin + min(size, _MAX_TEXT_BYTES)]))
    return _Directory(order, fields)


def _decoded(text: bytes) -> str:
    """EXIF requires ASCII; cameras and programs write UTF-8 and Latin-1. A character that the byte limit
    has cut is dropped."""
    for shorter in range(4 if len(text) >= _MAX_TEXT_BYTES else 1):
        with suppress(UnicodeDecodeError):
            return text[: len(text) - shorter].decode()
    return text.decode("latin-1")


def _taken_at(block: _Block) -> str | None:
    """ISO 8601, with the offset from UTC where the camera records it, else in its local time."""
    match = _DATE_TIME.fullmatch(block.photo.text(0x9003) or "")
    if match is None:
        return None
    try:
        moment = datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - EXIF has no zone here
    except ValueError:
        return None
    offset = block.photo.text(0x9011) or ""
    return moment.isoformat() + (offset if _OFFSET.fullmatch(offset) else "")


def _exposure(block: _Block) -> str | None:
    """In seconds: `1/250`, or a decimal where it is not a unit fraction."""
    time = block.photo.fraction(0x829A)
    if time is None:
        return None
    return str(time) if time.numerator == 1 else f"{float(time):.6g}"


def _decimal(tag: int) -> Callable[[_Block], str | None]:
    def read(block: _Block) -> str | None:
        value = block.photo.fraction(tag)
        return None if value is None else f"{round(float(value), 2):.10g}"

    return read


def _iso(block: _Block) -> str | None:
    return str(block.photo.integer(0x8827) or "") or None


def _orientation(block: _Block) -> str | None:
    value = block.main.integer(0x0112)
    return str(value) if value in range(1, 9) else None


def _position(block: _Block) -> str | None:
    """Latitude and longitude in degrees, south and west negative: `48.858333,2.294444`."""
    latitude = _degrees(block.gps, 2, ("N", "S"), 90)
    longitude = _degrees(block.gps, 4, ("E", "W"), 180)
    return None if latitude is None or longitude is None else f"{latitude:.6f},{longitude:.6f}"


def _degrees(gps: _Directory, tag: int, references: tuple[str, str], limit: int) -> float | None:
    parts, reference = gps.fractions(tag), gps.text(tag - 1)
    if not parts or len(parts) != 3 or reference not in references:
        return None
    degrees = float(sum(part / 60**power for power, part in enumerate(parts)))
    return None if degrees > limit else degrees * (1 if reference == references[0] else -1)


def _copyright(block: _Block) -> str | None:
    """The photographer's, or where that part is blank the editor's (EXIF 2.32, 4.6.4.D)."""
    return block.main.text(0x8298) or block.main.text(0x8298, 1)


def _text(tag: int) -> Callable[[_Block], str | None]:
    return lambda block: block.main.text(tag)


_READERS: dict[ExifField, Callable[[_Block], str | None]] = {
    ExifField.MAKE: _text(0x010F),
    ExifField.MODEL: _text(0x0110),
    ExifField.LENS: lambda block: block.photo.text(0xA434),
    ExifField.TAKEN_AT: _taken_at,
    ExifField.EXPOSURE_TIME: _exposure,
    ExifField.F_NUMBER: _decimal(0x829D),
    ExifField.ISO: _iso,
    ExifField.FOCAL_LENGTH: _decimal(0x920A),
    ExifField.ORIENTATION: _orientation,
    ExifField.SOFTWARE: _text(0x0131),
    ExifField.ARTIST: _text(0x013B),
    ExifField.COPYRIGHT: _copyright,
    ExifField.DESCRIPTION: _text(0x010E),
    ExifField.GPS: _position,
}
