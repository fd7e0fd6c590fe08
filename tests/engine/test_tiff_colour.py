"""TIFF's YCbCr and CIE L*a*b* against Pillow and LittleCMS; and which page is the main one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import tifffile
from drawing import encoded, flat, mean_difference, near, opened, photograph, picture_of, pixel_at
from PIL import Image, ImageCms
from test_tiff import refusal_of, tiff

from image_processor.domain.errors import Reason
from image_processor.domain.models import Limits
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.tiff import Tag

PICTURE = photograph().resize((90, 60))
YCBCR, LAB, ICC_LAB, LOG_LUV = 6, 8, 9, 32845


def lab_of(picture: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(
        picture, ImageCms.buildTransform(srgb, lab, "RGB", "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    )


def with_offset(lab: np.ndarray) -> np.ndarray:
    """Pillow's codes, whose a* and b* are signed as in TIFF 6.0, with 128 added to a* and b*."""
    return np.concatenate([lab[..., :1], lab[..., 1:] ^ 128], axis=2)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_ycbcr_is_converted(compression: str | None) -> None:
    data = encoded(PICTURE.convert("YCbCr"), "tiff", compression=compression)
    assert mean_difference(picture_of(data, "fm=png"), opened(data).convert("RGB")) < 1


def test_ycbcr_in_video_range_is_converted() -> None:
    """ITU-R BT.601: black is 16, white 235, red (81, 90, 240)."""
    body = io.BytesIO()
    colours = np.array([[[16, 128, 128], [235, 128, 128], [81, 90, 240], [41, 240, 110]]], np.uint8)
    pixels = colours.repeat(16, axis=0).repeat(16, axis=1)
    references = [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1]
    extra = [(532, 5, 6, tuple(references), True)]
    tifffile.imwrite(body, pixels, photometric="ycbcr", subsampling=(1, 1), extratags=extra)
    shown = picture_of(body.getvalue(), "fm=png")
    expected = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)]
    for index, colour in enumerate(expected):
        assert near(pixel_at(shown, (2 * index + 1) / 8, 0.5), colour, 3)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("photometric", [LAB, ICC_LAB])
def test_lab_is_converted(photometric: int, *, alpha: bool) -> None:
    codes = np.asarray(lab_of(PICTURE))
    if photometric == ICC_LAB:
        codes = with_offset(codes)
    extra: dict[Tag, list[int]] = {}
    if alpha:
        codes = np.concatenate([codes, np.full((60, 90, 1), 77, np.uint8)], axis=2)
        extra[Tag.EXTRA_SAMPLES] = [2]
    shown = picture_of(tiff(codes, {Tag.PHOTOMETRIC: [photometric], **extra}), "fm=png")
    assert mean_difference(shown.convert("RGB"), PICTURE) < 1.5
    assert shown.mode == ("RGBA" if alpha else "RGB")
    if alpha:
        assert shown.getchannel("A").getextrema() == (77, 77)


def test_lab_of_sixteen_bits_is_converted() -> None:
    """L* 100 is 65535, a* and b* are signed, 256 a unit (Adobe's TIFF technical notes)."""
    eight = np.asarray(lab_of(PICTURE))
    deep = np.concatenate(
        [eight[..., :1].astype(int) * 257, eight[..., 1:].astype(np.int8).astype(int) * 256 % 65536], axis=2
    )
    shown = picture_of(tiff(deep.astype(np.uint16), {Tag.PHOTOMETRIC: [LAB]}), "fm=png")
    assert mean_difference(shown, PICTURE) < 1.5


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({Tag.PHOTOMETRIC: [LOG_LUV]}, "LogLuv"),
        ({Tag.PHOTOMETRIC: [YCBCR]}, "without subsampling"),
        ({Tag.PHOTOMETRIC: [YCBCR], Tag.YCBCR_SUBSAMPLING: [2, 1]}, "without subsampling"),
        ({Tag.PHOTOMETRIC: [10]}, "ITU"),
        ({Tag.PHOTOMETRIC: [77]}, "77"),
    ],
)
def test_other_colours_are_refused_by_name(fields: Mapping[Tag, Sequence[int]], named: str) -> None:
    refusal = refusal_of(tiff(np.asarray(PICTURE), fields))
    assert refusal.reason is Reason.UNSUPPORTED_FORMAT
    assert named in refusal.message


def pages(*subfile_types: int) -> bytes:
    """Pages of different sizes and colours."""
    body = io.BytesIO()
    with tifffile.TiffWriter(body) as writer:
        for number, kind in enumerate(subfile_types):
            side = 16 * (number + 1)
            pixels = np.full((side, side, 3), 60 * number, np.uint8)
            writer.write(pixels, photometric="rgb", subfiletype=kind)
    return body.getvalue()


@pytest.mark.parametrize(
    ("kinds", "main"), [((0, 0), 0), ((1, 0), 1), ((1, 1, 0), 2), ((1, 2), 1), ((1, 1), 0), ((0, 1), 0)]
)
def test_the_main_page_is_shown(kinds: tuple[int, ...], main: int) -> None:
    data = pages(*kinds)
    header = probe(data, Limits())
    assert (header.page, header.width, header.pages) == (main, 16 * (main + 1), len(kinds))
    shown = picture_of(data, "fm=png")
    assert shown.size == (16 * (main + 1),) * 2
    assert pixel_at(shown, 0.5, 0.5) == (60 * main,) * 3
    assert flat((60 * main,) * 3, size=shown.size).tobytes() == shown.tobytes()
