"""HEIC: photos from phones are decoded upright, in the right colours, within limits."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
from drawing import (
    OnFirstUse,
    corners,
    encoded,
    flat,
    made,
    mean_difference,
    near,
    opened,
    photograph,
    picture_of,
    pixel_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image
from test_colour import DISPLAY_P3

from image_processor.domain.errors import FIXES, Reason, Refused
from image_processor.domain.formats import FORMATS, sniff
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.registry import CODECS
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

WANTED = [parse("w=20,fm=png")]
PICTURE = photograph().resize((300, 200))


def heic(picture: Image.Image = PICTURE, **options: Any) -> bytes:
    options = {"quality": 90, "chroma": 444} | options
    return encoded(picture, "heic", **options)


def deep(picture: Image.Image) -> bytes:
    """The image with 10 bits a sample, as in newer phones."""
    samples = np.asarray(picture).astype(np.uint16) * 257
    mode = "RGBA;16" if picture.mode == "RGBA" else "RGB;16"
    body = io.BytesIO()
    pillow_heif.from_bytes(mode=mode, size=picture.size, data=samples.tobytes()).save(body, quality=90)
    return body.getvalue()


def turned(picture: Image.Image, orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return heic(picture, exif=tags.tobytes())


def refusal_of(data: bytes, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as refusal:
        render(data, WANTED, limits or Limits())
    assert "heif" not in str(refusal.value).lower()
    return refusal.value


ORIGINALS = OnFirstUse(
    {
        "plain": heic,
        "subsampled": lambda: heic(chroma=420),
        "grid": lambda: heic(tile_size=64),
        "10 bits": lambda: deep(PICTURE),
        "small": lambda: heic(PICTURE.resize((24, 16))),
    }
)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("plain", 3), ("subsampled", 4), ("grid", 4), ("10 bits", 3)]
)
def test_a_heic_is_decoded(name: str, tolerance: float) -> None:
    data = ORIGINALS[name]
    assert sniff(data[:256]) is FORMATS["heic"]
    header = probe(data, Limits())
    assert (header.width, header.height, header.format) == (300, 200, "heic")
    assert (header.frames, header.orientation, header.alpha) == (1, 1, False)
    assert mean_difference(picture_of(data, "fm=png"), PICTURE) < tolerance


def test_the_grid_original_has_tiles() -> None:
    assert pillow_heif.open_heif(ORIGINALS["grid"]).info["tiling"]["num_columns"] == 5


def test_grey_stays_grey() -> None:
    rendition = picture_of(heic(PICTURE.convert("L")), "fm=png").convert("RGB")
    assert mean_difference(rendition, PICTURE.convert("L").convert("RGB")) < 3


@pytest.mark.parametrize("as_heic", [heic, deep])
def test_alpha_is_kept(as_heic: Any) -> None:
    fading = PICTURE.copy()
    fading.putalpha(Image.linear_gradient("L").resize(PICTURE.size))
    data = as_heic(fading)
    assert probe(data, Limits()).alpha
    rendition = picture_of(data, "fm=png")
    assert mean_difference(rendition.getchannel("A"), fading.getchannel("A")) < 3
    assert pixel_at(picture_of(data, "fm=jpeg,bg=00ff00"), 0.5, 0.01)[1] > 230


@pytest.mark.parametrize("orientation", range(1, 9))
def test_container_rotation_is_applied_once(orientation: int) -> None:
    """irot and imir apply; EXIF's orientation, which repeats them, must not be applied again."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's names of the inverse operations
    picture = corners()
    stored = picture if orientation == 1 else picture.transpose(Image.Transpose(back[orientation]))
    rendition = picture_of(turned(stored, orientation), "fm=png")
    assert rendition.size == picture.size
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        assert near(pixel_at(rendition, x, y), pixel_at(picture, x, y), 12)


def test_a_display_p3_profile_is_applied_or_kept() -> None:
    orange = (200, 100, 50)
    wide = heic(flat(orange), icc_profile=DISPLAY_P3)
    expected = pixel_at(picture_of(encoded(flat(orange), icc_profile=DISPLAY_P3), "fm=png"), 0.5, 0.5)
    assert not near(expected, orange, 5)
    assert near(pixel_at(picture_of(wide, "fm=png"), 0.5, 0.5), expected, 3)
    kept = picture_of(wide, "fm=png", icc=IccPolicy.PRESERVE)
    assert kept.info["icc_profile"] == DISPLAY_P3
    assert near(pixel_at(kept, 0.5, 0.5), orange, 3)


def test_nclx_colours_are_applied() -> None:
    orange = (200, 100, 50)
    numbered = heic(flat(orange), color_primaries=12, transfer_characteristics=13)
    expected = pixel_at(picture_of(encoded(flat(orange), icc_profile=DISPLAY_P3), "fm=png"), 0.5, 0.5)
    assert near(pixel_at(picture_of(numbered, "fm=png"), 0.5, 0.5), expected, 3)
    plain = heic(flat(orange), color_primaries=1, transfer_characteristics=13)
    assert near(pixel_at(picture_of(plain, "fm=png"), 0.5, 0.5), orange, 3)


@pytest.mark.parametrize("primary", [0, 1])
def test_only_the_primary_image_is_decoded(primary: int) -> None:
    file = pillow_heif.from_pillow(flat("red", size=(40, 40)))
    file.add_from_pillow(flat("blue", size=(64, 32)))
    body = io.BytesIO()
    file.save(body, primary_index=primary, quality=90)
    rendition = picture_of(body.getvalue(), "fm=png")
    assert rendition.size == ((40, 40), (64, 32))[primary]
    assert near(pixel_at(rendition, 0.5, 0.5), ((255, 0, 0), (0, 0, 255))[primary], 6)


def test_no_metadata_comes_out() -> None:
    tags = Image.Exif()
    tags[0x010E] = "Falkenstrasse 17"
    data = heic(exif=tags.tobytes(), xmp=b"<x>Falkenstrasse 17</x>")
    assert data.count(b"Falkenstrasse 17") == 2
    assert b"Falkenstrasse" not in made(data, "w=50,fm=jpeg").body


@pytest.mark.parametrize("name", ["plain", "grid", "10 bits"])
def test_a_truncated_file_is_refused_before_decoding(name: str) -> None:
    data = ORIGINALS[name]
    for end in range(16, len(data), len(data) // 50):
        with pytest.raises(Refused) as refusal:
            probe(data[:end], Limits())
        assert refusal.value.reason is Reason.TRUNCATED
    assert refusal_of(data[:-1]).reason is Reason.TRUNCATED


def claiming(width: int, height: int) -> bytes:
    """A HEIC whose container claims this size (ISO/IEC 14496-12, 12.1.4: the box ispe)."""
    whole = heic(flat("red", size=(64, 64)))
    assert whole.count(b"ispe") == 1
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", width, height) + whole[at + 8 :]


def test_limits_are_checked_against_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setitem(CODECS, "heic", replace(CODECS["heic"], open=never))
    assert refusal_of(heic(), Limits(max_pixels=59_999)).reason is Reason.TOO_MANY_PIXELS
    assert refusal_of(claiming(20_000, 20_000)).reason is Reason.TOO_MANY_PIXELS
    assert "MiB of memory" in refusal_of(claiming(9_900, 9_900)).message
    assert probe(claiming(8_064, 6_048), Limits()).width == 8_064, "48 megapixels, as phones take them"


def test_a_header_without_pixels_is_corrupt() -> None:
    assert refusal_of(claiming(0, 64)).reason is Reason.CORRUPT


@pytest.mark.parametrize(("box", "other"), [(b"pitm", b"free"), (b"hvcC", b"\0vcC")])
def test_a_file_without_its_primary_image_is_corrupt(box: bytes, other: bytes) -> None:
    assert refusal_of(ORIGINALS["small"].replace(box, other, 1)).reason is Reason.CORRUPT


def test_a_false_size_in_the_header_is_refused() -> None:
    assert refusal_of(claiming(90, 70)).reason in {Reason.CORRUPT, Reason.TRUNCATED}


def test_another_codec_in_the_same_container_is_named() -> None:
    data = encoded(PICTURE, "avif").replace(b"avif", b"mif1", 1).replace(b"avif", b"mif1", 1)
    assert sniff(data[:256]) is FORMATS["heic"]
    assert refusal_of(data).reason is Reason.UNSUPPORTED_FORMAT


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refused = refusal_of(heic())
    assert refused.reason is Reason.UNSUPPORTED_FORMAT
    assert refused.message == (
        "expected JPEG, PNG, WebP, AVIF, GIF or TIFF, got HEIC: to read it, install image-processor[heic]"
    )
    assert "HEIC" in FIXES[Reason.UNSUPPORTED_FORMAT]


def test_the_isolated_renderer_reads_the_format() -> None:
    with IsolatedRenderer() as renderer:
        rendered = renderer.render(heic(), [parse("w=60,fm=jpeg")], Limits())
    assert rendered.original.format == "heic"
    assert rendered.summary is not None
    assert opened(rendered.renditions[0].body).size == (60, 40)


@settings(max_examples=50)
@given(st.binary(max_size=60), st.data())
def test_any_bytes_are_rendered_or_refused(noise: bytes, drawn: st.DataObject) -> None:
    data = bytearray(ORIGINALS["small"])
    at = drawn.draw(st.integers(0, len(data)))
    data[at : at + len(noise)] = noise
    try:
        render(bytes(data), WANTED, Limits(max_pixels=100_000))
    except Refused:
        return
