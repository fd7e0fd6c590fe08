"""The visual summary, checked by decoders written from the specifications of its formats."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from drawing import Pixels, animated, as_floats, encoded, flat, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from image_processor.domain.models import Limits, VisualSummary
from image_processor.domain.transformation import parse
from image_processor.engine.render import render
from image_processor.engine.summary.palette import colour_boxes, dominant_colour
from image_processor.engine.summary.placeholders import thumbhash
from image_processor.engine.summary.visual import perceptual_hash

SCENES = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


def look(picture: Image.Image, format_name: str = "png") -> VisualSummary:
    seen = render(encoded(picture, format_name), [], Limits()).summary
    assert seen is not None
    return seen


def distance(one: VisualSummary, other: VisualSummary) -> int:
    return (int(one.perceptual_hash, 16) ^ int(other.perceptual_hash, 16)).bit_count()


class Decoded:
    """A decoded ThumbHash: mean, channels, alpha and ratio."""

    def __init__(self, code: bytes) -> None:
        head, tail = int.from_bytes(code[:3], "little"), int.from_bytes(code[3:5], "little")
        self.has_alpha = bool(head >> 23)
        self.landscape = bool(tail >> 15)
        longest = 5 if self.has_alpha else 7
        across, down = (longest, tail & 7) if self.landscape else (tail & 7, longest)
        self.ratio = across / down
        luma, warm, green = (head & 63) / 63, (head >> 6 & 63) / 31.5 - 1, (head >> 12 & 63) / 31.5 - 1
        self.mean_alpha = (code[5] & 15) / 15 if self.has_alpha else 1.0
        blue = luma - 2 / 3 * warm
        red = (3 * luma - blue + green) / 2
        self.mean = np.clip([red, red - green, blue], 0, 1) * 255
        self._nibbles = [
            nibble for byte in code[6 if self.has_alpha else 5 :] for nibble in (byte & 15, byte >> 4)
        ]
        self._luma = (luma, self._terms(max(3, across), max(3, down), (head >> 18 & 31) / 31))
        self._warm = (warm, self._terms(3, 3, (tail >> 3 & 63) / 63 * 1.25))
        self._green = (green, self._terms(3, 3, (tail >> 9 & 63) / 63 * 1.25))

    def _terms(self, across: int, down: int, scale: float) -> list[tuple[int, int, float]]:
        orders = [(x, y) for y in range(down) for x in range(across) if x * down < across * (down - y)]
        return [(x, y, (self._nibbles.pop(0) / 7.5 - 1) * scale) for x, y in orders[1:]]

    def picture(self, width: int, height: int) -> Image.Image:
        """The blurred image that a browser would show."""
        xs, ys = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)

        def plane(mean: float, terms: list[tuple[int, int, float]]) -> Pixels:
            total = np.full((height, width), mean)
            for x, y, value in terms:
                total += 2 * value * np.cos(math.pi * x * xs) * np.cos(math.pi * y * ys)
            return total

        luma, warm, green = plane(*self._luma), plane(*self._warm), plane(*self._green)
        blue = luma - 2 / 3 * warm
        red = (3 * luma - blue + green) / 2
        pixels = np.stack([red, red - green, blue], axis=-1).clip(0, 1) * 255
        return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("scene", SCENES)
def test_a_thumbhash_has_the_mean_colour_and_ratio_of_its_picture(scene: str) -> None:
    picture = photograph(scene)
    decoded = Decoded(base64.b64decode(look(picture).thumbhash))
    assert np.abs(decoded.mean - as_floats(picture).mean(axis=(0, 1))).max() < 8
    assert decoded.ratio == pytest.approx(picture.width / picture.height, rel=0.2)
    assert not decoded.has_alpha


@pytest.mark.parametrize("scene", SCENES)
def test_a_thumbhash_shows_its_picture(scene: str) -> None:
    picture = photograph(scene)
    shown = as_floats(Decoded(base64.b64decode(look(picture).thumbhash)).picture(32, 24))
    coarse = picture.resize((6, 4), Image.Resampling.BOX)
    blurred = as_floats(coarse.resize((32, 24), Image.Resampling.BICUBIC))
    others = [as_floats(turn(picture).resize((32, 24))) for turn in (ImageOps.mirror, ImageOps.flip)]
    error = np.abs(shown - blurred).mean()
    assert error < 20
    assert all(error < np.abs(shown - other).mean() for other in others)


@given(st.integers(1, 32), st.integers(1, 32), st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 255))
def test_a_flat_thumbhash_is_its_colour(
    width: int, height: int, colour: tuple[int, int, int], alpha: int
) -> None:
    decoded = Decoded(thumbhash(width, height, bytes([*colour, alpha]) * width * height))
    assert decoded.has_alpha == (alpha < 255)
    assert decoded.landscape == (width > height)
    assert abs(decoded.mean_alpha * 255 - alpha) <= 9
    if not alpha:
        assert decoded.mean.max() < 4
    else:
        # Six bits for mean brightness, six for each colour difference of twice the range.
        assert np.abs(decoded.mean - colour).max() <= 16


@given(st.integers(1, 32), st.integers(1, 32), st.randoms())
def test_a_thumbhash_is_at_most_25_bytes(width: int, height: int, random: object) -> None:
    rgba = random.randbytes(4 * width * height)
    assert 5 <= len(thumbhash(width, height, rgba)) <= 25


def test_transparency_is_in_the_thumbhash() -> None:
    picture = flat((255, 0, 0, 255), "RGBA", (60, 60))
    picture.paste((0, 0, 0, 0), (0, 0, 30, 60))
    decoded = Decoded(base64.b64decode(look(picture).thumbhash))
    assert decoded.has_alpha
    assert decoded.mean_alpha == pytest.approx(0.5, abs=0.07)
    assert np.abs(decoded.mean - (255, 0, 0)).max() < 16


@pytest.mark.parametrize("scene", SCENES)
def test_similar_images_have_close_hashes(scene: str) -> None:
    picture = photograph(scene)
    original = look(picture)
    for other in (
        picture.resize((picture.width // 2, picture.height // 2)),
        Image.fromarray((as_floats(picture) * 0.9 + 10).astype(np.uint8)),
    ):
        assert distance(original, look(other)) <= 6
    assert distance(original, look(picture, "jpeg")) <= 6


def test_different_images_have_distant_hashes() -> None:
    looks = [look(photograph(scene)) for scene in SCENES]
    for index, one in enumerate(looks):
        assert all(distance(one, other) > 16 for other in looks[index + 1 :])


def test_perceptual_hash_equals_a_plain_dct() -> None:
    """By the definition of the DCT, without separating rows and columns."""
    grey = photograph().convert("L").resize((32, 32))
    values = as_floats(grey)
    waves = np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))
    lowest = np.einsum("yj,ji,xi->yx", waves, values, waves)
    bits = (lowest > np.median(lowest)).ravel()
    expected = "".join("1" if bit else "0" for bit in bits)
    assert perceptual_hash(grey.tobytes()) == f"{int(expected, 2):016x}"


def test_a_flat_picture_has_a_hash_without_noise() -> None:
    assert perceptual_hash(bytes([200]) * 1024) == "8000000000000000"


def test_the_dominant_colour_is_the_most_frequent_one() -> None:
    picture = flat((200, 30, 40), size=(90, 60))
    picture.paste((20, 220, 60), (0, 0, 40, 60))
    assert look(picture).dominant_colour == "#c81e28"


def test_invisible_pixels_have_no_colour() -> None:
    rgba = bytes([255, 0, 0, 0]) * 90 + bytes([0, 0, 255, 255]) * 10
    assert dominant_colour(colour_boxes(rgba)) == "#0000ff"
    assert dominant_colour(colour_boxes(bytes(400))) == "#ffffff"


def test_the_summary_of_an_animation_is_that_of_its_first_frame() -> None:
    frames = [photograph().resize((120, 80)), flat("black", size=(120, 80))]
    data = animated(frames, "webp", [50, 50], lossless=True)
    seen = render(data, [parse("w=60,fm=webp")], Limits()).summary
    assert seen is not None
    assert distance(seen, look(frames[0])) <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_tiny_and_thin_images_have_a_summary(size: tuple[int, int]) -> None:
    seen = look(flat((10, 200, 30), size=size))
    assert seen.dominant_colour == "#0ac81e"
    assert np.abs(Decoded(base64.b64decode(seen.thumbhash)).mean - (10, 200, 30)).max() < 16


def test_the_summary_hardly_depends_on_the_renditions() -> None:
    data = encoded(photograph())
    alone = render(data, [], Limits()).summary
    among = render(data, [parse(f"w={width},fm=jpeg") for width in (400, 200, 100)], Limits()).summary
    assert alone is not None
    assert among is not None
    assert distance(alone, among) <= 2


@pytest.mark.parametrize("place", [(0.8, 0.75), (0.2, 0.3)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_focal_point_is_the_centre_of_attention(place: tuple[float, float], mode: str) -> None:
    picture = flat((90, 90, 90), size=(320, 200)).convert(mode)
    x, y = (round(part * side) for part, side in zip(place, picture.size, strict=True))
    picture.paste((230, 20, 20), (x - 12, y - 12, x + 12, y + 12))
    assert look(picture).focus == pytest.approx(place, abs=0.07)


def test_the_focal_point_follows_the_orientation() -> None:
    picture = flat((90, 90, 90), size=(320, 200))
    picture.paste((230, 20, 20), (250, 140, 280, 170))
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    seen = render(encoded(picture, "jpeg", exif=exif), [], Limits()).summary
    assert seen is not None
    assert seen.focus == pytest.approx((1 - 265 / 320, 1 - 155 / 200), abs=0.07)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (90, 60)])
def test_a_flat_image_has_a_central_focal_point(size: tuple[int, int]) -> None:
    assert look(flat((10, 200, 30), size=size)).focus == (0.5, 0.5)


@pytest.mark.parametrize("scene", SCENES)
def test_a_focus_lies_within_its_picture_and_has_three_decimals(scene: str) -> None:
    found = look(photograph(scene)).focus
    assert found is not None
    assert all(0 < part < 1 and part == round(part, 3) for part in found)
