"""GIFs that libnsgif alone reads wrongly: every pixel and every frame is there, as in browsers.

The files are written here byte by byte (GIF89a, 17-27), so every expected pixel is known.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest
from drawing import made, opened
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.engine.codecs.probe import probe

BLACK, RED, GREEN, BLUE = range(4)
COLOURS = ((0, 0, 0, 255), (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255))
CLEAR = (0, 0, 0, 0)
SIDE = 8
WHOLE = (0, 0, SIDE, SIDE)

_CODE_BITS = 7
"""The codes of such a frame are whole bytes, as long as the dictionary is cleared often enough."""
_CLEAR_CODE, _END_CODE = 128, 129


def frame(box: tuple[int, int, int, int], colour: int, *, disposal: int = 0, end: bool = True) -> bytes:
    """A frame of one colour; without ``end`` there is no end-of-information code."""
    codes = bytearray()
    for pixel in range(box[2] * box[3]):
        codes += bytes([_CLEAR_CODE, colour] if pixel % 100 == 0 else [colour])
    codes += bytes([_END_CODE] if end else [])
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2, 10, 0, 0)
    assert len(codes) < 256
    return control + struct.pack("<BHHHHBBB", 0x2C, *box, 0, _CODE_BITS, len(codes)) + codes + b"\0"


def gif(*parts: bytes, trailer: bytes = b"\x3b") -> bytes:
    palette = b"".join(bytes(colour[:3]) for colour in COLOURS).ljust(3 * 128, b"\0")
    return b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0x86, BLUE, 0) + palette + b"".join(parts) + trailer


def frames_of(data: bytes, text: str) -> list[np.ndarray]:
    animation = opened(made(data, text).body)
    frames = []
    for number in range(getattr(animation, "n_frames", 1)):
        animation.seek(number)
        frames.append(np.asarray(animation.convert("RGBA")))
    return frames


def drawn(*parts: tuple[tuple[int, int, int, int], tuple[int, int, int, int]]) -> np.ndarray:
    """A transparent canvas with rectangles of one colour."""
    canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
    for (left, top, width, height), colour in parts:
        canvas[top : top + height, left : left + width] = colour
    return canvas


def same(got: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal where visible: the colour of transparent pixels does not count."""
    visible = wanted[..., 3:] > 0
    return bool(
        np.array_equal(got * visible, wanted * visible) and np.array_equal(got[..., 3], wanted[..., 3])
    )


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_the_last_pixels_do_not_need_an_end_code(size: int) -> None:
    data = gif(frame(WHOLE, RED), frame((0, 0, size, size), GREEN, end=False))
    for number, text in ((2, "frame=2,fm=png"), (2, "fm=webp,lossless=1")):
        shown = frames_of(data, text)[-1]
        assert same(shown, drawn((WHOLE, COLOURS[RED]), ((0, 0, size, size), COLOURS[GREEN]))), number


@pytest.mark.parametrize("junk", [b"\0", b"\x05", bytes(9)])
def test_bytes_between_blocks_end_nothing(junk: bytes) -> None:
    data = gif(frame(WHOLE, RED), junk, frame(WHOLE, GREEN))
    assert probe(data, Limits()).frames == 2
    assert [tuple(shown[0, 0]) for shown in frames_of(data, "fm=gif")] == [COLOURS[RED], COLOURS[GREEN]]


def test_a_file_without_trailer_has_all_its_pixels() -> None:
    data = gif(frame(WHOLE, RED), frame(WHOLE, GREEN), trailer=b"")
    header = probe(data, Limits())
    assert (header.frames, header.truncated) == (2, False)
    for end in (data[:-1], data[:-20]):
        with pytest.raises(Refused) as refusal:
            probe(end, Limits())
        assert refusal.value.reason is Reason.TRUNCATED


INNER, CORNER = (2, 2, 4, 4), (4, 4, 4, 4)


@pytest.mark.parametrize("text", ["fm=webp,lossless=1", "fm=gif"])
def test_canvas_that_no_frame_covers_is_transparent(text: str) -> None:
    data = gif(frame(INNER, RED), frame(CORNER, GREEN))
    assert probe(data, Limits()).alpha
    assert probe(data, Limits()).frames == 2
    first, second = frames_of(data, text)
    assert same(first, drawn((INNER, COLOURS[RED])))
    assert same(second, drawn((INNER, COLOURS[RED]), (CORNER, COLOURS[GREEN])))
    still = frames_of(data, "frame=1,fm=png")
    assert len(still) == 1
    assert same(still[0], first * (first[..., 3:] > 0))


def test_canvas_that_a_frame_leaves_is_transparent() -> None:
    data = gif(frame(WHOLE, RED, disposal=2), frame(CORNER, GREEN))
    first, second = frames_of(data, "fm=webp,lossless=1")
    assert same(first, drawn((WHOLE, COLOURS[RED])))
    assert same(second, drawn((CORNER, COLOURS[GREEN])))


def test_a_canvas_that_stays_covered_has_no_alpha() -> None:
    for disposal in (0, 1, 2, 3):
        data = gif(frame(WHOLE, RED, disposal=disposal), frame(WHOLE, GREEN), frame(CORNER, BLUE))
        assert not probe(data, Limits()).alpha
        assert len(frames_of(data, "fm=webp,lossless=1")) == 3


def test_uncovered_canvas_is_white_in_a_jpeg() -> None:
    shown = opened(made(gif(frame(INNER, BLACK)), "fm=jpeg,q=100").body)
    assert isinstance(shown, Image.Image)
    assert min(shown.getpixel((0, 0))) > 250
    assert max(shown.getpixel((4, 4))) < 5
