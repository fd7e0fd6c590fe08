"""Colour: every input becomes 8-bit sRGB with the values of an independent engine."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import pytest
import pyvips
from drawing import encoded, flat, made, near, opened, photograph, picture_of, pixel_at
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from image_processor.domain.formats import WRITABLE
from image_processor.domain.models import IccPolicy
from image_processor.engine.codecs.encode import srgb_profile

ORANGE = (200, 100, 50)
TOLERANCE = 1
"""Of 255: two engines that round at different places."""


def builtin_profile(name: str) -> bytes:
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile: bytes = pixel.icc_transform(name).get("icc-profile-data")
    return profile


def canvas(side: int, values: list[int]) -> pyvips.Image:
    """A square of pixels, with any number of bands and any depth, which Pillow cannot write."""
    return pyvips.Image.black(side, side, bands=len(values)).linear(1, values)


def matrix_profile(gamma: float, primaries: tuple[tuple[float, ...], ...]) -> bytes:
    """A minimal ICC v2 display profile: red, green and blue in XYZ (D50) and one gamma.

    Written by ICC.1:2001-04, 6.3.1.2 and 6.5; Adobe RGB is gamma 2.19921875.
    """

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + number(0.9642) + number(1.0) + number(0.8249),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = b"XYZ " + bytes(4) + b"".join(map(number, primary))
    return _profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    return _profile(b"GRAY", {b"desc": description, b"wtpt": white, b"kTRC": curve})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    white = struct.pack(">3i", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    header = struct.pack(">I", start + len(body)) + bytes(4) + struct.pack(">I", 0x02400000) + b"mntr" + space
    header += b"XYZ " + bytes(12) + b"acsp" + bytes(28) + white
    return header.ljust(128, b"\0") + table + body


ADOBE_RGB = matrix_profile(
    2.19921875, ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
)
DISPLAY_P3 = builtin_profile("p3")
CMYK = builtin_profile("cmyk")
PROFILES = {"Adobe RGB": ADOBE_RGB, "Display P3": DISPLAY_P3}


def converted(picture: Image.Image, profile: bytes) -> Image.Image:
    """Converted by Little CMS through Pillow: relative colorimetric, with black point compensation."""
    result = ImageCms.applyTransform(picture, _little_cms(profile, picture.mode))
    assert result is not None
    return result


@cache
def _little_cms(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("format_name", ["png", "tiff", "webp"])
def test_an_embedded_profile_is_applied(profile: bytes, format_name: str) -> None:
    options = {"lossless": True} if format_name == "webp" else {}
    picture = photograph().resize((60, 40))
    rendition = picture_of(encoded(picture, format_name, icc_profile=profile, **options), "fm=png")
    expected = np.asarray(converted(picture, profile), dtype=int)
    assert np.abs(np.asarray(rendition, dtype=int) - expected).max() <= TOLERANCE
    assert np.abs(np.asarray(picture, dtype=int) - expected).max() > 10


def test_known_values_of_wide_gamuts() -> None:
    """By hand: sRGB's red in P3 is (234, 51, 35), its (128, 128, 128) is grey in every space."""
    for value, expected in (((234, 51, 35), (255, 0, 0)), ((128, 128, 128), (128, 128, 128))):
        data = encoded(flat(value), icc_profile=DISPLAY_P3)
        assert near(pixel_at(picture_of(data, "fm=png"), 0.5, 0.5), expected, 4)


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_cmyk_without_a_profile_is_print(inks: tuple[int, int, int, int]) -> None:
    picture = flat(inks, "CMYK", (8, 8))
    rendition = picture_of(encoded(picture, "tiff"), "fm=png")
    expected = pixel_at(converted(picture, CMYK), 0.5, 0.5)
    assert near(pixel_at(rendition, 0.5, 0.5), expected, 2)


@pytest.mark.parametrize("format_name", ["jpeg", "tiff"])
@pytest.mark.parametrize("options", [{}, {"icc_profile": CMYK}], ids=["untagged", "tagged"])
def test_cmyk_colours(format_name: str, options: dict[str, bytes]) -> None:
    # Adobe and Pillow write CMYK JPEGs inverted, which the loader must detect.
    data = encoded(flat((0, 255, 255, 0), "CMYK"), format_name, **options)
    red, green, blue = pixel_at(picture_of(data, "w=20,fm=png"), 0.5, 0.5)
    assert red > 200
    assert max(green, blue) < 70


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1", "P", "RGBA"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    pictures = {
        "L": (flat(77, "L"), (77, 77, 77)),
        "LA": (flat((77, 255), "LA"), (77, 77, 77)),
        "I;16": (Image.fromarray(np.full((40, 40), 77 * 257, np.uint16)), (77, 77, 77)),
        "1": (flat(1, "1"), (255, 255, 255)),
        "P": (flat(ORANGE).quantize(4), ORANGE),
        "RGBA": (flat((*ORANGE, 255), "RGBA"), ORANGE),
    }
    picture, expected = pictures[mode]
    for text in ("fm=png", "w=10,fm=png", "w=10,fm=jpeg"):
        rendition = picture_of(encoded(picture), text)
        assert rendition.mode == "RGB"
        assert near(pixel_at(rendition, 0.5, 0.5), expected, TOLERANCE)


@pytest.mark.parametrize("saver", ["pngsave_buffer", "tiffsave_buffer"])
@pytest.mark.parametrize("profile", [None, DISPLAY_P3], ids=["untagged", "P3"])
@pytest.mark.parametrize("alpha", [(), (128,)], ids=["opaque", "alpha"])
def test_sixteen_bits_a_channel(saver: str, profile: bytes | None, alpha: tuple[int, ...]) -> None:
    values = [257 * value for value in (*ORANGE, *alpha)]
    deep = canvas(40, values).cast("ushort").copy(interpretation="rgb16")
    if profile:
        deep.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    expected = pixel_at(converted(flat(ORANGE), profile), 0.5, 0.5) if profile else ORANGE
    for text in ("fm=png", "w=10,fm=png"):
        rendition = picture_of(getattr(deep, saver)(), text)
        assert near(pixel_at(rendition, 0.5, 0.5), (*expected, *alpha), TOLERANCE)


def test_a_grey_profile_is_applied() -> None:
    # A linear grey of 55 is sRGB's 128: (0.2158 ** (1 / 2.4)) * 1.055 - 0.055.
    data = encoded(flat(55, "L"), icc_profile=grey_profile(1.0))
    assert near(pixel_at(picture_of(data, "fm=png"), 0.5, 0.5), (128, 128, 128), 2)


@pytest.mark.parametrize("policy", IccPolicy)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("profile", [b"not a profile" * 40, DISPLAY_P3[:200], CMYK, grey_profile(2.2)])
def test_no_profile_makes_a_picture_fail(profile: bytes, mode: str, policy: IccPolicy) -> None:
    colours = {"L": 77, "RGB": ORANGE, "RGBA": (*ORANGE, 255), "CMYK": (0, 255, 255, 0)}
    format_name = "jpeg" if mode == "CMYK" else "png"
    data = encoded(flat(colours[mode], mode), format_name, icc_profile=profile)
    rendition = picture_of(data, "fm=png", icc=policy)
    if mode.startswith("RGB"):
        assert pixel_at(rendition, 0.5, 0.5) == ORANGE


def test_edges_of_transparency_have_no_fringe() -> None:
    """Red beside transparent green: no pixel between them may become green or dark."""
    picture = flat((0, 255, 0, 0), "RGBA", (200, 200))
    picture.paste((255, 0, 0, 255), (0, 0, 101, 200))
    rendition = np.asarray(picture_of(encoded(picture), "w=40,fm=png"), dtype=int)
    visible = rendition[..., 3] > 16
    assert rendition[..., 1][visible].max() <= 2
    assert rendition[..., 0][visible].min() >= 250
    assert ((rendition[..., 3] > 0) & (rendition[..., 3] < 255)).any()


def test_alpha_is_resized_as_by_an_independent_engine() -> None:
    picture = photograph().resize((200, 140)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((200, 140)))
    rendition = picture_of(encoded(picture), "w=50,fm=png")
    expected = picture.resize(rendition.size, Image.Resampling.LANCZOS)
    on_grey = [
        np.asarray(Image.alpha_composite(Image.new("RGBA", one.size, "grey"), one), dtype=int)
        for one in (rendition, expected)
    ]
    assert np.abs(on_grey[0] - on_grey[1]).max() <= 6


@pytest.mark.parametrize("format_name", WRITABLE)
def test_policies_for_the_profile(format_name: str) -> None:
    data = encoded(flat(ORANGE), icc_profile=DISPLAY_P3)
    in_srgb = pixel_at(converted(flat(ORANGE), DISPLAY_P3), 0.5, 0.5)
    carried = format_name != "gif"
    for policy, profile, colour in (
        (IccPolicy.STRIP, None, in_srgb),
        (IccPolicy.EMBED, srgb_profile(), in_srgb),
        # A GIF carries no profile: the numbers of Display P3 would be shown as those of sRGB.
        (IccPolicy.PRESERVE, DISPLAY_P3, ORANGE if carried else in_srgb),
    ):
        rendition = picture_of(data, f"w=20,fm={format_name}", icc=policy)
        assert rendition.info.get("icc_profile") == (profile if carried else None)
        assert near(pixel_at(rendition.convert("RGB"), 0.5, 0.5), colour, 4)


def test_preserving_sixteen_bits_keeps_the_upper_eight() -> None:
    deep = canvas(20, [257 * value + 40 for value in ORANGE]).cast("ushort").copy(interpretation="rgb16")
    deep.set_type(pyvips.GValue.blob_type, "icc-profile-data", DISPLAY_P3)
    rendition = picture_of(deep.pngsave_buffer(), "fm=png", icc=IccPolicy.PRESERVE)
    assert pixel_at(rendition, 0.5, 0.5) == ORANGE
    assert rendition.info["icc_profile"] == DISPLAY_P3


def test_preserving_falls_back_to_srgb_where_there_is_nothing_to_preserve() -> None:
    ink = flat((0, 255, 255, 0), "CMYK")
    for data in (
        encoded(flat(ORANGE)),
        encoded(ink, "jpeg", icc_profile=CMYK),
        encoded(flat(ORANGE), "jpeg", icc_profile=CMYK),
        encoded(flat(ORANGE), "tiff", icc_profile=grey_profile(2.2)),
        encoded(flat(ORANGE), "jpeg", icc_profile=DISPLAY_P3[:200]),
    ):
        assert picture_of(data, "fm=png", icc=IccPolicy.PRESERVE).info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize("policy", IccPolicy)
@pytest.mark.parametrize("format_name", WRITABLE)
def test_no_metadata_of_the_input_comes_out(format_name: str, policy: IccPolicy) -> None:
    secret = "Falkenstrasse 17"
    tags = Image.Exif()
    tags[0x010E] = secret
    tags[0x0112] = 6
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{secret}</x:xmpmeta>".encode()
    data = encoded(photograph(), "jpeg", exif=tags, xmp=xmp, comment=secret.encode(), icc_profile=DISPLAY_P3)
    assert data.count(secret.encode()) == 3
    body = made(data, f"w=50,fm={format_name}", icc=policy).body
    assert secret.encode() not in body
    left = opened(body).getexif()
    assert not dict(left) or format_name in {"avif", "tiff"}  # a TIFF's fields are tags like those of EXIF
    assert 0x010E not in left
    for trace in (b"xmpmeta", b"http://ns.adobe.com", b"eXIf", b"Photoshop"):
        assert trace not in body
