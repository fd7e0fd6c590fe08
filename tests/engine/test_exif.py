"""EXIF: only requested fields are returned, and hostile blocks are read safely."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from drawing import encoded, opened, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational as Rational

from image_processor.domain.models import ExifField, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.exif import MAX_CHARACTERS, read_exif
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

ALL = tuple(ExifField)
FORMATS = ("jpeg", "png", "webp", "avif", "tiff")
EXPECTED = {
    "make": "Canon (the camera)",
    "model": "EOS R5",
    "lens": "RF 50mm F1.2",
    "taken_at": "2026-01-31T12:34:56+01:00",
    "exposure_time": "1/250",
    "f_number": "2.8",
    "iso": "400",
    "focal_length": "50",
    "orientation": "1",
    "software": "Firmware 1.2",
    "artist": "Zoë",
    "copyright": "© Zoë",
    "description": "A cat",
    "gps": "48.858333,-2.294444",
}


def exif() -> Image.Exif:
    """Written by Pillow, independently of our reader."""
    result = Image.Exif()
    result[0x010E], result[0x010F], result[0x0110] = "A cat", "Canon (the camera)", "EOS R5"
    result[0x0112], result[0x0131] = 1, "Firmware 1.2"
    result[0x013B], result[0x8298] = "Zoë".encode("latin-1"), "© Zoë".encode()
    photo = result.get_ifd(0x8769)
    photo[0x829A], photo[0x829D], photo[0x920A] = Rational(4, 1000), Rational(28, 10), Rational(50, 1)
    photo[0x8827], photo[0xA434] = 400, "RF 50mm F1.2"
    photo[0x9003], photo[0x9011] = "2026:01:31 12:34:56", "+01:00"
    gps = result.get_ifd(0x8825)
    gps[1], gps[2] = "N", (Rational(48), Rational(51), Rational(30))
    gps[3], gps[4] = "W", (Rational(2), Rational(17), Rational(40))
    return result


def photo_with_exif(format_name: str = "jpeg") -> bytes:
    return encoded(photograph().resize((60, 40)), format_name, exif=exif())


def read_fields(data: bytes, *wanted: ExifField) -> dict[str, str]:
    return dict(render(data, [], Limits(), summary=False, exif=wanted or ALL).exif)


def expected_of(format_name: str) -> dict[str, str]:
    """The fields that Pillow writes: for AVIF without orientation, for TIFF only the main directory."""
    main = {"make", "model", "orientation", "software", "artist", "copyright", "description"}
    left_out = {"avif": {"orientation"}, "tiff": EXPECTED.keys() - main}.get(format_name, set())
    return {name: value for name, value in EXPECTED.items() if name not in left_out}


def entry(tag: int, kind: int, values: bytes, length: int | None = None) -> tuple[int, int, int, bytes]:
    """A field of an EXIF block; ``length`` may be false."""
    sizes = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}
    return tag, kind, len(values) // sizes.get(kind, 1) if length is None else length, values


def block(*entries: Any, photo: Any = (), gps: Any = (), order: str = "<") -> bytes:
    """An EXIF block with directories of these fields, also a valid start of a TIFF file."""
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    directories = [list(entries), list(photo), list(gps)]
    for tag, at in ((0x8769, 1), (0x8825, 2)):
        if directories[at]:
            directories[0].append((tag, 4, 1, at))
    starts, end = [], 8
    for directory in directories:
        starts.append(end)
        end += 6 + 12 * len(directory)
    heap = b""
    for directory in directories:
        body += struct.pack(order + "H", len(directory))
        for tag, kind, length, values in directory:
            if isinstance(values, int):
                values = struct.pack(order + "I", starts[values])  # noqa: PLW2901 - now its bytes
            if len(values) <= 4:
                held = values.ljust(4, b"\0")
            else:
                held = struct.pack(order + "I", end + len(heap))
                heap += values
            body += struct.pack(order + "HHI", tag, kind, length) + held
        body += struct.pack(order + "I", 0)
    return body + heap


def read(*entries: Any, **more: Any) -> dict[str, str]:
    return dict(read_exif(block(*entries, **more), "tiff", ALL))


def text_of(text: bytes, tag: int = 0x010E) -> str | None:
    return next(iter(read(entry(tag, 2, text)).values()), None)


def fractions(*numbers: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}{len(numbers)}I", *numbers)


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_field_can_be_read(format_name: str) -> None:
    assert read_fields(photo_with_exif(format_name)) == expected_of(format_name)


def test_every_field_of_a_tiff_can_be_read() -> None:
    short = [(256, 2), (257, 2), (258, 8), (259, 1), (262, 1)]
    grey = [entry(tag, 3, struct.pack("<H", value)) for tag, value in short]
    # The four pixels are the file's first bytes.
    strip = [entry(273, 4, fractions(0)), entry(278, 3, b"\2\0"), entry(279, 4, fractions(4))]
    photo = [entry(0x8827, 3, struct.pack("<H", 800))]
    gps = [entry(1, 2, b"N\0"), entry(2, 5, fractions(48, 1, 51, 1, 30, 1))]
    gps += [entry(3, 2, b"W\0"), entry(4, 5, fractions(2, 1, 17, 1, 40, 1))]
    data = block(*grey, entry(271, 2, b"Canon\0"), *strip, photo=photo, gps=gps)
    assert read_fields(data) == {"make": "Canon", "iso": "800", "gps": "48.858333,-2.294444"}
    assert read_fields(data, ExifField.MAKE, ExifField.ISO) == {"make": "Canon", "iso": "800"}


@pytest.mark.parametrize("field", ALL)
def test_only_requested_fields_are_returned(field: ExifField) -> None:
    assert read_fields(photo_with_exif(), field) == {field.value: EXPECTED[field]}


def test_nothing_is_read_unless_requested() -> None:
    assert render(photo_with_exif(), [], Limits()).exif == ()


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_position_is_only_read_if_requested(format_name: str) -> None:
    seen = read_fields(photo_with_exif(format_name), *(field for field in ALL if field is not ExifField.GPS))
    assert seen == {name: value for name, value in expected_of(format_name).items() if name != "gps"}
    assert not any("48" in value or "2.29" in value for value in seen.values())


def test_renditions_carry_no_exif() -> None:
    names = [parse(f"w=20,fm={name}") for name in ("jpeg", "png", "webp", "avif")]
    for rendition in render(photo_with_exif(), names, Limits(), exif=ALL).renditions:
        assert dict(opened(rendition.body).getexif()) == {}
        assert not any(sign in rendition.body for sign in (b"Exif", b"Canon", b"EOS"))


def test_exif_through_the_isolated_renderer() -> None:
    with IsolatedRenderer() as renderer:
        rendered = renderer.render(photo_with_exif(), [], Limits(), exif=(ExifField.ISO, ExifField.MAKE))
        assert rendered.exif == (("make", EXPECTED["make"]), ("iso", "400"))
        assert renderer.render(photo_with_exif(), [], Limits()).exif == ()


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_image_without_exif(format_name: str) -> None:
    seen = read_fields(encoded(photograph().resize((60, 40)), format_name))
    assert set(seen) <= {"orientation"}


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    photo = [entry(0x8827, 3, struct.pack(order + "H", 800)), entry(0x829A, 5, fractions(1, 60, order=order))]
    assert read(photo=photo, order=order) == {"exposure_time": "1/60", "iso": "800"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"plain\0", "plain"),
        (b"no end", "no end"),
        (b"cut\0off\0", "cut"),
        ("naïve 🐈\0".encode(), "naïve 🐈"),
        (b"caf\xe9\0", "café"),
        (b"  much \t\r\n space  \0", "much space"),
        (b"red \x1b[31m alert\x07\0", "red [31m alert"),
        ("left\u202eright\u2066\0".encode(), "left right"),
        (b"<script>\0", "<script>"),  # text is not escaped here
        (b"\0\0\0\0\0", None),
        (b" \x01\x02 \0", None),
        (b"x" * 3_000_000, "x" * MAX_CHARACTERS),
        ("é".encode() * 1_000_000, "é" * MAX_CHARACTERS),
        (b"a" + "🐈".encode() * 1000, "a" + "🐈" * (MAX_CHARACTERS - 1)),
    ],
)
def test_texts_are_one_printable_line(text: bytes, expected: str | None) -> None:
    assert text_of(text) == expected


def test_copyright_of_the_editor_only() -> None:
    assert text_of(b"Zoe\0Max\0", 0x8298) == "Zoe"
    assert text_of(b" \0Max\0", 0x8298) == "Max"


@pytest.mark.parametrize(
    ("time", "offset", "expected"),
    [
        (b"2026:01:31 12:34:56\0", b"-05:30\0", "2026-01-31T12:34:56-05:30"),
        (b"2026:01:31 12:34:56\0", b"   :  \0", "2026-01-31T12:34:56"),
        (b"2026:01:31 12:34:56\0", b"+99:00\0", "2026-01-31T12:34:56"),
        (b"2026:02:31 12:34:56\0", b"+01:00\0", None),
        (b"0000:00:00 00:00:00\0", b"+01:00\0", None),
        (b"    :  :     :  :  \0", b"+01:00\0", None),
        (b"yesterday\0", b"+01:00\0", None),
    ],
)
def test_invalid_times_are_left_out(time: bytes, offset: bytes, expected: str | None) -> None:
    assert read(photo=[entry(0x9003, 2, time), entry(0x9011, 2, offset)]).get("taken_at") == expected


@pytest.mark.parametrize(
    ("up", "down", "expected"),
    [
        (10, 2500, "1/250"),
        (1, 1, "1"),
        (30, 1, "30"),
        (25, 10, "2.5"),
        (4, 10, "0.4"),
        (0, 1, None),
        (1, 0, None),
        (0, 0, None),
        (2**32 - 1, 1, "4.29497e+09"),
    ],
)
def test_exposure_times(up: int, down: int, expected: str | None) -> None:
    assert read(photo=[entry(0x829A, 5, fractions(up, down))]).get("exposure_time") == expected


@pytest.mark.parametrize(
    ("latitude", "sign", "expected"),
    [
        ((48, 1, 51, 1, 30, 1), b"S\0", "-48.858333,2.294444"),
        ((48, 1, 5151, 100, 0, 1), b"N\0", "48.858500,2.294444"),
        ((91, 1, 0, 1, 0, 1), b"N\0", None),
        ((48, 1, 51, 0, 30, 1), b"N\0", None),
        ((48, 1, 51, 1), b"N\0", None),
        ((48, 1, 51, 1, 30, 1), b"X\0", None),
        ((48, 1, 51, 1, 30, 1), b"", None),
    ],
)
def test_positions(latitude: tuple[int, ...], sign: bytes, expected: str | None) -> None:
    longitude = [entry(3, 2, b"E\0"), entry(4, 5, fractions(2, 1, 17, 1, 40, 1))]
    gps = [entry(1, 2, sign), entry(2, 5, fractions(*latitude)), *longitude]
    assert read(gps=gps).get("gps") == expected


@pytest.mark.parametrize(
    "wrong",
    [
        entry(0x010F, 3, b"\1\0"),  # a number instead of a text
        entry(0x010F, 99, b"text"),  # an unknown type
        entry(0x010F, 2, b"too short", 2**31),  # beyond the end
        entry(0x010F, 2, b"", 0),
        entry(0x0112, 3, b"\x09\0"),  # an invalid orientation
        entry(0x0112, 2, b"6\0"),  # a text instead of a number
        (0x8769, 4, 1, struct.pack("<I", 2**32 - 1)),  # a directory beyond the end
        (0x8769, 2, 1, b"\x08"),
    ],
)
def test_invalid_values_are_left_out(wrong: Any) -> None:
    assert read(wrong, entry(0x0110, 2, b"EOS R5\0")) == {"model": "EOS R5"}


def test_circular_directories() -> None:
    assert read((0x8769, 4, 1, struct.pack("<I", 8)), entry(0x0110, 2, b"EOS R5\0")) == {"model": "EOS R5"}


def test_a_huge_directory_is_read_in_part() -> None:
    many = [entry(0x0110, 2, b"EOS\0"), *([entry(0xFFFF, 3, b"\0\0")] * 2000), entry(0x010F, 2, b"End\0")]
    assert read(*many) == {"model": "EOS"}


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"II*\0\x08\0\0\0" + tail))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    read_exif(data, "tiff", ALL)


@given(st.data())
def test_values_of_a_damaged_block_are_printable(data: st.DataObject) -> None:
    whole = bytearray(exif().tobytes()[6:])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(8, len(whole)))
    for name, value in read_exif(bytes(whole[:end]), "tiff", ALL):
        assert name in set(ExifField)
        assert 0 < len(value) <= MAX_CHARACTERS
        assert value.isprintable()
