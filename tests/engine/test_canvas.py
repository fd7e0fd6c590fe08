"""Crop windows of a level, and the area around an image: offsets, bars, padding and edges."""

from __future__ import annotations

import io

import numpy as np
import pytest
from drawing import animated, as_floats, corners, encoded, flat, made, mean_difference, photograph, picture_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from planes import vips_of

from image_processor.domain.geometry import Anchor, Box, Placement, Size
from image_processor.domain.transformation import Gravity, RelativeLength
from image_processor.engine.operations.canvas import crop_box, padded_canvas

WIDTH, HEIGHT = 60, 40
PLACES = {
    "northwest": (0, 0), "north": (1, 0), "northeast": (2, 0), "west": (0, 1), "centre": (1, 1),
    "east": (2, 1), "southwest": (0, 2), "south": (1, 2), "southeast": (2, 2),
}  # fmt: skip


def picture() -> Image.Image:
    return photograph().crop((100, 40, 100 + WIDTH, 40 + HEIGHT))


def along(free: int, place: int, inwards: int) -> int:
    expected = (inwards, free // 2 + inwards, free - inwards)[place]
    return min(max(expected, 0), free)


@pytest.mark.parametrize("gravity", PLACES)
@pytest.mark.parametrize(
    ("offsets", "across", "down"),
    [("", 0, 0), (",gx=3,gy=2", 3, 2), (",gx=-4,gy=100", -4, 100), (",gx=0.1,gy=0.05", 6, 2)],
)
def test_a_crop_by_gravity_and_offsets_inwards(gravity: str, offsets: str, across: int, down: int) -> None:
    """The level is the whole image, 60 x 40, once as wide and once as high as its box."""
    for width, height in ((25, 40), (60, 21)):
        got = picture_of(encoded(picture()), f"w={width},h={height},g={gravity}{offsets},fm=png")
        column, row = PLACES[gravity]
        left = along(WIDTH - width, column, across)
        top = along(HEIGHT - height, row, down)
        expected = picture().crop((left, top, left + width, top + height))
        assert np.array_equal(np.asarray(got), np.asarray(expected))


@pytest.mark.parametrize(("share", "left"), [(0, 0), (0.1, 0), (0.4, 14), (0.5, 20), (0.9, 40), (1, 40)])
def test_a_focal_point_is_centred_as_far_as_possible(share: float, left: int) -> None:
    got = picture_of(encoded(picture()), f"w=20,h=40,fp={share}:0.5,fm=png")
    assert np.array_equal(np.asarray(got), np.asarray(picture().crop((left, 0, left + 20, 40))))


@pytest.mark.parametrize("gravity", PLACES)
def test_position_between_bars(gravity: str) -> None:
    column, row = PLACES[gravity]
    for width, height in ((81, HEIGHT), (WIDTH, 57)):
        left, top = along(width - WIDTH, column, 3), along(height - HEIGHT, row, 1)
        text = f"w={width},h={height},fit=contain,g={gravity},gx=3,gy=1,bg=102030,fm=png"
        expected = Image.new("RGB", (width, height), (16, 32, 48))
        expected.paste(picture(), (left, top))
        assert np.array_equal(np.asarray(picture_of(encoded(picture()), text)), np.asarray(expected))


MODES = {"copy": "edge", "repeat": "wrap", "mirror": "symmetric"}


@pytest.mark.parametrize("edge", MODES)
@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("w=91,h=40,fit=contain", (0, 0, 15, 16)),
        ("w=60,h=141,fit=contain", (50, 51, 0, 0)),
        ("w=91,h=40,fit=contain,g=west", (0, 0, 0, 31)),
        ("pad=7", (7, 7, 7, 7)),
        ("pad=1:70:90:4", (1, 90, 4, 70)),
        ("pad=0.5:0.1", (20, 20, 6, 6)),
    ],
)
def test_edges_equal_numpy_padding(text: str, around: tuple[int, int, int, int], edge: str) -> None:
    top, bottom, left, right = around
    expected = np.pad(np.asarray(picture()), ((top, bottom), (left, right), (0, 0)), mode=MODES[edge])
    assert np.array_equal(np.asarray(picture_of(encoded(picture()), f"{text},edge={edge},fm=png")), expected)


@pytest.mark.parametrize("edge", MODES)
def test_an_edge_keeps_alpha(edge: str) -> None:
    soft = picture().convert("RGBA")
    soft.putalpha(Image.linear_gradient("L").resize(soft.size))
    expected = np.pad(np.asarray(soft), ((5, 5), (5, 5), (0, 0)), mode=MODES[edge])
    assert np.array_equal(np.asarray(picture_of(encoded(soft), f"pad=5,edge={edge},fm=png")), expected)


def test_padding_in_pixels_and_relative_lengths() -> None:
    got = as_floats(picture_of(encoded(picture()), "pad=3:0.25:0.5:1,bg=ff0000,fm=png"))
    assert got.shape == (HEIGHT + 3 + 20, WIDTH + 15 + 1, 3)
    assert np.array_equal(got[3 : 3 + HEIGHT, 1 : 1 + WIDTH], as_floats(picture()))
    got[3 : 3 + HEIGHT, 1 : 1 + WIDTH] = (255, 0, 0)
    assert np.array_equal(np.unique(got.reshape(-1, 3), axis=0), [[255, 0, 0]])


@given(st.integers(1, 500), st.integers(1, 500), st.tuples(*[st.integers(0, 300)] * 4))
def test_padding_adds_up(width: int, height: int, padding: tuple[int, int, int, int]) -> None:
    top, right, bottom, left = padding
    expected = Box(left, top, width + left + right, height + top + bottom)
    assert padded_canvas(Size(width, height), padding) == expected
    assert padded_canvas(Size(100, 200), tuple(RelativeLength(0.25) for _ in padding)) == Box(
        25, 50, 150, 300
    )


@pytest.mark.parametrize("text", ["pad=16", "w=124,h=40,fit=contain"])
@pytest.mark.parametrize(
    ("rest", "mode", "corner"),
    [
        ("fm=png", "RGBA", (0, 0, 0, 0)),
        ("bg=00ff00,fm=png", "RGB", (0, 255, 0)),
        ("q=95,fm=jpeg", "RGB", (255, 255, 255)),
        ("bg=000000,q=95,fm=jpeg", "RGB", (0, 0, 0)),
    ],
)
def test_bars_are_transparent_where_they_can_be(
    text: str, rest: str, mode: str, corner: tuple[int, ...]
) -> None:
    got = picture_of(encoded(picture()), f"{text},{rest}")
    assert got.mode == mode
    assert np.abs(np.subtract(got.getpixel((0, 0)), corner)).max() <= 4  # the default of JPEG


# The blurred edge ----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 31, 87), (254, 1, 128)])
@pytest.mark.parametrize("sides", [(40, 40), (40, 7), (1, 1)])
def test_the_blurred_edge_of_a_flat_picture_is_flat(
    colour: tuple[int, int, int], sides: tuple[int, int]
) -> None:
    got = as_floats(picture_of(encoded(flat(colour, size=sides)), "pad=33:12,edge=blur,fm=png"))
    assert np.array_equal(np.unique(got.reshape(-1, 3), axis=0), [list(colour)])


@pytest.mark.parametrize("text", ["w=160,h=40,fit=contain", "pad=40"])
def test_the_blurred_edge_is_the_enlarged_image(text: str) -> None:
    whole = picture_of(encoded(picture()), f"{text},edge=blur,fm=png")
    left, top = (whole.width - WIDTH) // 2, (whole.height - HEIGHT) // 2
    middle = whole.crop((left, top, left + WIDTH, top + HEIGHT))
    assert np.array_equal(np.asarray(middle), np.asarray(picture()))
    # Behind it: the image scaled to cover the canvas, with the right tone and no detail.
    scale = max(whole.width / WIDTH, whole.height / HEIGHT)
    large = picture().resize((round(WIDTH * scale), round(HEIGHT * scale)), Image.Resampling.BICUBIC)
    at = (large.width - whole.width) // 2, (large.height - whole.height) // 2
    behind = large.crop((*at, at[0] + whole.width, at[1] + whole.height))
    bar = (0, 0, left, whole.height)
    tones = as_floats(whole.crop(bar)).mean((0, 1)) - as_floats(behind.crop(bar)).mean((0, 1))
    assert np.abs(tones).max() <= 12
    assert np.abs(np.diff(as_floats(whole.crop(bar)), axis=0)).max() <= 16


def test_the_blurred_edge_of_a_transparent_image_is_opaque() -> None:
    soft = flat((255, 0, 0, 128), "RGBA", (20, 20))
    for background, mixed in (("", (255, 127, 127)), ("bg=0000ff,", (128, 0, 127))):
        got = picture_of(encoded(soft), f"pad=10,edge=blur,{background}fm=png")
        assert got.mode == "RGB"
        assert np.abs(np.subtract(got.getpixel((0, 0)), mixed)).max() <= 1
        middle = np.add(np.multiply(mixed, 127 / 255), (128, 0, 0))
        assert np.abs(np.subtract(got.getpixel((20, 20)), middle)).max() <= 1


def test_padding_comes_after_opacity() -> None:
    """In the other order the blurred edge would be half transparent too."""
    assert picture_of(encoded(flat("red", size=(20, 20))), "op=50,pad=10,edge=blur,fm=png").mode == "RGB"


# Smart crops -------------------------------------------------------------------------------------

sides = st.integers(1, 40)


@given(sides, sides, st.data(), st.sampled_from([Gravity.ENTROPY, Gravity.ATTENTION]))
def test_a_window_is_within_the_level(width: int, height: int, data: st.DataObject, gravity: Gravity) -> None:
    output = Size(data.draw(st.integers(1, width)), data.draw(st.integers(1, height)))
    level = vips_of(np.random.default_rng(width).integers(0, 256, (height, width, 3)))
    box = crop_box(level, Placement(Size(width, height), output), Anchor(gravity))
    assert box.size == output
    assert 0 <= box.left <= width - output.width
    assert 0 <= box.top <= height - output.height


@pytest.mark.parametrize(("width", "height"), [(400, 100), (1600, 400), (100, 400)])
@pytest.mark.parametrize("at", [0.1, 0.4, 0.75])
def test_entropy_finds_detail(width: int, height: int, at: float) -> None:
    """The largest image is measured on a small copy, and the window is scaled back."""
    planes = np.full((height, width, 3), 128)
    side = min(width, height) // 2
    left, top = (int(at * width), height // 4) if width > height else (width // 4, int(at * height))
    noise = np.random.default_rng(3).integers(0, 256, (side // 5, side // 5, 3))
    planes[top : top + side // 5 * 5, left : left + side // 5 * 5] = noise.repeat(5, 0).repeat(5, 1)
    square = Size(min(width, height), min(width, height))
    box = crop_box(vips_of(planes), Placement(Size(width, height), square), Anchor(Gravity.ENTROPY))
    assert box.left <= left + side // 8
    assert box.left + box.width >= left + side - side // 8
    assert box.top <= top + side // 8
    assert box.top + box.height >= top + side - side // 8


@pytest.mark.parametrize("at", [10, 150, 290])
def test_attention_finds_saturated_colours(at: int) -> None:
    scene = flat((90, 90, 90), size=(400, 100))
    scene.paste(corners(60, 60), (at, 20))
    got = as_floats(picture_of(encoded(scene), "w=100,h=100,g=attention,fm=png"))
    assert (np.ptp(got, axis=2) > 100).sum() >= 0.8 * 60 * 60


def test_all_frames_of_an_animation_have_one_window() -> None:
    """The window of the first frame: otherwise the image would jump."""
    frames = [flat((90, 90, 90), size=(200, 50)) for _ in range(2)]
    frames[0].paste(corners(30, 30), (10, 10))
    frames[1].paste(corners(30, 30), (160, 10))
    body = made(animated(frames, "gif", [100, 100]), "w=50,h=50,g=attention,fm=gif").body
    shown = Image.open(io.BytesIO(body))
    assert mean_difference(shown.convert("RGB"), flat((90, 90, 90), size=(50, 50))) > 20
    shown.seek(1)
    assert mean_difference(shown.convert("RGB"), flat((90, 90, 90), size=(50, 50))) <= 2
