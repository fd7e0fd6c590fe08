"""`colour=p3`: renditions in Display P3, as LittleCMS converts them by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from drawing import as_floats, encoded, flat, made, near, opened, photograph, picture_of, pixel_at
from PIL import Image, ImageCms

from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import IccPolicy
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.encode import p3_profile

SRGB = ImageCms.createProfile("sRGB")
PHOTO = photograph().resize((90, 60))
WITH_PROFILE = [name for name in WRITABLE if name != "gif"]


def p3() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(p3_profile()))


def converted(picture: Image.Image, source: object, target: object) -> Image.Image:
    """By LittleCMS, with the intent that renditions have."""
    found = ImageCms.profileToProfile(
        picture,
        source,  # type: ignore[arg-type]
        target,  # type: ignore[arg-type]
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        outputMode="RGB",
    )
    assert found is not None
    return found


def test_the_profile_is_that_of_display_p3() -> None:
    primaries = ImageCms.ImageCmsProfile(io.BytesIO(p3_profile())).profile
    # Adapted to D50 by the Bradford transform, as every ICC profile has them.
    expected = {"red": (0.5151, 0.2412), "green": (0.2919, 0.6922), "blue": (0.1572, 0.0666)}
    for name, (x, y) in expected.items():
        (found_x, found_y, _), _ = getattr(primaries, f"{name}_colorant")
        assert (found_x, found_y) == pytest.approx((x, y), abs=0.002)


@pytest.mark.parametrize("format_name", WITH_PROFILE)
def test_the_pixels_are_those_of_littlecms(format_name: str) -> None:
    for data, expected in (
        (encoded(PHOTO), converted(PHOTO, SRGB, p3())),
        (encoded(PHOTO, icc_profile=p3_profile()), PHOTO),
    ):
        rendition = picture_of(data, f"lossless=1,q=100,chroma=444,colour=p3,fm={format_name}")
        assert rendition.info["icc_profile"] == p3_profile()
        off = np.abs(as_floats(rendition.convert("RGB")) - as_floats(expected))
        assert off.mean() < 1.5
        assert off.max() <= (2 if format_name in {"png", "webp", "tiff"} else 24)


def test_colours_that_srgb_lacks_stay() -> None:
    """The green of Display P3 is clipped in sRGB, and comes back in P3."""
    data = encoded(flat((0, 255, 0)), icc_profile=p3_profile())
    assert pixel_at(picture_of(data, "w=20,colour=p3,fm=png"), 0.5, 0.5) == (0, 255, 0)
    assert pixel_at(picture_of(data, "w=20,fm=png"), 0.5, 0.5) == (0, 255, 0)
    in_srgb = converted(flat((0, 255, 0)), SRGB, p3()).getpixel((0, 0))
    assert near(in_srgb, (117, 251, 76), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", IccPolicy)
def test_the_parameter_beats_the_policy(policy: IccPolicy) -> None:
    rendition = picture_of(encoded(PHOTO), "w=20,colour=p3,fm=webp", icc=policy)
    assert rendition.info["icc_profile"] == p3_profile()


def test_srgb_stays_the_default() -> None:
    assert "icc_profile" not in picture_of(encoded(PHOTO, icc_profile=p3_profile()), "w=20,fm=webp").info


@pytest.mark.parametrize(
    "text", ["w=40,h=60,fit=contain,bg=00c853", "w=20,pad=10,bg=00c853", "w=60,then=canvas:60:60:5:5:00c853"]
)
def test_colours_of_the_transformation_are_those_of_srgb(text: str) -> None:
    corner = pixel_at(picture_of(encoded(PHOTO), f"{text},colour=p3,fm=png"), 0, 0)
    expected = converted(flat((0, 0xC8, 0x53)), SRGB, p3()).getpixel((0, 0))
    assert near(corner, expected, 1)  # type: ignore[arg-type]
    assert not near(corner, (0, 0xC8, 0x53), 20)


def test_overlays_have_the_colours_of_srgb() -> None:
    text = "w=60,over=image:mark.png;w:1.0;h:1.0,colour=p3,fm=png"
    rendition = picture_of(encoded(PHOTO), text, overlay_sources={"mark.png": encoded(flat((0, 200, 83)))})
    expected = converted(flat((0, 200, 83)), SRGB, p3()).getpixel((0, 0))
    assert near(pixel_at(rendition, 0.5, 0.5), expected, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colour_models_are_converted(mode: str) -> None:
    rendition = picture_of(encoded(PHOTO.convert(mode), "jpeg", quality=95), "colour=p3,fm=png")
    expected = picture_of(encoded(PHOTO.convert(mode), "jpeg", quality=95), "fm=png")
    back = converted(rendition.convert("RGB"), p3(), SRGB)
    assert np.abs(as_floats(back) - as_floats(expected.convert("RGB"))).mean() < 2


def test_a_gif_has_no_profile_and_drops_the_parameter() -> None:
    assert parse("w=20,colour=p3,fm=gif") == parse("w=20,fm=gif")
    assert "colour" not in FORMATS["gif"].encoder_options


def test_the_original_of_fewer_bytes_gets_the_profile() -> None:
    data = encoded(PHOTO, "jpeg", quality=20, icc_profile=p3_profile())
    rendition = made(data, "q=95,colour=p3,fm=jpeg")
    assert rendition.metadata.keep_smaller == "kept"
    assert opened(rendition.body).info["icc_profile"] == p3_profile()
