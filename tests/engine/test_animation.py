"""Animations keep their frames and timing; still formats show the first frame."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from drawing import (
    animated,
    as_floats,
    encoded,
    flat,
    made,
    mean_difference,
    near,
    opened,
    photograph,
    pixel_at,
)
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.probe import probe
from image_processor.engine.render import render

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
DELAYS = (100, 50, 250, 80)
MOVING = ("gif", "webp")
RED, GREEN = (255, 0, 0, 255), (0, 255, 0, 255)


def animation_of(format_name: str, size: tuple[int, int] = (80, 60), **options: object) -> bytes:
    frames = [flat(colour, size=size) for colour in COLOURS]
    return animated(frames, format_name, DELAYS, **options)


def frames_of(body: bytes) -> list[Image.Image]:
    picture = opened(body)
    frames = []
    for index in range(getattr(picture, "n_frames", 1)):
        picture.seek(index)
        frames.append(picture.convert("RGBA"))
    return frames


def delays_of(body: bytes) -> list[int]:
    picture = opened(body)
    delays = []
    for index in range(getattr(picture, "n_frames", 1)):
        picture.seek(index)
        picture.load()  # WebP stores a duration only for several frames
        delays.append(picture.info["duration"])
    return delays


@pytest.mark.parametrize("target", MOVING)
@pytest.mark.parametrize("source", MOVING)
def test_frames_delays_and_loop_are_kept(source: str, target: str) -> None:
    rendition = made(animation_of(source), f"w=40,fm={target}")
    assert (rendition.metadata.frames, rendition.metadata.width, rendition.metadata.height) == (4, 40, 30)
    assert delays_of(rendition.body) == list(DELAYS)
    assert opened(rendition.body).info["loop"] == 0
    for frame, colour in zip(frames_of(rendition.body), COLOURS, strict=True):
        assert near(pixel_at(frame, 0.5, 0.5), (*colour, 255), 8)


def patched(disposal: int) -> bytes:
    """A GIF of 8 x 8: all red; a green patch of 4 x 4 at (2, 2) with this disposal; then a blue one at
    the corner. The second frame declares a transparent colour, which it does not use."""

    def frame(x: int, side: int, colour: int, dispose: int, *, transparent: bool = False) -> bytes:
        control = b"\x21\xf9\x04" + bytes([dispose << 2 | transparent]) + b"\x0a\0\3\0"
        # Codes of 3 bits; 4 clears the table, so that codes stay at 3 bits; 5 is the end.
        codes = [code for _ in range(side * side // 2) for code in (4, colour, colour)] + [5]
        bits = sum(code << 3 * index for index, code in enumerate(codes))
        coded = bits.to_bytes(-(-3 * len(codes) // 8), "little")
        where = struct.pack("<4HB", x, x, side, side, 0)
        return control + b"\x2c" + where + b"\2" + bytes([len(coded)]) + coded + b"\0"

    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    head = b"GIF89a" + struct.pack("<2H3B", 8, 8, 0x81, 0, 0) + palette
    frames = frame(0, 8, 0, 1), frame(2, 4, 1, disposal, transparent=True), frame(0, 2, 2, 1)
    return head + b"".join(frames) + b"\x3b"


@pytest.mark.parametrize(
    ("disposal", "left"),
    [(0, GREEN), (1, GREEN), (2, (0, 0, 0, 0)), (3, RED)],
)
def test_every_disposal_method(disposal: int, left: tuple[int, ...]) -> None:
    """GIF89a, 23.c.iv; where frames may be transparent, a disposed frame leaves nothing, as in browsers."""
    frames = frames_of(made(patched(disposal), "fm=gif").body)
    assert [frame.getpixel((0, 0)) for frame in frames] == [RED, RED, (0, 0, 255, 255)]
    *before, after = [frame.getpixel((4, 4)) for frame in frames]
    assert before == [RED, GREEN]
    assert after == left or after[3] == left[3] == 0
    assert [frame.getpixel((7, 7)) for frame in frames] == [RED] * 3


def test_partial_webp_frames_are_composited() -> None:
    frames = [flat((255, 0, 0, 255), "RGBA", (80, 60)) for _ in range(4)]
    for index, frame in enumerate(frames):
        frame.paste((0, 0, 255, 255), (10 * index, 10, 10 * index + 12, 30))
    data = animated(frames, "webp", DELAYS, lossless=True)
    # RFC 9649, 2.7.1.1: after size and the fourcc, three bytes each of x and y, halved.
    assert any(any(part[4:10]) for part in data.split(b"ANMF")[1:])
    for ours, theirs in zip(frames_of(made(data, "fm=gif").body), frames_of(data), strict=True):
        assert mean_difference(ours, theirs) == 0


@pytest.mark.parametrize("format_name", MOVING)
def test_a_finite_loop_stays_finite(format_name: str) -> None:
    rendition = made(animation_of(format_name, loop=3), f"w=40,fm={format_name}")
    assert opened(rendition.body).info["loop"] == 3


@pytest.mark.parametrize("text", ["w=31,fm=webp", "w=20,h=45,fm=webp", "w=70,h=30,fit=fill,fm=webp"])
def test_no_frame_bleeds_into_another(text: str) -> None:
    """Frames are stacked in memory: resizing the stack would blend their edges."""
    data = animation_of("webp", (81, 61), lossless=True)
    for frame, colour in zip(frames_of(made(data, text).body), COLOURS, strict=True):
        edges = as_floats(frame.convert("RGB"))[[0, -1]]
        assert np.abs(edges - colour).max() <= 8


@pytest.mark.parametrize("format_name", ["jpeg", "png", "avif"])
def test_a_still_format_shows_the_first_frame(format_name: str) -> None:
    for source in MOVING:
        rendition = made(animation_of(source), f"w=40,fm={format_name}")
        assert rendition.metadata.frames == 1
        assert near(pixel_at(opened(rendition.body).convert("RGB"), 0.5, 0.5), COLOURS[0], 8)


def test_stills_and_animations_from_one_original() -> None:
    texts = ("w=60,fm=jpeg", "w=40,fm=gif", "w=40,fm=png", "w=20,fm=webp", "w=80,fm=avif")
    renditions = render(animation_of("gif"), [parse(text) for text in texts], Limits()).renditions
    assert [rendition.metadata.frames for rendition in renditions] == [1, 4, 1, 4, 1]
    assert [len(frames_of(rendition.body)) for rendition in renditions] == [1, 4, 1, 4, 1]
    assert [rendition.metadata.width for rendition in renditions] == [60, 40, 40, 20, 80]


def test_a_smart_crop_keeps_one_window_for_all_frames() -> None:
    frames = []
    for left in (20, 120, 220):
        frame = flat((90, 90, 90), size=(300, 100))
        frame.paste(photograph().crop((150, 100, 210, 160)), (20, 20))  # stands still
        frame.paste((120, 120, 120), (left, 40, left + 8, 48))  # moves
        frames.append(frame)
    data = animated(frames, "webp", [50, 50, 50], lossless=True)
    cropped = frames_of(made(data, "w=100,h=100,g=attention,q=95,fm=webp").body)
    busy = [np.abs(as_floats(frame)[..., :3] - 90).max(axis=2) > 40 for frame in cropped]
    columns = [np.flatnonzero(mask.any(axis=0)).min() for mask in busy]
    assert busy[0].mean() > 0.2
    assert len(set(columns)) == 1


def test_a_smart_crop_uses_the_first_frame() -> None:
    frames = []
    for left in (220, 20, 20):
        frame = flat((90, 90, 90), size=(300, 100))
        frame.paste(photograph().crop((150, 100, 210, 160)), (left, 20))
        frames.append(frame)
    data = animated(frames, "webp", [50, 50, 50], lossless=True)
    first, *others = frames_of(made(data, "w=100,h=100,g=attention,q=95,fm=webp").body)
    busy = [(np.abs(as_floats(frame)[..., :3] - 90).max(axis=2) > 40).mean() for frame in (first, *others)]
    assert busy[0] > 0.2
    assert max(busy[1:]) < 0.01


def test_the_frames_of_an_output_count() -> None:
    limits = Limits(max_output_pixels=40 * 30 * 4)
    data = animation_of("webp")
    assert render(data, [parse("w=40,fm=webp")], limits).renditions[0].metadata.frames == 4
    assert render(data, [parse("w=80,fm=png")], limits).renditions[0].metadata.width == 80
    with pytest.raises(Refused) as refusal:
        render(data, [parse("w=41,fm=webp")], limits)
    assert refusal.value.reason is Reason.OUTPUT_TOO_LARGE


def test_contain_pads_every_frame() -> None:
    rendition = made(animation_of("gif"), "w=60,h=60,fit=contain,bg=ffffff,fm=gif")
    for frame, colour in zip(frames_of(rendition.body), COLOURS, strict=True):
        assert near(pixel_at(frame, 0.5, 0.02), (255, 255, 255, 255), 4)
        assert near(pixel_at(frame, 0.5, 0.5), (*colour, 255), 4)


def test_transparent_frames_stay_transparent() -> None:
    frames = []
    for left in (0, 20, 40):
        frame = flat((0, 0, 0, 0), "RGBA", (60, 20))
        frame.paste((255, 0, 0, 255), (left, 0, left + 20, 20))
        frames.append(frame)
    data = animated(frames, "webp", [50, 50, 50], lossless=True)
    shown = frames_of(made(data, "w=30,fm=webp").body)
    for index, frame in enumerate(shown):
        alpha = [pixel_at(frame, place, 0.5)[3] for place in (0.17, 0.5, 0.83)]
        assert alpha == [255 if place == index else 0 for place in range(3)]


def test_frames_may_differ_in_whether_they_are_transparent() -> None:
    frames = [flat((255, 0, 0, 255), "RGBA", (60, 20)), flat((0, 0, 0, 0), "RGBA", (60, 20))]
    data = animated(frames, "webp", [50, 50], lossless=True, minimize_size=False)
    shown = frames_of(made(data, "w=30,fm=webp").body)
    assert [pixel_at(frame, 0.5, 0.5)[3] for frame in shown] == [255, 0]


@pytest.mark.parametrize("format_name", MOVING)
def test_frames_that_change_only_in_part_are_whole(format_name: str) -> None:
    """Animations store only what changes, also at odd offsets: every frame must come out complete."""
    frames = []
    for left in (3, 41, 77, 111):
        frame = Image.linear_gradient("L").resize((161, 121)).convert("RGB")
        frame.paste((255, 0, 0), (left, 37, left + 29, 66))
        frames.append(frame)
    options = {"lossless": True} if format_name == "webp" else {}
    data = animated(frames, format_name, DELAYS, **options)
    text = "w=40,q=95,fm=webp"
    for frame, whole in zip(frames_of(made(data, text).body), frames_of(data), strict=True):
        still = opened(made(encoded(whole.convert("RGB")), text).body)
        assert mean_difference(frame.convert("RGB"), still.convert("RGB")) < 2.5


def test_the_header_counts_frames() -> None:
    for source in MOVING:
        header = probe(animation_of(source), Limits())
        assert (header.frames, header.width, header.height) == (4, 80, 60)
        assert header.delays == DELAYS


def test_only_the_first_page_of_a_tiff_is_read() -> None:
    pages = [flat(colour) for colour in COLOURS]
    data = encoded(pages[0], "tiff", save_all=True, append_images=pages[1:])
    rendition = made(data, "fm=gif")
    assert rendition.metadata.frames == 1
    assert render(data, [], Limits(max_frames=1)).original.frames == 1
    assert near(pixel_at(opened(rendition.body).convert("RGB"), 0.5, 0.5), COLOURS[0], 2)


@pytest.mark.parametrize("format_name", ["gif", "webp"])
def test_frames_are_counted_as_they_are_stored(format_name: str) -> None:
    """Encoders join frames that are equal."""
    frames = [flat("red")] * 3 + [flat("lime")] * 2
    # Different pixels in a corner, which are cropped away, so that the original keeps its frames.
    for number, frame in enumerate(frames := [frame.copy() for frame in frames]):
        frame.putpixel((0, 0), (0, 0, 50 * number))
    data = animated(frames, "webp", [50] * 5, lossless=True)
    rendition = made(data, f"rect=10:10:20:20,fm={format_name}")
    assert rendition.metadata.frames == opened(rendition.body).n_frames == 2  # type: ignore[attr-defined]
