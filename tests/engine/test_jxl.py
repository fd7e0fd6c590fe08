"""JPEG XL: the header is checked before decoding, and the image is decoded correctly."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pillow_jxl
import pytest
from drawing import corners, encoded, flat, mean_difference, near, opened, photograph, picture_of, pixel_at
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image
from test_colour import DISPLAY_P3

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS, sniff
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs import jxl as jxl_module
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.registry import CODECS
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

WANTED = [parse("w=20,fm=png")]
PICTURE = photograph().resize((300, 200))
FADING = PICTURE.copy()
FADING.putalpha(Image.linear_gradient("L").resize(PICTURE.size))


def jxl(picture: Image.Image = PICTURE, **options: Any) -> bytes:
    return encoded(picture, "JXL", **({"lossless": True, "effort": 1} | options))


def packed(tmp_path: Path, picture: Image.Image, **options: Any) -> bytes:
    """A JPEG, packed losslessly into a JPEG XL."""
    path = tmp_path / "original.jpg"
    picture.save(path, quality=95, subsampling=0, **options)
    body = io.BytesIO()
    with Image.open(path) as jpeg:
        jpeg.save(body, "JXL", lossless_jpeg=True, **options)
    return body.getvalue()


def bits(*fields: tuple[int, int]) -> bytes:
    """A codestream that begins with these (number, bits) pairs, lowest bit first."""
    number, at = 0, 0
    for value, count in fields:
        number |= value << at
        at += count
    return b"\xff\x0a" + number.to_bytes(at // 8 + 40, "little")


def refusal_of(data: bytes, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as refusal:
        render(data, WANTED, limits or Limits())
    return refusal.value


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [(jxl(), 0), (jxl(use_container=True), 0), (jxl(lossless=False, quality=90), 4)],
    ids=["codestream", "container", "lossy"],
)
def test_a_jxl_is_decoded(data: bytes, tolerance: float) -> None:
    assert sniff(data[:256]) is FORMATS["jxl"]
    header = probe(data, Limits())
    assert (header.width, header.height, header.format, header.alpha) == (300, 200, "jxl", False)
    assert mean_difference(picture_of(data, "fm=png"), PICTURE) <= tolerance


@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (512, 256), (257, 3), (120, 100), (400, 300), (160, 90), (1, 700), (1023, 9)]
)
def test_every_coding_of_a_size_is_read(size: tuple[int, int]) -> None:
    header = probe(jxl(flat("red", size=size)), Limits())
    assert (header.width, header.height) == size


def test_sizes_of_many_bits_are_read() -> None:
    assert (
        jxl_module.read_layout(bits((0, 1), (3, 2), (69_999, 30), (0, 3), (2, 2), (39_999, 18))).width
        == 40_000
    )
    assert jxl_module.read_layout(bits((1, 1), (31, 5), (7, 3))).width == 512, "twice the height of 256"


def test_grey_and_alpha_are_kept() -> None:
    assert (
        mean_difference(picture_of(jxl(PICTURE.convert("L")), "fm=png"), PICTURE.convert("L").convert("RGB"))
        == 0
    )
    assert probe(jxl(FADING), Limits()).alpha
    assert mean_difference(picture_of(jxl(FADING), "fm=png"), FADING) == 0


def test_sixteen_bits_of_grey_become_eight() -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8))
    data = jxl(deep)
    profile = bytes(pillow_jxl.Decoder(num_threads=0)(data)[3])  # the encoder assumes such samples are linear
    expected = picture_of(encoded(deep, "png", icc_profile=profile), "fm=png")
    assert mean_difference(picture_of(data, "fm=png"), expected) == 0


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_packed_jpeg_is_decoded_upright(orientation: int, tmp_path: Path) -> None:
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    picture = corners(96, 64)
    stored = picture.transpose(back[orientation]) if orientation in back else picture
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = packed(tmp_path, stored, exif=tags.tobytes())
    assert b"jbrd" in data
    assert (probe(data, Limits()).width, probe(data, Limits()).height) == picture.size
    rendition = picture_of(data, "fm=png")
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        assert near(pixel_at(rendition, x, y), pixel_at(picture, x, y), 6)


def test_the_profile_of_a_packed_jpeg_is_applied(tmp_path: Path) -> None:
    orange = (200, 100, 50)
    data = packed(tmp_path, flat(orange), icc_profile=DISPLAY_P3)
    expected = pixel_at(picture_of(encoded(flat(orange), icc_profile=DISPLAY_P3), "fm=png"), 0.5, 0.5)
    assert near(pixel_at(picture_of(data, "fm=png"), 0.5, 0.5), expected, 3)
    assert picture_of(data, "fm=png", icc=IccPolicy.PRESERVE).info["icc_profile"] == DISPLAY_P3


def test_a_packed_jpeg_of_too_many_scans_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(tmp_path, PICTURE)
    monkeypatch.setattr(jxl_module, "_MAX_SCANS", 0)
    assert refusal_of(data).reason is Reason.UNSUPPORTED_FORMAT


def test_the_decoder_profile_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """No available encoder writes a profile other than sRGB into a native codestream."""
    orange = (200, 100, 50)

    class Wide:
        def __init__(self, **_: int) -> None:
            pass

        def __call__(self, _: bytes) -> tuple[Any, ...]:
            found = SimpleNamespace(width=300, height=200, mode="RGB")
            return False, found, bytes(orange) * 60_000, DISPLAY_P3, []

    monkeypatch.setattr(pillow_jxl, "Decoder", Wide)
    expected = pixel_at(picture_of(encoded(flat(orange), icc_profile=DISPLAY_P3), "fm=png"), 0.5, 0.5)
    assert near(pixel_at(picture_of(jxl(), "fm=png"), 0.5, 0.5), expected, 1)


def test_limits_are_checked_against_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setitem(CODECS, "jxl", replace(CODECS["jxl"], open=never))
    assert refusal_of(jxl(), Limits(max_pixels=59_999)).reason is Reason.TOO_MANY_PIXELS
    huge = bits((0, 1), (3, 2), (999_999, 30), (1, 3), (1, 1))
    assert refusal_of(huge).reason is Reason.TOO_MANY_PIXELS
    assert "MiB of memory" in refusal_of(bits((0, 1), (1, 2), (4_999, 13), (1, 3), (1, 1))).message
    assert probe(bits((0, 1), (1, 2), (2_999, 13), (3, 3), (1, 1)), Limits()).width == 4_000


def test_an_animation_is_refused_by_name() -> None:
    frames = bits((1, 1), (3, 5), (1, 3), (0, 1), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1))
    refused = refusal_of(frames)
    assert refused.reason is Reason.UNSUPPORTED_FORMAT
    assert "animation" in refused.message


def test_a_truncated_file_is_refused() -> None:
    whole = jxl(use_container=True)
    for end in range(16, len(whole), len(whole) // 30):
        assert jxl_module.is_truncated(whole[:end])
        assert refusal_of(whole[:end]).reason is Reason.TRUNCATED
    bare = jxl()
    assert refusal_of(bare[:3]).reason is Reason.TRUNCATED
    # libjxl's package does not distinguish truncation from corruption, but refuses both.
    for end in range(20, len(bare), len(bare) // 30):
        assert refusal_of(bare[:end]).reason in {Reason.CORRUPT, Reason.TRUNCATED}


def test_a_container_without_a_codestream_is_corrupt() -> None:
    whole = jxl(use_container=True)
    assert refusal_of(whole.replace(b"jxlc", b"free").replace(b"jxlp", b"free")).reason is Reason.CORRUPT


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refused = refusal_of(jxl())
    assert refused.reason is Reason.UNSUPPORTED_FORMAT
    assert refused.message.endswith("got JPEG XL: to read it, install image-processor[jxl]")


def test_the_isolated_renderer_reads_the_format() -> None:
    with IsolatedRenderer() as renderer:
        rendered = renderer.render(jxl(), [parse("w=60,fm=jpeg")], Limits())
    assert rendered.original.format == "jxl"
    assert opened(rendered.renditions[0].body).size == (60, 40)


SMALL = jxl(PICTURE.resize((24, 16)))


@settings(max_examples=50)
@given(st.binary(max_size=60), st.integers(0, len(SMALL)))
def test_any_bytes_are_rendered_or_refused(noise: bytes, at: int) -> None:
    data = bytearray(SMALL)
    data[at : at + len(noise)] = noise
    try:
        render(bytes(data), WANTED, Limits(max_pixels=100_000))
    except Refused:
        return
