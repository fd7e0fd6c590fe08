"""Trim: the border is found from the upright picture's corner, and in all frames of an animation."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import animated, encoded, flat, made, opened, picture_of
from PIL import Image, ImageOps

BORDER, CONTENT = (255, 255, 255), (30, 60, 220)


def framed(width: int = 60, height: int = 40) -> Image.Image:
    """A white border at the left and at the top only: the opposite corner is content."""
    picture = flat(BORDER, size=(width, height))
    picture.paste(CONTENT, (9, 6, width, height))
    picture.paste((200, 30, 30), (20, 10, 30, 20))
    return picture


def stored_as(picture: Image.Image, orientation: int) -> Image.Image:
    """What a viewer turns into ``picture`` by EXIF's orientation."""
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    turned = picture.copy()
    turned.getexif()[0x0112] = inverse
    return ImageOps.exif_transpose(turned)


@pytest.mark.parametrize("format_name", ["png", "jpeg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_border_has_the_colour_of_the_upright_corner(format_name: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if format_name == "jpeg" else {}
    data = encoded(stored_as(framed(), orientation), format_name, exif=tags, **options)
    shown = picture_of(data, "trim=20,fm=png")
    assert shown.size == (51, 34)
    expected = framed().crop((9, 6, 60, 40))
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected).astype(int)).mean() < 2


@pytest.mark.parametrize("format_name", ["gif", "webp"])
def test_an_animation_keeps_what_any_frame_shows(format_name: str) -> None:
    frames = [flat(BORDER, size=(80, 60)) for _ in range(4)]
    for number, frame in enumerate(frames[:3]):
        frame.paste(CONTENT, (10 * number + 5, 10 * number + 4, 10 * number + 17, 10 * number + 16))
    options = {"lossless": True} if format_name == "webp" else {}
    data = animated(frames, format_name, [50] * 4, **options)
    made_ = made(data, f"trim=8,fm={format_name}").metadata
    assert (made_.width, made_.height, made_.frames) == (32, 32, 4)
    assert made(data, "frame=2,trim=8,fm=png").metadata.width == 12


def test_an_animation_of_border_alone_stays_whole() -> None:
    data = animated([flat(BORDER, size=(20, 10)), flat(BORDER, size=(20, 10))], "webp", [50, 60])
    assert opened(made(data, "trim=8,fm=png").body).size == (20, 10)


def test_the_border_may_have_the_colour_of_the_last_pixel() -> None:
    """The first pixel is a border of another colour than the last."""
    picture = flat((0, 200, 0), size=(60, 40))
    picture.paste(CONTENT, (0, 0, 50, 33))
    for orientation in (1, 3, 6):
        tags = Image.Exif()
        tags[0x0112] = orientation
        data = encoded(stored_as(picture, orientation), exif=tags)
        assert picture_of(data, "trim=10,trim-last=1,fm=png").size == (50, 33)
        assert picture_of(data, "trim=10,fm=png").size == (60, 40)


@pytest.mark.parametrize(("sides", "size"), [("h", (60, 34)), ("v", (51, 40)), ("hv", (60, 40))])
def test_equal_parts_are_cut_from_both_sides(sides: str, size: tuple[int, int]) -> None:
    """`framed` has a border on the left and at the top only."""
    assert picture_of(encoded(framed()), f"trim=10,trim-eq={sides},fm=png").size == size
