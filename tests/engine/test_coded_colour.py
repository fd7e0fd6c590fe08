"""Colour spaces told by numbers: CICP in AVIF, HEIC and PNG, gAMA and cHRM in PNG; high dynamic range.

The oracles are LittleCMS with a profile of the same space, and the formulas of the standards.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from drawing import encoded, flat, made, mean_difference, near, opened, photograph, picture_of, pixel_at
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_colour import DISPLAY_P3, converted, matrix_profile

from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.cicp import BT709, PRIMARIES, Primaries, rgb_profile
from image_processor.engine.render import render

PHOTO = photograph().resize((120, 80))
P3, BT2020, SRGB_CURVE, BT709_CURVE, GAMMA_22, LINEAR, PQ, HLG = 12, 9, 13, 1, 4, 8, 16, 18
GREY = (0, 60, 128, 200, 255)


def png(picture: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """With more chunks behind IHDR."""
    data = encoded(picture, "png")
    more = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return data[:33] + more + data[33:]


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def chrm(primaries: Primaries) -> tuple[bytes, bytes]:
    sides = (primaries.white, primaries.red, primaries.green, primaries.blue)
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for side in sides for value in side))


def avif(picture: Image.Image, primaries: int, transfer: int, **options: Any) -> bytes:
    data = bytearray(encoded(picture, "avif", quality=100, subsampling="4:4:4", **options))
    at = data.index(b"nclx")
    data[at + 4 : at + 8] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def heic(picture: Image.Image, primaries: int, transfer: int) -> bytes:
    body = io.BytesIO()
    numbers = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}
    pillow_heif.from_pillow(picture).save(body, quality=100, chroma=444, full_range_flag=1, **numbers)
    return body.getvalue()


def coded(name: str, picture: Image.Image, primaries: int, transfer: int) -> bytes:
    if name == "png":
        return png(picture, (b"cICP", bytes([primaries, transfer, 0, 1])))
    return (avif if name == "avif" else heic)(picture, primaries, transfer)


def ramp() -> Image.Image:
    return Image.fromarray(np.array(GREY, np.uint8)[None].repeat(20, axis=1).repeat(20, axis=0)).convert(
        "RGB"
    )


def greys(picture: Image.Image) -> list[int]:
    return [int(value) for value in np.asarray(picture.convert("RGB"))[10, 10::20, 1]]


def srgb_of(light: float) -> float:
    """IEC 61966-2-1, to 0-255."""
    clipped = min(max(light, 0.0), 1.0)
    return 255 * (12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["png", "avif", "heic"])
def test_display_p3_is_converted_as_with_its_profile(name: str) -> None:
    shown = picture_of(coded(name, PHOTO, P3, SRGB_CURVE), "fm=png")
    assert mean_difference(shown, converted(PHOTO, DISPLAY_P3)) < 2
    assert mean_difference(picture_of(coded(name, PHOTO, 1, SRGB_CURVE), "fm=png"), PHOTO) < 1.5
    assert mean_difference(shown, PHOTO) > 2


@pytest.mark.parametrize("name", ["png", "avif", "heic"])
@pytest.mark.parametrize(
    ("transfer", "light"),
    [(SRGB_CURVE, None), (BT709_CURVE, None), (2, None), (GAMMA_22, 2.2), (5, 2.8), (LINEAR, 1.0)],
)
def test_the_curve_is_followed(name: str, transfer: int, light: float | None) -> None:
    shown = greys(picture_of(coded(name, ramp(), 1, transfer), "fm=png"))
    expected = [value if light is None else srgb_of((value / 255) ** light) for value in GREY]
    assert near(shown, expected, 2)


def test_primaries_are_followed() -> None:
    """Green of BT.2020 is outside sRGB; its greys are those of sRGB."""
    assert near(pixel_at(picture_of(avif(flat((0, 255, 0)), BT2020, 1), "fm=png"), 0.5, 0.5), (0, 255, 0), 1)
    # 0.5 of BT.2020's red in linear BT.709 is (0.83, -0.06, -0.01): ITU-R BT.2407, 2.
    half = round(srgb_of(0.5))
    assert near(
        pixel_at(picture_of(png(flat((half, 0, 0)), (b"cICP", bytes([9, 13, 0, 1]))), "fm=png"), 0.5, 0.5),
        (srgb_of(0.8303), 0, 0),
        2,
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
@pytest.mark.parametrize("gamma", [1.0, 0.3])
def test_gama_of_png(mode: str, gamma: float) -> None:
    picture = ramp().quantize(8) if mode == "P" else ramp().convert(mode)
    shown = greys(picture_of(png(picture, gama(gamma)), "fm=png"))
    assert near(shown, [srgb_of((value / 255) ** (1 / gamma)) for value in GREY], 2)


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(0.45455)],
        [gama(0.45455), chrm(BT709)],
        [gama(0.45), chrm(Primaries((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.3127, 0.329)))],
        [chrm(PRIMARIES[P3])],
        [(b"sRGB", b"\0"), gama(1.0)],
        [gama(0)],
        [(b"gAMA", b"12")],
        [(b"cICP", bytes([1, 13, 0, 1])), gama(1.0)],
        [(b"cICP", bytes([1, 2, 3])), gama(0.45455)],
    ],
)
def test_what_means_srgb_stays_as_it_is(chunks: list[tuple[bytes, bytes]]) -> None:
    """ImageMagick writes sRGB's gAMA and cHRM into most of its files."""
    assert greys(picture_of(png(ramp(), *chunks), "fm=png")) == list(GREY)


def test_chrm_of_png_is_that_of_a_profile() -> None:
    """Adobe RGB (1998): x and y of its primaries, and the exponent 2.19921875."""
    adobe = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
    columns = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
    shown = picture_of(png(PHOTO, gama(1 / 2.19921875), chrm(adobe)), "fm=png")
    assert mean_difference(shown, converted(PHOTO, matrix_profile(2.19921875, columns))) < 1


def test_preserved_colours_get_a_profile() -> None:
    data = coded("png", flat((200, 100, 50)), P3, SRGB_CURVE)
    made_ = opened(made(data, "fm=jpeg,q=95", icc=IccPolicy.PRESERVE).body)
    assert near(pixel_at(made_, 0.5, 0.5), (200, 100, 50), 2)
    profile = made_.info["icc_profile"]
    back = converted(flat((200, 100, 50)), profile)
    assert near(pixel_at(back, 0.5, 0.5), pixel_at(converted(flat((200, 100, 50)), DISPLAY_P3), 0.5, 0.5), 1)


def reinhard(light: float) -> float:
    peak = 1000 / 203
    return light * (1 + light / peak**2) / (1 + light)


def pq_light(sample: float) -> float:
    """SMPTE ST 2084, relative to 203 cd/m2."""
    root = sample ** (1 / 78.84375)
    return 10_000 / 203 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def hlg_light(sample: float) -> float:
    """ITU-R BT.2100, for greys on a display of 1,000 cd/m2."""
    scene = sample**2 / 3 if sample <= 0.5 else (np.exp((sample - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return float(1000 / 203 * scene**1.2)


@pytest.mark.parametrize("name", ["png", "avif", "heic"])
@pytest.mark.parametrize(("transfer", "light"), [(PQ, pq_light), (HLG, hlg_light)])
def test_high_dynamic_range_is_tone_mapped(name: str, transfer: int, light: Any) -> None:
    shown = greys(picture_of(coded(name, ramp(), BT2020, transfer), "fm=png"))
    assert near(shown, [srgb_of(reinhard(light(value / 255))) for value in GREY], 3)


def test_deep_high_dynamic_range_keeps_alpha() -> None:
    samples = np.zeros((20, 20, 4), np.uint16)
    samples[..., :3] = round(0.58 * 65535)  # 203 cd/m2 in PQ
    samples[..., 3] = 128 * 257
    body = io.BytesIO()
    deep = pillow_heif.from_bytes(mode="RGBA;16", size=(20, 20), data=samples.tobytes())
    numbers = {"color_primaries": BT2020, "transfer_characteristics": PQ, "matrix_coefficients": 9}
    deep.save(body, quality=100, chroma=444, **numbers)
    shown = picture_of(body.getvalue(), "fm=png")
    expected = srgb_of(reinhard(1.0))
    assert near(pixel_at(shown, 0.5, 0.5), (expected, expected, expected, 128), 3)


@given(*[st.tuples(st.floats(0, 1), st.floats(0, 1))] * 4)
def test_any_primaries_have_a_profile_or_none(red: Any, green: Any, blue: Any, white: Any) -> None:
    profile = rgb_profile(Primaries(red, green, blue, white), 2.2)
    assert profile is None or int.from_bytes(profile[:4], "big") == len(profile)


@pytest.mark.parametrize(
    "chunk",
    [chrm(Primaries((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))), (b"cHRM", bytes(32)), (b"cHRM", b"\xff" * 32)],
)
def test_impossible_primaries_do_not_count(chunk: tuple[bytes, bytes]) -> None:
    assert len(render(png(ramp(), gama(0.5), chunk), [parse("fm=png")], Limits()).renditions) == 1


@pytest.mark.parametrize("format_name", ["png", "webp", "tiff"])
def test_an_opaque_alpha_channel_is_no_transparency(format_name: str) -> None:
    """`fm=auto` would send a PNG of many times the bytes of a JPEG."""
    options = {"lossless": True, "exact": True} if format_name == "webp" else {}
    for alpha in (255, 200):
        picture = PHOTO.convert("RGBA")
        picture.paste((1, 2, 3, alpha), (50, 40, 60, 50))
        original = render(
            encoded(picture, format_name, **options), [parse("w=60,fm=jpeg")], Limits()
        ).original
        assert original.alpha == (alpha < 255)
