"""AVIF and HEIC: what libheif leaves to its callers, against Pillow's pixels, libavif and arithmetic."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
from drawing import corners, encoded, made, mean_difference, opened, picture_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.heif_items import HeifItems
from image_processor.engine.codecs.probe import probe
from image_processor.engine.render import render

RAMP = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (64, 1)))
TRAILERS = {"newline": b"\n", "text": b"Some text behind the image.\n" * 3, "zeros": bytes(99)}


def items_of(data: bytes) -> HeifItems:
    items = HeifItems.read(data)
    assert items is not None
    return items


def without(data: bytes, item: int, *kinds: bytes) -> bytes:
    """``data`` whose ``item`` no longer lists properties of these kinds."""
    patched = bytearray(data)
    for found in items_of(data).properties[item]:
        if found.kind in kinds:
            start, end = found.entry
            patched[start:end] = bytes(end - start)
    return bytes(patched)


def translucent(size: tuple[int, int] = (96, 64)) -> Image.Image:
    picture = corners(*size).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(size))
    return picture


def grey_heic(picture: Image.Image, **options: Any) -> bytes:
    body = io.BytesIO()
    pillow_heif.from_pillow(picture).save(body, quality=100, **options)
    return body.getvalue()


@pytest.mark.parametrize("format_name", ["avif", "heic", "jxl"])
@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
def test_bytes_after_the_last_box_do_not_count(format_name: str, trailer: bytes) -> None:
    options = {"use_container": True} if format_name == "jxl" else {}
    data = encoded(corners(), format_name, **options)
    assert made(data + trailer, "fm=png").body == made(data, "fm=png").body
    for cut in (data[:-1], data[: len(data) // 2]):
        with pytest.raises(Refused) as refusal:
            render(cut, [parse("fm=png")], Limits())
        assert refusal.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("coded", ["in the boxes", "in the sequence header"])
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("alpha", [False, True])
def test_grey_avif_has_its_full_range(coded: str, range_: str, *, alpha: bool) -> None:
    picture = RAMP.convert("LA") if alpha else RAMP
    if alpha:
        picture.putalpha(Image.linear_gradient("L").resize(RAMP.size))
    data = encoded(picture, "avif", quality=100, subsampling="4:0:0", range=range_)
    if coded == "in the sequence header":
        data = without(data, items_of(data).primary, b"colr")
        assert items_of(data).coded_colour is None
    shown = picture_of(data, "fm=png").convert("LA")
    assert mean_difference(shown.getchannel("L"), RAMP) < 1
    assert shown.getpixel((0, 63))[0] == 0
    assert shown.getpixel((255, 63))[0] == 255
    if alpha:
        assert mean_difference(shown.getchannel("A"), picture.getchannel("A")) < 1


def test_grey_heic_of_limited_range_is_expanded() -> None:
    coded = RAMP.point([round(16 + value * 219 / 255) for value in range(256)])
    shown = picture_of(grey_heic(coded, full_range_flag=0), "fm=png").convert("L")
    assert mean_difference(shown, RAMP) < 1.5
    assert mean_difference(picture_of(grey_heic(RAMP), "fm=png").convert("L"), RAMP) < 1.5


def test_colour_of_limited_range_is_left_to_libheif() -> None:
    assert items_of(encoded(RAMP, "avif", subsampling="4:0:0", range="limited")).is_limited_grey
    assert not items_of(encoded(RAMP.convert("RGB"), "avif", range="limited")).is_limited_grey


@pytest.mark.parametrize("format_name", ["avif", "heic"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_turns_with_the_colour(format_name: str, orientation: int) -> None:
    """The oracle is the same file with the properties of both."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(translucent(), format_name, exif=tags.tobytes())
    items = items_of(data)
    (alpha,) = set(items.properties) - {items.primary} if format_name == "avif" else {items.primary + 1}
    bare = without(data, alpha, b"irot", b"imir")
    assert (bare != data) == (orientation > 1)
    assert made(bare, "fm=png").body == made(data, "fm=png").body


@pytest.mark.parametrize("quality", [100, 70])
def test_premultiplied_colours_become_straight(quality: int) -> None:
    picture = Image.new("RGBA", (64, 48), (200, 128, 60, 255))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = encoded(picture, "avif", alpha_premultiplied=True, quality=quality, subsampling="4:4:4")
    assert items_of(data).is_premultiplied
    shown = np.asarray(picture_of(data, "fm=png")).astype(float)
    visible = shown[shown[..., 3] > 100]
    assert abs(visible[:, :3] - (200, 128, 60)).mean() < 4
    straight = encoded(picture, "avif", quality=quality)
    assert not items_of(straight).is_premultiplied


def test_premultiplied_files_look_as_libavif_decodes_them() -> None:
    data = encoded(translucent(), "avif", alpha_premultiplied=True, quality=95)
    ours, theirs = (each.convert("RGBA") for each in (picture_of(data, "fm=png"), opened(data)))
    over = [Image.alpha_composite(Image.new("RGBA", each.size, "white"), each) for each in (ours, theirs)]
    assert mean_difference(over[0].convert("RGB"), over[1].convert("RGB")) < 2


BOXED = encoded(translucent((24, 16)), "avif", alpha_premultiplied=True)


@given(st.integers(0, len(BOXED) - 1), st.binary(min_size=1, max_size=8))
def test_damaged_boxes_are_refused_or_read(at: int, damage: bytes) -> None:
    data = BOXED[:at] + damage + BOXED[at + len(damage) :]
    try:
        probe(data, Limits())
    except Refused:
        return
    items = HeifItems.read(data)
    if items is not None:
        assert isinstance(items.is_limited_grey | items.is_alpha_turned_differently, bool)
        assert len(items.without_turns()) == len(data)
