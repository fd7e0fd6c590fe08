"""Decoding a ThumbHash restores the image as far as the hash contains it."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from drawing import photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_processor.delivery.markup.thumbhash_pixels import thumbhash_to_rgba
from image_processor.engine.summary.placeholders import thumbhash

Drawing = np.ndarray


def there_and_back(picture: Image.Image, width: int, height: int) -> Drawing:
    hashed = thumbhash(picture.width, picture.height, picture.convert("RGBA").tobytes())
    return (
        np.frombuffer(thumbhash_to_rgba(hashed, width, height), np.uint8)
        .reshape(height, width, 4)
        .astype(float)
    )


def waves(width: int, height: int, across: int, down: int) -> Image.Image:
    """Grey with waves of the frequencies that the hash contains."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    level = 0.5 + 0.2 * np.cos(math.pi * across * x) * np.cos(math.pi * down * y)
    return Image.fromarray((255 * level).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (80, 80)])
@pytest.mark.parametrize("wave", [(0, 1), (1, 0), (2, 1), (1, 2)])
def test_waves_come_back_where_they_were(size: tuple[int, int], wave: tuple[int, int]) -> None:
    picture = waves(*size, *wave)
    back = there_and_back(picture, *size)
    # Four bits cannot represent zero, so absent frequencies return faintly.
    assert np.corrcoef(back[..., :3].ravel(), np.asarray(picture).ravel())[0, 1] > 0.9
    assert np.abs(back[..., :3] - np.asarray(picture).astype(float)).mean() < 20
    assert (back[..., 3] == 255).all()


def test_a_photograph_comes_back_blurred() -> None:
    picture = photograph().resize((96, 64))
    back = there_and_back(picture, 12, 8)[..., :3]
    small = np.asarray(picture.resize((12, 8), Image.Resampling.BOX)).astype(float)
    grey = np.full_like(small, small.mean())
    assert np.square(back - small).mean() < 0.5 * np.square(grey - small).mean()


def test_colours_and_transparency_come_back() -> None:
    picture = Image.new("RGBA", (64, 48), (200, 60, 20, 255))
    picture.paste((200, 60, 20, 0), (0, 0, 32, 48))
    back = there_and_back(picture, 16, 12)
    assert back[:, :4, 3].mean() < 40
    assert back[:, -4:, 3].mean() > 215
    assert np.abs(back[:, -4:, :3].mean(axis=(0, 1)) - (200, 60, 20)).max() < 12


@given(st.binary(max_size=40), st.integers(1, 12), st.integers(1, 12))
def test_any_bytes_are_pixels_or_an_error(packed: bytes, width: int, height: int) -> None:
    with suppress(ValueError):
        assert len(thumbhash_to_rgba(packed, width, height)) == 4 * width * height
