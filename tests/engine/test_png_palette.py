"""PNG keeps palettes, grey and bit depths where they are exact, against Pillow."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from drawing import OnFirstUse, encoded, flat, made, opened, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from image_processor.domain.models import IccPolicy

PHOTO = photograph().resize((300, 200))


def drawing(mode: str = "RGB") -> Image.Image:
    picture = Image.new("RGBA" if mode == "RGBA" else "RGB", (200, 150), "white")
    pen = ImageDraw.Draw(picture)
    for number in range(14):
        pen.ellipse(
            (9 * number, 7 * number, 9 * number + 40, 7 * number + 30),
            fill=(17 * number, 90, 200 - 9 * number),
        )
    if mode == "RGBA":
        picture.putalpha(Image.new("L", picture.size, 128))
        picture.paste((10, 20, 30, 255), (0, 0, 50, 50))
    return picture


ORIGINALS: OnFirstUse[tuple[Image.Image, dict[str, int]]] = OnFirstUse(
    {
        "photo": lambda: (PHOTO, {}),
        "grey photo": lambda: (PHOTO.convert("L"), {}),
        "grey photo with alpha": lambda: (PHOTO.convert("LA"), {}),
        "1 bit": lambda: (PHOTO.convert("1"), {}),
        "2 bits of grey": lambda: (
            PHOTO.convert("L").point([value // 64 * 85 for value in range(256)]),
            {"bits": 2},
        ),
        "palette of 256": lambda: (PHOTO.quantize(256), {}),
        "palette of 16": lambda: (PHOTO.quantize(16), {"bits": 4}),
        "palette of 4": lambda: (PHOTO.quantize(4), {"bits": 2}),
        "palette with transparency": lambda: (PHOTO.quantize(200), {"transparency": 3}),
        "drawing": lambda: (drawing().quantize(64), {}),
        "one colour": lambda: (flat((1, 2, 3)).quantize(2), {"bits": 1}),
    }
)


@pytest.mark.parametrize("name", ORIGINALS)
def test_a_png_at_its_own_size_is_exact_and_not_larger(name: str) -> None:
    picture, options = ORIGINALS[name]
    data = encoded(picture, "png", compress_level=6, **options)
    made_ = made(data, "fm=png").body
    shown = opened(made_).convert("RGBA")
    assert shown.tobytes() == opened(data).convert("RGBA").tobytes()
    assert len(made_) <= 1.05 * len(data) + 40


@pytest.mark.parametrize(
    ("name", "mode"), [("1 bit", "1"), ("grey photo", "L"), ("palette of 16", "P"), ("photo", "RGB")]
)
def test_the_kind_of_pixels_is_kept(name: str, mode: str) -> None:
    picture, options = ORIGINALS[name]
    body = made(encoded(picture, "png", **options), "fm=png").body
    assert Image.open(io.BytesIO(body)).mode == mode


@given(
    st.integers(1, 19),
    st.integers(1, 9),
    st.lists(st.tuples(*[st.sampled_from((0, 17, 85, 128, 255))] * 4), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_any_few_colours_are_exact(width: int, height: int, colours: list[tuple[int, ...]], dice) -> None:  # type: ignore[no-untyped-def]
    pixels = np.array([dice.choice(colours) for _ in range(width * height)], np.uint8)
    picture = Image.fromarray(pixels.reshape(height, width, 4))
    shown = np.asarray(opened(made(encoded(picture), "fm=png").body).convert("RGBA"))
    assert np.array_equal(shown, np.asarray(picture))


def test_a_profile_is_kept_beside_a_palette() -> None:
    body = made(encoded(drawing()), "fm=png", icc=IccPolicy.EMBED).body
    shown = Image.open(io.BytesIO(body))
    assert shown.mode == "P"
    assert shown.info["icc_profile"][36:40] == b"acsp"


def test_progressive_pngs_are_interlaced() -> None:
    body = made(encoded(drawing()), "prog=1,fm=png").body
    assert body[28] == 1
    assert opened(body).convert("RGB").tobytes() == drawing().tobytes()


def test_chunks_are_in_order() -> None:
    """PNG, 5.6: IHDR, iCCP, PLTE, tRNS, IDAT, IEND."""
    body = made(encoded(drawing("RGBA")), "fm=png", icc=IccPolicy.EMBED).body
    names, at = [], 8
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        names.append(body[at + 4 : at + 8])
        content = body[at + 4 : at + 8 + length]
        assert zlib.crc32(content) == int.from_bytes(body[at + 8 + length : at + 12 + length], "big")
        at += 12 + length
    assert names == [b"IHDR", b"iCCP", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    assert Image.open(io.BytesIO(body)).mode == "P"
