"""Smart crops: the window is within the image, and contains what matters."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
from drawing import encoded, photograph, picture_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation.values import SMART, Gravity
from image_processor.engine.operations import faces
from image_processor.engine.operations.smart import window

BY_PIXELS = [Gravity.ATTENTION, Gravity.ENTROPY]
SIDES = st.integers(1, 900)


def level(pixels: NDArray[np.uint8]) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")


def noise(height: int, width: int, bands: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, bands), dtype=np.uint8)


def found(monkeypatch: pytest.MonkeyPatch, *boxes: Box) -> None:
    monkeypatch.setattr(faces, "find_faces", lambda _: boxes)


@given(SIDES, SIDES, st.sampled_from(BY_PIXELS), st.sampled_from([3, 4]), st.data())
def test_the_window_is_within_the_image(
    width: int, height: int, gravity: Gravity, bands: int, data: st.DataObject
) -> None:
    size = Size(data.draw(st.integers(1, width)), data.draw(st.integers(1, height)))
    picture = pyvips.Image.black(width, height, bands=bands).copy(interpretation="srgb")
    left, top = window(picture, size, gravity)
    assert 0 <= left <= width - size.width
    assert 0 <= top <= height - size.height


# Attention centres a single point of the object, so half of it may be lost.
@pytest.mark.parametrize(("gravity", "slack"), [(Gravity.ENTROPY, 12), (Gravity.ATTENTION, 50)])
@pytest.mark.parametrize("scale", [1, 9])
@pytest.mark.parametrize("at", [0, 100, 200])
def test_the_window_contains_the_only_object(gravity: Gravity, slack: int, scale: int, at: int) -> None:
    """At scale 9 the image is larger than the copy on which entropy is measured."""
    pixels = np.full((60 * scale, 300 * scale, 3), 90, np.uint8)
    # Patches, since attention is measured so small that noise is grey.
    patches = noise(3, 5).repeat(20 * scale, axis=0).repeat(20 * scale, axis=1)
    pixels[:, at * scale : (at + 100) * scale] = patches
    left, top = window(level(pixels), Size(100 * scale, 60 * scale), gravity)
    assert top == 0
    assert abs(left - at * scale) <= slack * scale


def test_entropy_prefers_many_colours_to_a_strong_one() -> None:
    """Where the two differ: attention finds edges and skin, entropy finds variety."""
    pixels = np.full((100, 300, 3), 120, np.uint8)
    pixels[30:70, 30:70] = (255, 0, 0)
    pixels[:, 200:] = 100 + noise(100, 100) // 8
    size = Size(100, 100)
    assert window(level(pixels), size, Gravity.ENTROPY)[0] >= 180
    assert window(level(pixels), size, Gravity.ATTENTION)[0] <= 60


@pytest.mark.parametrize("gravity", BY_PIXELS)
@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_pixels_do_not_count(gravity: Gravity, ink: int) -> None:
    """Noise under full transparency, beside a visible plain black or white area."""
    pixels = np.zeros((100, 300, 4), np.uint8)
    pixels[:, :100, :3] = noise(100, 100)
    pixels[20:80:8, 210:290] = (ink, ink, ink, 255)
    assert window(level(pixels), Size(100, 100), gravity)[0] >= 150


@pytest.mark.parametrize("gravity", sorted(SMART))
def test_a_window_of_the_whole_image_reads_no_pixels(
    gravity: Gravity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "find_faces", lambda _: pytest.fail("looked for faces"))
    assert window(level(noise(20, 30)), Size(30, 20), gravity) == (0, 0)


def test_other_gravities_raise_value_error() -> None:
    with pytest.raises(ValueError, match="expected a gravity that needs pixels, got north"):
        window(level(noise(20, 30)), Size(20, 20), Gravity.NORTH)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([Box(140, 30, 20, 20)], (100, 0)),
        # a remainder goes to the right: 2 * 140 + 21 - 100 = 201
        ([Box(140, 30, 21, 20)], (100, 0)),
        # at the ends of the image
        ([Box(0, 30, 20, 20)], (0, 0)),
        ([Box(280, 30, 20, 20)], (200, 0)),
        # two that fit: the centre of both
        ([Box(100, 0, 30, 30), Box(150, 60, 20, 20)], (85, 0)),
        # exactly as wide as the window
        ([Box(100, 0, 30, 30), Box(180, 60, 20, 20)], (100, 0)),
        # one pixel too wide: the largest
        ([Box(100, 0, 30, 30), Box(181, 60, 20, 20)], (65, 0)),
        # three, of which the farthest is decisive
        ([Box(100, 0, 30, 30), Box(160, 0, 20, 20), Box(50, 0, 10, 10)], (65, 0)),
        # larger than the window
        ([Box(20, 0, 200, 100)], (70, 0)),
    ],
)
def test_faces_decide_the_window(
    monkeypatch: pytest.MonkeyPatch, boxes: list[Box], expected: tuple[int, int]
) -> None:
    found(monkeypatch, *boxes)
    assert window(level(noise(100, 300)), Size(100, 100), Gravity.FACES) == expected


def test_faces_decide_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Box(100, 120, 20, 40))
    assert window(level(noise(300, 300)), Size(60, 100), Gravity.FACES) == (80, 90)
    found(monkeypatch, Box(100, 100, 20, 20), Box(110, 170, 10, 10))
    assert window(level(noise(300, 300)), Size(60, 100), Gravity.FACES) == (80, 90)
    assert window(level(noise(300, 300)), Size(100, 60), Gravity.FACES) == (60, 80)


def test_without_a_face_attention_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch)
    pixels = np.full((100, 300, 3), 90, np.uint8)
    pixels[20:80, 210:270] = (255, 60, 0)
    by_attention = window(level(pixels), Size(100, 100), Gravity.ATTENTION)
    assert by_attention[0] > 150
    assert window(level(pixels), Size(100, 100), Gravity.FACES) == by_attention


def test_a_rendition_by_entropy_shows_the_detail() -> None:
    cat = photograph().crop((100, 50, 200, 150))
    picture = Image.new("RGB", (300, 100), (130, 130, 130))
    picture.paste(cat, (200, 0))
    shown = picture_of(encoded(picture), "w=100,h=100,g=entropy,fm=png")
    assert np.abs(np.asarray(shown, float) - np.asarray(cat, float)).mean() < 12
