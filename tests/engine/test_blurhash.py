"""BlurHash, compared with an independent implementation: the package `blurhash` of PyPI."""

from __future__ import annotations

import blurhash as reference
import numpy as np
import pytest
from drawing import encoded, flat, photograph
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.models import Limits
from image_processor.engine.render import render
from image_processor.engine.summary.placeholders import COMPONENTS_ACROSS, COMPONENTS_DOWN, blurhash

SCENES = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


@pytest.mark.parametrize("scene", SCENES)
def test_blurhash_of_photos_equals_the_reference(scene: str) -> None:
    picture = photograph(scene).resize((32, 21))
    expected = reference.encode(np.asarray(picture), COMPONENTS_ACROSS, COMPONENTS_DOWN)
    assert blurhash(32, 21, picture.tobytes()) == expected


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_blurhash_of_any_image_equals_the_reference(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = reference.encode(pixels, COMPONENTS_ACROSS, COMPONENTS_DOWN)
    got = blurhash(width, height, pixels.tobytes())
    assert reference.components(got) == (COMPONENTS_ACROSS, COMPONENTS_DOWN)
    # A value at the border of two steps may fall on either side.
    shown, target = (np.array(reference.decode(code, 8, 8)) for code in (got, expected))
    assert np.abs(shown - target).max() <= 24
    assert len(got) == 28


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_blurhash_of_one_colour(colour: tuple[int, int, int]) -> None:
    assert mean_of(blurhash(8, 6, bytes(colour) * 48)) == colour


def mean_of(code: str) -> tuple[int, ...]:
    """The mean colour: a BlurHash of one colour has no other components."""
    return tuple(reference.decode("00" + code[2:6], 1, 1)[0][0])


def test_blurhash_in_a_visual_summary() -> None:
    picture = photograph()
    seen = render(encoded(picture), [], Limits()).summary
    assert seen is not None
    assert seen.blurhash is not None
    shown = np.array(reference.decode(seen.blurhash, 16, 12))
    coarse = np.asarray(picture.resize((4, 3)).resize((16, 12)), dtype=float)
    assert np.abs(shown - coarse).mean() < 20


def test_transparent_pixels_are_white() -> None:
    seen = render(encoded(flat((255, 0, 0, 0), "RGBA")), [], Limits()).summary
    assert seen is not None
    assert seen.blurhash is not None
    assert mean_of(seen.blurhash) == (255, 255, 255)
