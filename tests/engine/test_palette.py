"""The palette of an image: its colours are distinct in scikit-image's CIELAB."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from drawing import encoded, flat, photograph
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from image_processor.domain.models import Limits
from image_processor.engine.render import render
from image_processor.engine.summary.palette import MAX_COLOURS, MIN_DISTANCE, _to_lab, colour_boxes, palette

SCENES = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")
BYTES = st.integers(0, 255)


def lab(colour: str) -> np.ndarray:
    pixel = np.array([[[int(colour[at : at + 2], 16) for at in (1, 3, 5)]]], dtype=np.uint8)
    return rgb2lab(pixel)[0, 0]


def colours(rgba: bytes) -> list[float]:
    found = palette(colour_boxes(rgba))
    return [float(np.linalg.norm(lab(one) - lab(other))) for one, other in combinations(found, 2)]


@given(st.tuples(BYTES, BYTES, BYTES))
def test_distances_equal_cielab(colour: tuple[int, int, int]) -> None:
    text = "#{:02x}{:02x}{:02x}".format(*colour)
    assert np.abs(np.array(_to_lab(colour)) - lab(text)).max() < 0.05


@given(st.lists(st.tuples(BYTES, BYTES, BYTES, BYTES), min_size=1, max_size=60))
def test_colours_of_a_palette_are_distinct(pixels: list[tuple[int, int, int, int]]) -> None:
    rgba = bytes(value for pixel in pixels for value in pixel)
    found = palette(colour_boxes(rgba))
    assert len(found) <= MAX_COLOURS
    assert all(away > MIN_DISTANCE - 0.1 for away in colours(rgba))
    assert bool(found) == any(alpha for *_, alpha in pixels)


@pytest.mark.parametrize("scene", SCENES)
def test_a_palette_represents_a_photo(scene: str) -> None:
    """Every colour has pixels near it, and most pixels are near a colour."""
    picture = photograph(scene)
    picture.thumbnail((32, 32))
    seen = render(encoded(photograph(scene)), [], Limits()).summary
    assert seen is not None
    assert 2 <= len(seen.palette) <= MAX_COLOURS
    pixels = rgb2lab(np.asarray(picture)).reshape(-1, 3)
    away = np.stack([np.linalg.norm(pixels - lab(colour), axis=1) for colour in seen.palette])
    assert (away.min(axis=1) < MIN_DISTANCE).all()
    assert (away.min(axis=0) < MIN_DISTANCE).mean() > 0.75


def test_the_most_frequent_colour_comes_first() -> None:
    picture = flat((20, 220, 60), size=(60, 60))
    picture.paste((200, 30, 40), (0, 0, 60, 20))
    picture.paste((20, 30, 200), (0, 0, 10, 20))
    seen = render(encoded(picture), [], Limits()).summary
    assert seen is not None
    expected = ("#14dc3c", "#c81e28", "#141ec8")
    # Resizing blends the edges, and rings slightly beside them.
    pairs = zip(seen.palette[:3], expected, strict=True)
    assert all(np.linalg.norm(lab(one) - lab(other)) < 5 for one, other in pairs)


def test_shades_of_one_colour_count_together() -> None:
    dark, light = bytes([20, 200, 60, 255]), bytes([20, 214, 60, 255])  # in two histogram boxes
    black = bytes([0, 0, 0, 255])
    assert palette(colour_boxes(dark * 20 + light * 19 + black * 30)) == ("#14c83c", "#000000")


def test_rare_colours_are_left_out() -> None:
    grey, red = bytes([128, 128, 128, 255]), bytes([255, 0, 0, 255])
    assert palette(colour_boxes(grey * 995 + red * 5)) == ("#808080",)
    assert palette(colour_boxes(grey * 980 + red * 20)) == ("#808080", "#ff0000")
    faint = bytes([255, 0, 0, 10])
    assert palette(colour_boxes(grey * 900 + faint * 100)) == ("#808080",)
