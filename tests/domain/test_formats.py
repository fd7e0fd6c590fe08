"""The table of formats compared with mimetypes and Pillow, and the detection of formats."""

from __future__ import annotations

import io
import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from image_processor.domain.errors import FIXES, Reason
from image_processor.domain.formats import FORMATS, READABLE_TITLES, WRITABLE, Format, describe_foreign, sniff

HEAD_BYTES = 256


def drawn(format_: str, mode: str = "RGB", **options: object) -> bytes:
    """A small picture, encoded by Pillow."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((8, 6)).convert(mode).save(out, format_, **options)
    return out.getvalue()


def unsupported_head(name: str) -> bytes:
    """The first bytes of ``name``, from Pillow if it can write it, else made by hand."""
    hand_made = {
        "PDF": b"%PDF-1.7\n",
        "PostScript": b"%!PS-Adobe-3.0\n",
        "Photoshop": b"8BPS\0\1",
        "OpenEXR": b"\x76\x2f\x31\x01\2\0\0\0",
        "Radiance HDR": b"#?RADIANCE\n",
        "ZIP": b"PK\3\4\x14\0",
        "gzip": b"\x1f\x8b\x08\0",
        "Matroska": b"\x1aE\xdf\xa3\x01",
        "MP4": b"\0\0\0\x18ftypisom\0\0\2\0isommp41",
        "BMP": drawn("BMP"),
        "ICO": drawn("ICO"),
        "JPEG 2000": drawn("JPEG2000") if features.check("jpg_2000") else b"\0\0\0\x0cjP  \r\n\x87\n",
    }
    return hand_made[name][:HEAD_BYTES]


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("jpeg", drawn("JPEG")),
        ("jpeg", drawn("JPEG", "CMYK")),
        ("jpeg", drawn("JPEG", progressive=True, exif=Image.Exif())),
        ("png", drawn("PNG")),
        ("png", drawn("PNG", "P")),
        ("webp", drawn("WEBP")),
        ("webp", drawn("WEBP", "RGBA", lossless=True)),
        ("avif", drawn("AVIF")),
        ("avif", drawn("AVIF", save_all=True, append_images=[Image.new("RGB", (8, 6))])),
        ("gif", drawn("GIF", "P")),
        ("tiff", drawn("TIFF")),
        ("tiff", drawn("TIFF", big_tiff=True)),
        ("tiff", b"MM\0*\0\0\0\x08"),
        ("tiff", b"MM\0+\0\x08\0\0"),
        ("gif", b"GIF87a"),
        ("avif", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("heic", b"\0\0\0\x18ftypmif1\0\0\0\0heixmiaf"),
        ("svg", b'<svg xmlns="x"/>'),
        ("svg", b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<SVG/>'),
        ("svg", b"<!-- made by hand --><!DOCTYPE svg><svg/>"),
        ("jxl", b"\xff\x0a\xfa\x1f"),
        ("jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("avif", b"\0\0\0\x18ftypavis\0\0\0\0msf1miaf"),
    ],
)
def test_real_files_are_recognised_by_their_first_bytes(name: str, encoded: bytes) -> None:
    assert sniff(encoded[:HEAD_BYTES]) is FORMATS[name]
    assert sniff(encoded) is FORMATS[name]


@pytest.mark.parametrize(
    "name",
    [
        "BMP", "ICO", "JPEG 2000", "MP4", "Matroska", "OpenEXR", "PDF", "Photoshop",
        "PostScript", "Radiance HDR", "ZIP", "gzip",
    ],
)  # fmt: skip
def test_a_known_unsupported_format_is_named(name: str) -> None:
    assert sniff(unsupported_head(name)) is None
    assert describe_foreign(unsupported_head(name)) == name


@pytest.mark.parametrize("head", [b"", b"hello", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"\x89PNG\n\n", b"GIF88a"])
def test_unknown_bytes_have_no_format(head: bytes) -> None:
    assert sniff(head) is None
    assert describe_foreign(head) is None


_FTYP = st.builds(
    lambda size, brands: size.to_bytes(4, "big") + b"ftyp" + brands,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=80),
)


@given(st.binary(max_size=300) | _FTYP)
def test_sniffing_never_crashes(head: bytes) -> None:
    found = sniff(head)
    assert found is None or FORMATS[found.name] is found
    title = describe_foreign(head)
    assert title is None or title.strip()


def test_a_brand_outside_the_brand_list_is_ignored() -> None:
    """An MP4 whose following box happens to say avif is still no AVIF."""
    head = b"\0\0\0\x14ftypisom\0\0\0\0mp41" + b"avifavif"
    assert sniff(head) is None


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_the_table_agrees_with_mimetypes_and_pillow(format_: Format) -> None:
    known = mimetypes.guess_type(f"a.{format_.extension}")[0]
    assert known in {format_.media_type, None}  # Python 3.11 does not know AVIF yet
    if format_.always_read:  # Pillow knows the others by their packages alone
        Image.init()
        assert Image.registered_extensions()[f".{format_.extension}"] == format_.name.upper()
        assert Image.MIME[format_.name.upper()] == format_.media_type


def test_every_row_is_unique() -> None:
    rows = tuple(FORMATS.values())
    for column in ("name", "title", "extension"):
        assert len({getattr(row, column) for row in rows}) == len(rows)
    types = [row.media_type for row in rows if row.read_as is None]
    assert len(set(types)) == len(types)
    assert all(row.quality is None or 1 <= row.quality <= 100 for row in rows)


def test_error_messages_name_every_readable_format() -> None:
    assert READABLE_TITLES == "JPEG, PNG, WebP, AVIF, GIF or TIFF"
    assert [entry.title.lower() for entry in FORMATS.values() if entry.always_read] == [
        name for name in WRITABLE if FORMATS[name].read_as is None
    ]
    assert set(FORMATS) - set(WRITABLE) == {"heic", "jxl", "svg"}


@pytest.mark.parametrize("reason", [Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT])
def test_fixes_name_every_readable_format(reason: Reason) -> None:
    assert READABLE_TITLES in FIXES[reason]
