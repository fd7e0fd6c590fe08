"""Animated PNG, in and out: Pillow, which composes frames by itself, writes them and reads ours."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from drawing import Pixels, animated, as_floats, corners, encoded, flat, made, opened
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.png_chunks import SIGNATURE, chunk, chunks
from image_processor.engine.render import render

SIZE = (24, 18)
DELAYS = (40, 80, 120)

Control = tuple[Image.Image, tuple[int, int], int, int]
"""A frame, its place, and its disposal and blend."""


def frames_of(body: bytes) -> list[Pixels]:
    """Every frame as Pillow shows it, in RGBA."""
    picture = Image.open(io.BytesIO(body))
    shown = []
    for index in range(getattr(picture, "n_frames", 1)):
        picture.seek(index)
        shown.append(as_floats(picture.convert("RGBA")))
    return shown


def delays_of(body: bytes) -> list[float]:
    picture = Image.open(io.BytesIO(body))
    delays = []
    for index in range(picture.n_frames):  # type: ignore[attr-defined]
        picture.seek(index)
        picture.load()
        delays.append(picture.info["duration"])
    return delays


def composed(frames: Sequence[Control], size: tuple[int, int]) -> list[Pixels]:
    """What the standard says that is shown (PNG, third edition, 11.3.6.2 and 13.16), in RGBA."""
    canvas, shown = np.zeros((size[1], size[0], 4)), []
    for number, (picture, (left, top), disposal, blend) in enumerate(frames):
        before, area = canvas.copy(), np.s_[top : top + picture.height, left : left + picture.width]
        source = as_floats(picture.convert("RGBA"))
        canvas[area] = over(source, canvas[area]) if blend else source
        shown.append(canvas.copy())
        if disposal == 1 or (disposal == 2 and number == 0):
            canvas[area] = 0
        elif disposal == 2:
            canvas = before
    return shown


def over(source: Pixels, below: Pixels) -> Pixels:
    alpha = source[..., 3:] / 255
    rest = below[..., 3:] / 255 * (1 - alpha)
    colours = (source[..., :3] * alpha + below[..., :3] * rest) / np.maximum(alpha + rest, 1e-9)
    return np.concatenate([colours, 255 * (alpha + rest)], axis=2)


def written(frames: Sequence[Control], size: tuple[int, int]) -> bytes:
    """An animated PNG of these frames, of which the first has the whole size."""
    body, number = b"", 0
    for picture, (left, top), disposal, blend in frames:
        sides = struct.pack(">IIII", *picture.size, left, top)
        body += chunk(b"fcTL", struct.pack(">I", number) + sides + bytes([0, 1, 0, 10, disposal, blend]))
        still, number = encoded(picture), number + 1
        pixels = b"".join(still[start + 8 : end - 4] for name, start, end in chunks(still) if name == b"IDAT")
        if number == 1:
            body += chunk(b"IDAT", pixels)
        else:
            body, number = body + chunk(b"fdAT", struct.pack(">I", number) + pixels), number + 1
    first = encoded(frames[0][0])
    assert frames[0][0].size == size
    before = b"".join(
        first[start:end] for name, start, end in chunks(first) if name in {b"IHDR", b"PLTE", b"tRNS"}
    )
    return (
        SIGNATURE + before + chunk(b"acTL", struct.pack(">II", len(frames), 0)) + body + chunk(b"IEND", b"")
    )


def drawn(seed: int, mode: str, count: int = 6) -> list[Control]:
    """Boxes of noise at random places, with every disposal and blend; with alpha, some are translucent."""
    dice = random.Random(seed)
    frames: list[Control] = []
    for number in range(count):
        width, height = SIZE if number == 0 else (dice.randrange(3, 15), dice.randrange(3, 12))
        noise = np.random.default_rng(seed + number).integers(0, 256, (height, width, 4), dtype=np.uint8)
        noise[..., 3] = dice.choice([255, 128]) * (noise[..., 3] > 90)
        picture = Image.fromarray(noise)
        picture = picture if mode == "RGBA" else picture.convert("RGB").convert(mode)
        place = (dice.randrange(SIZE[0] - width + 1), dice.randrange(SIZE[1] - height + 1))
        frames.append((picture, place, dice.randrange(3), dice.randrange(2)))
    return frames


def are_close(expected: Sequence[Pixels], got: Sequence[Pixels], tolerance: float) -> bool:
    """Whether frames differ little in alpha, and in the colours that can be seen."""
    return len(expected) == len(got) and all(
        float(np.abs(premultiplied(one) - premultiplied(other)).max()) <= tolerance
        for one, other in zip(expected, got, strict=True)
    )


def premultiplied(pixels: Pixels) -> Pixels:
    return np.concatenate([pixels[..., :3] * pixels[..., 3:] / 255, pixels[..., 3:]], axis=2)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
@pytest.mark.parametrize("seed", range(8))
def test_frames_are_composed_as_the_standard_says(mode: str, seed: int) -> None:
    frames = drawn(seed, mode)
    data = written(frames, SIZE)
    assert Image.open(io.BytesIO(data)).n_frames == len(frames)  # type: ignore[attr-defined]
    for text in ("fm=webp,lossless=1", "fm=apng"):
        assert are_close(composed(frames, SIZE), frames_of(made(data, text).body), 2.5)


def test_canvas_that_is_cleared_is_transparent_also_without_alpha() -> None:
    frames = [
        (flat(colour, size=(side, side)), (0, 0), disposal, 0)
        for colour, side, disposal in (("red", 8, 0), ("lime", 4, 1), ("blue", 2, 0))
    ]
    rendered = render(written(frames, (8, 8)), [parse("fm=apng")], Limits())
    assert rendered.original.alpha
    last = frames_of(rendered.renditions[0].body)[2]
    assert [tuple(last[at, at]) for at in (1, 3, 6)] == [(0, 0, 255, 255), (0, 0, 0, 0), (255, 0, 0, 255)]


def test_a_palette_is_that_of_all_frames() -> None:
    pictures = [corners(24, 18).rotate(turn).quantize(4) for turn in (0, 180)]
    data = animated(pictures, "png", [40, 80])
    expected = [as_floats(picture.convert("RGBA")) for picture in pictures]
    assert are_close(expected, frames_of(made(data, "fm=apng").body), 0)


@pytest.mark.parametrize("format_name", ["webp", "gif", "apng"])
def test_it_moves_with_its_delays_and_loops(format_name: str) -> None:
    data = animated([corners(48, 32).rotate(turn) for turn in (0, 90, 180)], "png", DELAYS, loop=3)
    rendered = render(data, [parse(f"w=24,fm={format_name}")], Limits())
    assert (rendered.original.frames, rendered.original.file_frames) == (3, None)
    body = rendered.renditions[0].body
    assert rendered.renditions[0].metadata.frames == 3
    assert delays_of(body) == list(DELAYS)
    assert Image.open(io.BytesIO(body)).info["loop"] == (2 if format_name == "gif" else 3)


def test_a_frame_can_be_chosen_as_of_any_animation() -> None:
    data = animated([flat(colour) for colour in ("red", "lime", "blue")], "png", DELAYS)
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)], 1):
        assert opened(made(data, f"frame={number},fm=png").body).getpixel((5, 5)) == colour
    assert made(data, "frames=2,fm=apng").metadata.frames == 2


@pytest.mark.parametrize("format_name", ["png", "jpeg", "avif", "tiff"])
def test_a_still_format_gets_the_first_frame(format_name: str) -> None:
    data = animated([flat("red"), flat("lime")], "png", [50, 50])
    rendition = made(data, f"fm={format_name}")
    assert rendition.metadata.frames == 1
    assert are_close(frames_of(rendition.body), [as_floats(flat("red").convert("RGBA"))], 3)


def test_the_first_frame_is_not_an_image_for_stills_alone() -> None:
    hidden = flat("black")
    body = io.BytesIO()
    frames = [flat("red"), flat("lime")]
    hidden.save(body, "png", save_all=True, append_images=frames, default_image=True, duration=50)
    original = render(body.getvalue(), [], Limits()).original
    assert original.frames == 2
    assert opened(made(body.getvalue(), "fm=png").body).getpixel((5, 5)) == (255, 0, 0)
    assert [tuple(map(int, frame[5, 5])) for frame in frames_of(made(body.getvalue(), "fm=apng").body)] == [
        (255, 0, 0, 255),
        (0, 255, 0, 255),
    ]


def test_a_profile_is_followed() -> None:
    profile = encoded_profile()
    plain = animated([flat("red"), flat((0, 200, 0))], "png", [50, 50])
    tagged = animated([flat("red"), flat((0, 200, 0))], "png", [50, 50], icc_profile=profile)
    still = encoded(flat((0, 200, 0)), "png", icc_profile=profile)
    second = frames_of(made(tagged, "fm=apng").body)[1][5, 5]
    assert list(second[:3]) == list(as_floats(opened(made(still, "fm=png").body))[5, 5][:3])
    assert list(second) != list(frames_of(made(plain, "fm=apng").body)[1][5, 5])


def encoded_profile() -> bytes:
    """Display P3, out of a picture of ours."""
    picture = Image.open(io.BytesIO(made(encoded(flat("red")), "fm=png,colour=p3").body))
    profile: bytes = picture.info["icc_profile"]
    return profile


def test_sixteen_bits_are_composed_with_all_of_them() -> None:
    """Pillow has no 16-bit colour, so the frames are rows of an own PNG: 0x0101 n is n in 8 bits."""

    def rows(level: int) -> bytes:
        return zlib.compress((b"\0" + bytes([level, level]) * 3 * 4) * 4)

    head = chunk(b"IHDR", bytes.fromhex("00000004 00000004 10 02 00 00 00"))
    control = bytes.fromhex("00000004 00000004 00000000 00000000 0001 000a 00 00")
    body = SIGNATURE + head + chunk(b"acTL", bytes.fromhex("00000002 00000000"))
    body += chunk(b"fcTL", bytes(4) + control) + chunk(b"IDAT", rows(50))
    body += chunk(b"fcTL", b"\0\0\0\1" + control) + chunk(b"fdAT", b"\0\0\0\2" + rows(200))
    body += chunk(b"IEND", b"")
    made_frames = frames_of(made(body, "fm=apng").body)
    assert [tuple(frame[2, 2]) for frame in made_frames] == [(50, 50, 50, 255), (200, 200, 200, 255)]
    assert delays_of(made(body, "fm=apng").body) == [100, 100]


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
def test_what_is_written_shows_the_same_in_pillow(mode: str) -> None:
    turned = [corners(*SIZE).rotate(turn, expand=False) for turn in (0, 30, 60)]
    pictures = [picture.convert(mode) for picture in turned]
    if mode == "RGBA":
        for picture, alpha in zip(pictures, (255, 128, 0), strict=True):
            picture.putalpha(alpha)
    data = animated(pictures, "webp", DELAYS, lossless=True, exact=True)
    expected = [as_floats(picture.convert("RGBA")) for picture in pictures]
    assert are_close(expected, frames_of(made(data, "fm=apng").body), 1)


def test_equal_frames_stay_frames() -> None:
    data = animated([flat("red"), flat("lime"), flat("lime")], "gif", DELAYS, optimize=False)
    rendition = made(data, "fm=apng")
    assert (
        rendition.metadata.frames
        == len(frames_of(rendition.body))
        == render(data, [], Limits()).original.frames
    )


def test_a_long_delay_fits_into_sixteen_bits() -> None:
    data = animated([flat("red"), flat("lime")], "webp", [100_000, 40])
    assert delays_of(made(data, "fm=apng").body) == [100_000, 40]


def test_the_longest_delay_and_the_most_loops_fit_every_format() -> None:
    data = animated([flat("red"), flat("lime")], "png", [65_535_000, 40], loop=4_000_000_000)
    rendered = render(data, [parse(f"fm={name}") for name in ("webp", "gif", "apng", "avifs")], Limits())
    assert [rendition.metadata.frames for rendition in rendered.renditions] == [2] * 4


def test_only_what_changes_is_stored() -> None:
    noise = Image.effect_noise((128, 128), 90).convert("RGB")
    changed = noise.copy()
    changed.putpixel((70, 90), (255, 0, 0))
    data = animated([noise, changed], "webp", [50, 50], lossless=True)
    body = made(data, "fm=apng").body
    controls = [body[start + 12 : start + 28] for name, start, _ in chunks(body) if name == b"fcTL"]
    assert [int.from_bytes(control[:4], "big") for control in controls] == [128, 1]
    assert [int.from_bytes(control[8:12], "big") for control in controls] == [0, 70]


def test_a_still_in_this_format_is_a_png() -> None:
    rendition = made(encoded(corners()), "fm=apng")
    assert rendition.body == made(encoded(corners()), "fm=png").body
    assert rendition.metadata.media_type == "image/apng"


def replaced(data: bytes, name: bytes, change: Any) -> bytes:
    parts = [
        chunk(found, change(data[start + 8 : end - 4])) if found == name else data[start:end]
        for found, start, end in chunks(data)
    ]
    return SIGNATURE + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (b"acTL", lambda content: b"\0\0\0\7" + content[4:]),
        (b"acTL", lambda content: content[:3]),
        (b"fcTL", lambda content: content[:9]),
        (b"fcTL", lambda content: content[:4] + b"\0\0\1\0" + content[8:]),
        (b"fcTL", lambda content: content[:4] + bytes(4) + content[8:]),
        (b"fcTL", lambda content: content[:24] + b"\7\0"),
        (b"fcTL", lambda content: b"\0\0\0\7" + content[4:]),
        (b"fdAT", lambda _: b""),
    ],
)
def test_an_animation_that_breaks_a_rule_is_a_still(name: bytes, change: Any) -> None:
    data = replaced(animated([flat("red"), flat("lime"), flat("blue")], "png", DELAYS), name, change)
    original = render(data, [parse("fm=webp")], Limits()).original
    assert original.frames == 1
    assert original.file_frames in {None, 3, 7}


def test_broken_pixels_of_a_frame_are_refused() -> None:
    data = animated([corners(), corners().rotate(180), corners().rotate(90)], "png", DELAYS)
    broken = replaced(data, b"fdAT", lambda content: content[:4] + bytes(len(content) - 4))
    with pytest.raises(Refused) as refused:
        made(broken, "fm=webp")
    assert refused.value.reason is Reason.CORRUPT


def test_frames_count_for_the_limits() -> None:
    data = animated([flat("red"), flat("lime"), flat("blue")], "png", DELAYS)
    for limits, reason in (
        (Limits(max_frames=2), Reason.TOO_MANY_FRAMES),
        (Limits(max_pixels=40 * 40 * 3 - 1), Reason.TOO_MANY_PIXELS),
        (Limits(max_memory=48 * 1024 * 1024 + len(data) + 40 * 40 * 3 * 7 - 1), Reason.TOO_MANY_PIXELS),
    ):
        with pytest.raises(Refused) as refused:
            render(data, [], limits)
        assert refused.value.reason is reason
    assert render(data, [], Limits(max_frames=3, max_pixels=40 * 40 * 3)).original.frames == 3
