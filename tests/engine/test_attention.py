"""The centre of attention beside that of libvips, whose rule it follows."""

from __future__ import annotations

import random

import pytest
import pyvips
from drawing import photograph
from PIL import Image

from image_processor.domain.geometry import Size
from image_processor.engine.operations.pixels import materialise, resize
from image_processor.engine.summary import visual
from image_processor.engine.summary.attention import SIDE, find_attention

_PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png")
_LEVELS = ((64, 48), (48, 64), (64, 64), (64, 33), (32, 64), (57, 64))


def _level(picture: Image.Image) -> pyvips.Image:
    pixels = picture.tobytes()
    image = pyvips.Image.new_from_memory(pixels, picture.width, picture.height, 3, "uchar")
    return materialise(image.copy(interpretation="srgb"))


def _by_libvips(level: pyvips.Image) -> tuple[int, int]:
    side = min(level.width, level.height)
    _, found = level.smartcrop(side, side, interesting="attention", attention_x=True, attention_y=True)
    return found["attention_x"], found["attention_y"]


def _by_us(level: pyvips.Image) -> tuple[int, int]:
    square = bytes(resize(level, Size(SIDE, SIDE)).write_to_memory())
    return find_attention(square, level.width, level.height)


@pytest.mark.parametrize("name", _PHOTOGRAPHS)
def test_attention_is_where_libvips_finds_it(name: str) -> None:
    picture, numbers = photograph(name), random.Random(name)
    found = set()
    for size in _LEVELS:
        for _ in range(5):
            left, top = (numbers.randrange(side // 2) for side in picture.size)
            right, bottom = (numbers.randrange(side * 3 // 4, side) for side in picture.size)
            level = _level(picture.crop((left, top, right, bottom)).resize(size))
            found.add(_by_us(level))
            assert _by_us(level) == _by_libvips(level)
    assert len(found) > 5


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 150, 120), (4, 4, 200)])
def test_one_spot_on_a_plain_ground(colour: tuple[int, int, int]) -> None:
    picture = Image.new("RGB", (64, 64), colour)
    picture.paste((230, 20, 20), (40, 12, 52, 24))
    level = _level(picture)
    (x, y), (other_x, other_y) = _by_us(level), _by_libvips(level)
    # Around the middle of the spot all is equal, but for the rounding of libvips' floats.
    assert abs(x - other_x) <= 2
    assert abs(y - other_y) <= 2
    assert 36 <= x <= 56
    assert 8 <= y <= 28


@pytest.mark.parametrize(("mode", "size"), [("RGBA", (64, 64)), ("RGB", (64, 20))])
def test_libvips_itself_is_asked_about_alpha_and_narrow_images(
    monkeypatch: pytest.MonkeyPatch, mode: str, size: tuple[int, int]
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("expected libvips to be asked")

    monkeypatch.setattr(visual, "find_attention", never)
    bands = len(mode)
    pixels = photograph().resize(size).convert(mode).tobytes()
    level = pyvips.Image.new_from_memory(pixels, *size, bands, "uchar").copy(interpretation="srgb")
    summary = visual.summarise(level)
    x, y = _by_libvips(level)
    assert summary.focus == (round((x + 0.5) / size[0], 3), round((y + 0.5) / size[1], 3))
