"""What a border leaves, against NumPy: exact to the pixel, whatever the format and the transparency."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
from drawing import READABLE, encoded
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn
from numpy.typing import NDArray
from PIL import Image

from image_processor.engine import steps
from image_processor.engine.decode import open_original
from image_processor.engine.geometry import Box
from image_processor.engine.trim import find_trim
from image_processor.formats import FORMATS
from image_processor.transformation import Colour

Bytes = NDArray[np.uint8]

COLOURS = st.builds(Colour, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([3, 4]))


def level(pixels: Bytes) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")


def expected(pixels: Bytes, tolerance: float, colour: Colour | None) -> Box:
    """The documented rule in NumPy, in integers: distances are 255 times as large."""
    rgb, alpha = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    if pixels.shape[2] == 3:
        alpha = np.full((*pixels.shape[:2], 1), 255)
    if colour is None and alpha[0, 0, 0] < 255:
        differs = alpha[..., 0] > tolerance
    else:
        border = rgb[0, 0] if colour is None else np.array([colour.red, colour.green, colour.blue])
        differs = (np.abs(rgb - border) * alpha).max(axis=2) > 255 * tolerance
    rows, columns = np.nonzero(differs)
    if not rows.size:
        return Box(0, 0, pixels.shape[1], pixels.shape[0])
    left, top = int(columns.min()), int(rows.min())
    return Box(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)


def canvas(colour: tuple[int, ...], width: int = 40, height: int = 30) -> Bytes:
    return np.full((height, width, len(colour)), colour, np.uint8)


@given(
    drawn.arrays(np.uint8, SHAPES, elements=st.integers(0, 255), fill=st.sampled_from([0, 255])),
    st.integers(0, 254),
    st.none() | COLOURS,
)
def test_the_box_is_the_one_that_numpy_finds(pixels: Bytes, whole: int, colour: Colour | None) -> None:
    # A distance is a multiple of 1/255, and never this: no float has to decide a tie.
    tolerance = whole + 0.25
    assert find_trim(level(pixels), tolerance, colour) == expected(pixels, tolerance, colour)


@given(
    drawn.arrays(np.uint8, SHAPES, elements=st.integers(0, 255), fill=st.sampled_from([0, 255])),
    st.integers(0, 255),
)
def test_of_opaque_pictures_a_difference_of_just_the_tolerance_is_border(
    pixels: Bytes, tolerance: int
) -> None:
    pixels[..., 3:] = 255
    assert find_trim(level(pixels), tolerance) == expected(pixels, tolerance, None)


@given(SHAPES, COLOURS, st.integers(0, 255), st.data())
def test_a_thing_on_a_border_is_what_stays(
    shape: tuple[int, int, int], ink: Colour, grey: int, data: st.DataObject
) -> None:
    assume(max(abs(band - grey) for band in (ink.red, ink.green, ink.blue)) > 10)
    pixels = np.full(shape, grey, np.uint8)
    pixels[..., 3:] = 255
    height, width, _ = shape
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    pixels[top:bottom, left:right, :3] = (ink.red, ink.green, ink.blue)
    border = Colour(grey, grey, grey)
    assert find_trim(level(pixels), 10, border) == Box(left, top, right - left, bottom - top)


def test_line_art_keeps_its_thinnest_lines() -> None:
    pixels = canvas((255, 255, 255))
    pixels[7, 5:33] = 0
    pixels[20, 12] = 0
    assert find_trim(level(pixels), 10) == Box(5, 7, 28, 14)


def test_a_border_that_is_not_even_stays_within_the_tolerance() -> None:
    rng = np.random.default_rng(7)
    pixels = (250 + rng.integers(-5, 6, (30, 40, 3))).astype(np.uint8)
    pixels[10:20, 8:30] = 90
    assert find_trim(level(pixels), 10) == Box(8, 10, 22, 10)
    assert find_trim(level(pixels), 0) == Box(0, 0, 40, 30)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (9, 8, 7, 255), (9, 8, 7, 0)])
def test_where_all_is_border_nothing_is_trimmed(colour: tuple[int, ...]) -> None:
    assert find_trim(level(canvas(colour)), 10) == Box(0, 0, 40, 30)


def test_black_on_transparent_black_is_seen() -> None:
    pixels = canvas((0, 0, 0, 0))
    pixels[4:9, 6:16] = (0, 0, 0, 255)
    assert find_trim(level(pixels), 10) == Box(6, 4, 10, 5)


def test_what_is_transparent_is_border_whatever_its_colour() -> None:
    pixels = canvas((255, 255, 255, 255))
    pixels[0:30, 35:40] = (255, 0, 0, 0)
    pixels[4:9, 6:16] = (0, 0, 0, 255)
    assert find_trim(level(pixels), 10) == Box(6, 4, 10, 5)
    assert find_trim(level(pixels), 10, Colour(255, 255, 255)) == Box(6, 4, 10, 5)


def test_what_shines_through_counts_unrounded() -> None:
    """255 with alpha 77 over 9 is 83.28, which in whole numbers would be 74 away."""
    pixels = canvas((9, 9, 9, 255))
    pixels[5, 6] = (255, 9, 9, 77)
    assert find_trim(level(pixels), 74) == Box(6, 5, 1, 1)
    assert find_trim(level(pixels), 75) == Box(0, 0, 40, 30)


def test_a_named_colour_is_trimmed_though_the_corner_has_another() -> None:
    pixels = canvas((200, 0, 0))
    pixels[0, 0] = (0, 0, 200)
    assert find_trim(level(pixels), 10, Colour(200, 0, 0)) == Box(0, 0, 1, 1)


@pytest.mark.parametrize("format_name", READABLE)
def test_it_reads_an_original_once_from_top_to_bottom(format_name: str) -> None:
    """Higher than any of libvips' caches of lines, so that going back would fail."""
    picture = Image.fromarray(canvas((255, 255, 255), 64, 1500))
    picture.paste((20, 40, 200), (16, 320, 48, 1280))
    data = encoded(picture, format_name, **({"quality": 95} if "e" in format_name else {}))
    format_ = FORMATS["jpeg" if format_name == "progressive" else format_name]
    found = find_trim(steps.to_srgb(open_original(data, format_)), 100)
    assert found == Box(16, 320, 32, 960)
