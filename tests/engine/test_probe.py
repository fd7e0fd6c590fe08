"""Refusals before decoding, and their reasons."""

from __future__ import annotations

import io
import struct

import pytest
from drawing import READABLE, animated, encoded, flat, photograph
from hypothesis import given
from hypothesis import strategies as st

from hostile.bombs import avif_header, gif_of, interlaced, jpeg_header, jpeg_of, png_header, webp_header
from image_processor.domain.errors import FIXES, Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine import pyramid
from image_processor.engine.codecs.heif_items import is_truncated
from image_processor.engine.codecs.jpeg import buffered_coefficients, count_scans
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.registry import CODECS
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

WANTED = [parse("w=20,fm=png")]


def reason_of(data: bytes, limits: Limits | None = None) -> Reason:
    with pytest.raises(Refused) as refusal:
        render(data, WANTED, limits or Limits())
    # libvips' own text, which may quote the file, is not passed on.
    assert "vips" not in str(refusal.value).lower()
    return refusal.value.reason


def small(format_name: str) -> bytes:
    """A small picture, whose last bytes are of pixels: a PNG without its last chunk, IEND, is accepted."""
    data = encoded(photograph().resize((60, 40)), format_name)
    return data.removesuffix(_IEND)


_IEND = b"\0\0\0\0IEND\xae\x42\x60\x82"


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes any decoding fail the test."""

    def never(*_: object) -> None:
        pytest.fail("a frame was decoded")

    monkeypatch.setattr(pyramid, "frames_of", never)


@pytest.mark.usefixtures("undecoded")
class TestBeforeDecoding:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", Reason.EMPTY),
            (b"\0", Reason.NOT_AN_IMAGE),
            (b"hello, world", Reason.NOT_AN_IMAGE),
            (b"1,2,3\n4,5,6\n", Reason.NOT_AN_IMAGE),
            (b"2 1\n3 4\n", Reason.NOT_AN_IMAGE),
            (b"%PDF-1.7\n", Reason.UNSUPPORTED_FORMAT),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT),
            (b"BM" + bytes(60), Reason.UNSUPPORTED_FORMAT),
            (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", Reason.UNSUPPORTED_FORMAT),
            (png_header(60_000, 60_000), Reason.TOO_MANY_PIXELS),
            (gif_of(1, 65_535, 65_535), Reason.TOO_MANY_PIXELS),
            (gif_of(400, 600, 600), Reason.TOO_MANY_PIXELS),
            (gif_of(501, 1, 1), Reason.TOO_MANY_FRAMES),
            (gif_of(10_000, 1, 1), Reason.TOO_MANY_FRAMES),
            (jpeg_of(101, 16), Reason.TOO_MANY_SCANS),
            (jpeg_of(2, 20_000), Reason.TOO_MANY_PIXELS),
        ],
    )
    def test_every_reason_of_refusal(self, data: bytes, reason: Reason) -> None:
        assert reason_of(data) is reason

    def test_too_many_bytes(self) -> None:
        data = encoded(flat("red"))
        assert reason_of(data, Limits(max_bytes=len(data) - 1)) is Reason.TOO_MANY_BYTES

    def test_limits_are_inclusive(self) -> None:
        data = gif_of(5, 10, 10)
        exact = Limits(max_bytes=len(data), max_pixels=500, max_frames=5)
        assert probe(data, exact).frames == 5
        assert reason_of(data, Limits(max_pixels=499)) is Reason.TOO_MANY_PIXELS
        assert reason_of(data, Limits(max_frames=4)) is Reason.TOO_MANY_FRAMES
        assert reason_of(jpeg_of(9, 16), Limits(max_scans=8)) is Reason.TOO_MANY_SCANS

    @pytest.mark.parametrize("format_name", ["png", "webp", "avif", "gif"])
    def test_truncation_is_found_in_the_structure(self, format_name: str) -> None:
        data = small(format_name)
        for end in range(16, len(data), max(1, len(data) // 200)):
            assert reason_of(data[:end]) is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("marker", "sampling", "held"),
    [
        (0xC2, (0x11,), 10_000),
        (0xC2, (0x22, 0x11, 0x11), 15_000),
        (0xC2, (0x21, 0x11, 0x11), 20_000),
        (0xC2, (0x11, 0x11, 0x11), 30_000),
        (0xCA, (0x11, 0x11, 0x11, 0x11), 40_000),
        (0xC0, (0x11, 0x11, 0x11), 0),
    ],
)
def test_buffered_coefficients_of_a_progressive_jpeg(
    marker: int, sampling: tuple[int, ...], held: int
) -> None:
    assert buffered_coefficients(jpeg_header(marker, 100, sampling)) == held


def test_buffered_coefficients_of_a_sequential_jpeg() -> None:
    data = jpeg_header(0xC0, 100, (0x11, 0x11))
    before, _, _ = data.partition(b"\xff\xda")
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([index]) + b"\0\0\x3f\0" for index in range(2))
    assert buffered_coefficients(before + scans + b"\xff\xd9") == 20_000


@given(st.binary(max_size=60))
def test_any_jpeg_header_is_parsed(noise: bytes) -> None:
    assert buffered_coefficients(b"\xff\xd8\xff\xc2\0\x11" + noise) >= 0


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize(
    ("data", "mebibytes"),
    [
        (interlaced(9990, depth=16), 962),
        (jpeg_header(0xC2, 9_990, (0x11, 0x11, 0x11)), 705),
        (gif_of(1, 9_990, 9_990), 620),
        (webp_header(16_000, 6_000), 907),
        (avif_header(6_000), 701),
        (png_header(100_000, 2), 563),
        (png_header(50_000_000, 2), 286_094),
    ],
    ids=["png", "jpeg", "gif", "webp", "avif", "wide", "wider"],
)
def test_memory_is_estimated_before_decoding(data: bytes, mebibytes: int) -> None:
    said = f"at most 512 MiB .* .IMAGE_PROCESSOR_MAX_MEMORY., got a [a-z]+ that takes {mebibytes} MiB"
    with pytest.raises(Refused, match=said) as refusal:
        render(data, WANTED, Limits())
    assert refusal.value.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "data",
    [
        interlaced(9_990),
        png_header(9_990, 9_990),
        jpeg_of(2, 9_990),
        gif_of(2, 7_000, 7_000),
        webp_header(7_000, 7_000),
        avif_header(5_000),
    ],
    ids=["interlaced", "png", "jpeg", "gif", "webp", "avif"],
)
def test_images_within_the_memory_limit_are_accepted(data: bytes) -> None:
    assert probe(data, Limits()).width >= 5_000


def test_a_refusal_names_the_format() -> None:
    with pytest.raises(Refused, match="expected JPEG, PNG, WebP, AVIF, GIF or TIFF, got PDF"):
        probe(b"%PDF-1.7\n", Limits())


def test_a_file_within_the_limits_is_decoded() -> None:
    limits = Limits(max_scans=100)
    assert render(jpeg_of(100, 16), WANTED, limits).original.width == 16


@pytest.mark.parametrize("format_name", READABLE)
@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_file_is_refused_in_every_format(format_name: str, part: float) -> None:
    data = encoded(photograph(), format_name)
    assert reason_of(data[: int(part * len(data))]) is Reason.TRUNCATED


@pytest.mark.parametrize("format_name", READABLE)
def test_the_smallest_truncation_is_noticed(format_name: str) -> None:
    assert reason_of(small(format_name)[:-4]) in {Reason.TRUNCATED, Reason.CORRUPT}


@pytest.mark.parametrize("format_name", ["gif", "webp"])
def test_a_truncated_animation_is_refused(format_name: str) -> None:
    frames = [photograph().resize((60, 40)).rotate(10 * turn) for turn in range(6)]
    data = animated(frames, format_name, [50] * 6)
    for part in (0.5, 0.8, 0.97):
        assert reason_of(data[: int(part * len(data))]) is Reason.TRUNCATED


@pytest.mark.parametrize("format_name", ["png", "avif"])
def test_wrong_bytes_in_the_middle_are_corrupt(format_name: str) -> None:
    data = bytearray(encoded(photograph(), format_name))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    assert reason_of(bytes(data)) is Reason.CORRUPT


def test_a_header_without_an_image_is_corrupt() -> None:
    assert reason_of(b"\xff\xd8\xff\xe0" + bytes(40)) in {Reason.CORRUPT, Reason.TRUNCATED}
    assert reason_of(png_header(0, 0)) is Reason.CORRUPT


@given(st.sampled_from(READABLE), st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_rendered_or_refused(format_name: str, noise: bytes, at: int) -> None:
    data = bytearray(SMALL[format_name])
    data[at : at + len(noise)] = noise
    try:
        render(bytes(data), WANTED, Limits(max_pixels=100_000))
    except Refused:
        return


SMALL = {name: encoded(photograph().resize((24, 16)), name) for name in READABLE}


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name not in {"svg", "apng", "avifs"}])
def test_trailing_bytes_are_accepted(format_name: str) -> None:
    data = encoded(photograph().resize((24, 16)), format_name)
    trailer = b"\0\0\0\x10free12345678" if format_name in {"avif", "heic", "jxl"} else b"trailing bytes"
    assert probe(data + trailer, Limits()).width == 24
    assert not CODECS[format_name].is_truncated(data, 0)


def test_boxes_with_every_coding_of_their_size() -> None:
    """ISO/IEC 14496-12, 4.2: 32 bits, 64 bits, or to the end of the file."""
    small = struct.pack(">I4s", 16, b"ftyp") + bytes(8)
    large = struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8)
    open_ended = struct.pack(">I4s", 0, b"mdat") + bytes(8)
    for whole in (small, large, small + large, large + small):
        assert not is_truncated(whole)
        assert is_truncated(whole[:-1])
        assert not is_truncated(whole + open_ended[:9])


def test_scans_are_counted_as_libjpeg_counts_them() -> None:
    assert count_scans(encoded(photograph(), "jpeg")) == 1
    assert count_scans(encoded(photograph(), "progressive")) == 10
    assert count_scans(encoded(photograph().convert("L"), "progressive")) == 6
    assert count_scans(jpeg_of(77, 16)) == 77


def test_marker_bytes_in_other_segments_are_not_counted() -> None:
    thumbnail = encoded(photograph().resize((60, 40)), "progressive")
    data = encoded(photograph(), "progressive", exif=b"Exif\0\0" + thumbnail[:60_000])
    assert data.count(b"\xff\xda") > 10
    assert count_scans(data + b"\xff\xda" * 500) == 10
    assert probe(data + b"\xff\xda" * 500, Limits()).width == photograph().width


@pytest.mark.parametrize("format_name", READABLE)
def test_the_header_is_right(format_name: str) -> None:
    header = probe(encoded(photograph(), format_name), Limits())
    name = "jpeg" if format_name == "progressive" else format_name
    assert (header.width, header.height, header.format) == (*photograph().size, name)
    assert (header.frames, header.orientation, header.alpha, header.delays) == (1, 1, False, ())


def test_the_header_sees_alpha() -> None:
    for format_name in ("png", "webp", "avif", "tiff"):
        assert probe(encoded(flat((1, 2, 3, 4), "RGBA"), format_name), Limits()).alpha
    body = io.BytesIO()
    flat((1, 2, 3)).quantize(2).save(body, "png", transparency=0)
    assert probe(body.getvalue(), Limits()).alpha


def test_a_raised_limit_of_memory_is_enough() -> None:
    """The header's estimate, and the limit of the child that decodes."""
    data = encoded(photograph().resize((1000, 1000)), "avif", speed=10)
    with IsolatedRenderer() as renderer:
        with pytest.raises(Refused) as refusal:
            renderer.render(data, WANTED, Limits(max_memory=60 * 2**20))
        assert refusal.value.reason is Reason.TOO_MANY_PIXELS
        assert "IMAGE_PROCESSOR_MAX_MEMORY" in FIXES[refusal.value.reason]
        assert renderer.render(data, WANTED, Limits(max_memory=80 * 2**20)).original.width == 1000
