"""Truncated files: refused, or decoded in part where Limits are lenient; and pages."""

from __future__ import annotations

import io

import numpy as np
import pytest
import pyvips
from drawing import (
    OnFirstUse,
    animated,
    as_floats,
    encoded,
    flat,
    mean_difference,
    near,
    opened,
    photograph,
    pixel_at,
)
from PIL import Image
from test_heic import heic
from test_jxl import jxl

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Limits, TruncatedPolicy
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.codec import FailOn
from image_processor.engine.codecs.decode import open_original, translate_errors
from image_processor.engine.codecs.jpeg import lacks_end
from image_processor.engine.codecs.probe import ImageHeader, probe
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

LENIENT = Limits(truncated=TruncatedPolicy.LENIENT)
PICTURE = photograph()


def interlaced() -> bytes:
    pixels = np.asarray(PICTURE)
    plain = pyvips.Image.new_from_memory(pixels.tobytes(), *PICTURE.size, 3, "uchar")
    body: bytes = plain.copy(interpretation="srgb").pngsave_buffer(interlace=True)
    return body


USABLE = OnFirstUse(
    {
        "jpeg": lambda: encoded(PICTURE, "jpeg", quality=95),
        "progressive": lambda: encoded(PICTURE, "progressive", quality=95),
        "png": lambda: encoded(PICTURE, "png"),
        "gif": lambda: encoded(PICTURE, "gif", interlace=0),
        "tiff": lambda: encoded(PICTURE, "tiff"),
    }
)
WHOLE_OR_NOTHING = OnFirstUse(
    {
        "interlaced": interlaced,
        "webp": lambda: encoded(PICTURE, "webp"),
        "lossless webp": lambda: encoded(PICTURE, "webp", lossless=True),
        "avif": lambda: encoded(PICTURE, "avif"),
        "heic": heic,
        "jxl": lambda: jxl(use_container=True),
    }
)


def rendered(data: bytes, text: str = "fm=png", limits: Limits = LENIENT) -> Image.Image:
    return opened(render(data, [parse(text)], limits, summary=False).renditions[0].body)


@pytest.mark.parametrize("name", USABLE)
def test_half_a_file_is_refused_unless_lenient(name: str) -> None:
    half = USABLE[name][: len(USABLE[name]) // 2]
    with pytest.raises(Refused) as refusal:
        render(half, [parse("fm=png")], Limits())
    assert refusal.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("name", USABLE)
def test_lenient_renders_the_pixels_that_are_there(name: str) -> None:
    half = USABLE[name][: len(USABLE[name]) // 2]
    header = probe(half, LENIENT)
    assert header.truncated
    assert (header.width, header.height) == PICTURE.size
    picture = rendered(half).convert("RGB")
    upper = (0, 0, PICTURE.width, PICTURE.height * 2 // 5)
    assert mean_difference(picture.crop(upper), PICTURE.crop(upper)) < 12
    if name != "progressive":  # complete, but coarse
        lower = (0, PICTURE.height * 3 // 5, *PICTURE.size)
        assert as_floats(picture.crop(lower)).std() < 2, "nothing is there"


@pytest.mark.parametrize("name", USABLE)
def test_a_whole_file_is_not_called_truncated(name: str) -> None:
    assert not probe(USABLE[name], LENIENT).truncated
    assert not probe(USABLE[name], Limits()).truncated
    assert mean_difference(rendered(USABLE[name]), rendered(USABLE[name], limits=Limits())) == 0


@pytest.mark.parametrize("name", WHOLE_OR_NOTHING)
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_formats_without_partial_decoding_are_refused(name: str, part: float) -> None:
    data = WHOLE_OR_NOTHING[name]
    with pytest.raises(Refused) as refusal:
        render(data[: int(part * len(data))], [parse("fm=png")], LENIENT)
    assert refusal.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("end", [*range(8, 40, 3), 100])
def test_a_truncated_header_is_refused(name: str, end: int) -> None:
    try:
        picture = rendered(USABLE[name][:end])
    except Refused as refused:
        reason = refused.reason
    else:
        assert picture.size == PICTURE.size
        return
    assert reason in {Reason.TRUNCATED, Reason.CORRUPT}


def test_corrupt_files_are_refused() -> None:
    data = bytearray(USABLE["png"])
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    with pytest.raises(Refused) as refusal:
        rendered(bytes(data))
    assert refusal.value.reason is Reason.CORRUPT


def test_an_animation_shows_the_frames_that_are_there() -> None:
    frames = [PICTURE.resize((60, 40)).rotate(30 * turn) for turn in range(6)]
    data = animated(frames, "gif", [50] * 6)
    half = data[: len(data) // 2]
    header = probe(half, LENIENT)
    assert header.truncated
    assert 1 < header.frames < 6
    animation = Image.open(io.BytesIO(render(half, [parse("fm=gif")], LENIENT).renditions[0].body))
    assert animation.n_frames == header.frames  # type: ignore[attr-defined]


def test_limits_apply_to_truncated_files() -> None:
    half = USABLE["jpeg"][: len(USABLE["jpeg"]) // 2]
    with pytest.raises(Refused) as refusal:
        render(half, [], Limits(truncated=TruncatedPolicy.LENIENT, max_pixels=100))
    assert refusal.value.reason is Reason.TOO_MANY_PIXELS


def test_the_end_of_another_jpeg_is_not_counted() -> None:
    """The EXIF thumbnail has its own end-of-image marker, and some phones append a video."""
    thumbnail = encoded(PICTURE.resize((60, 40)), "jpeg")
    data = encoded(PICTURE, "jpeg", exif=b"Exif\0\0" + thumbnail)
    assert not lacks_end(data + b"video")
    assert lacks_end(data[:-2])
    assert lacks_end(data[: len(data) // 2])


def test_messages_of_one_image_do_not_affect_the_next() -> None:
    """libvips accumulates warnings; one file's truncation must not become another's reason."""
    half = USABLE["jpeg"][: len(USABLE["jpeg"]) // 2]
    open_original(half, FORMATS["jpeg"], fail_on=FailOn.NONE).copy_memory()
    broken = WHOLE_OR_NOTHING["webp"][:16] + bytes(44)
    with pytest.raises(Refused) as refusal:
        open_original(broken, FORMATS["webp"])
    assert refusal.value.reason is Reason.CORRUPT


def test_the_isolated_renderer_applies_the_policy() -> None:
    half = USABLE["jpeg"][: len(USABLE["jpeg"]) // 2]
    with IsolatedRenderer() as renderer:
        original = renderer.render(half, [parse("w=60,fm=png")], LENIENT).original
        assert (original.width, original.truncated) == (PICTURE.width, True)
        with pytest.raises(Refused, match="ends early"):
            renderer.render(half, [parse("w=60,fm=png")], Limits())


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


def animation_of(format_name: str) -> bytes:
    options = {"lossless": True} if format_name == "webp" else {}
    return animated([flat(colour) for colour in COLOURS], format_name, [50] * 4, **options)


@pytest.mark.parametrize("format_name", ["gif", "webp"])
@pytest.mark.parametrize(
    ("first", "count", "expected"), [(0, 1, 1), (2, 1, 1), (1, 2, 2), (2, -1, 2), (0, -1, 4)]
)
def test_frames_are_chosen_by_number(format_name: str, first: int, count: int, expected: int) -> None:
    probe(animation_of(format_name), Limits())
    data = animation_of(format_name)
    stacked = open_original(data, FORMATS[format_name], first=first, count=count)
    assert stacked.height == 40 * expected
    middles = stacked.crop(20, 0, 1, stacked.height).numpy()[20::40, 0, :3]
    for middle, colour in zip(middles, COLOURS[first:], strict=False):
        assert near(middle, colour, 2)


def test_a_tiff_page_is_checked_by_itself() -> None:
    pages = [flat("red", size=(40, 30)), flat("lime", size=(20, 50)), flat((1, 2, 3, 4), "RGBA")]
    data = encoded(pages[0], "tiff", save_all=True, append_images=pages[1:])
    headers = [probe(data, Limits(), page=page) for page in range(3)]
    assert [(header.width, header.height) for header in headers] == [(40, 30), (20, 50), (40, 40)]
    assert [header.alpha for header in headers] == [False, False, True]
    assert [(header.pages, header.page) for header in headers] == [(3, 0), (3, 1), (3, 2)]
    second = open_original(data, FORMATS["tiff"], first=1)
    assert second(10, 10) == [0, 255, 0]
    with pytest.raises(Refused) as refusal:
        probe(data, Limits(), page=3)
    assert refusal.value.reason in {Reason.TRUNCATED, Reason.CORRUPT}


def test_samples_of_later_pages_are_checked() -> None:
    strange = Image.fromarray(np.zeros((4, 4), np.float32))
    data = encoded(flat("red"), "tiff", save_all=True, append_images=[strange])
    assert isinstance(probe(data, Limits()), ImageHeader)
    with pytest.raises(Refused) as refusal:
        probe(data, Limits(), page=1)
    assert refusal.value.reason is Reason.UNSUPPORTED_FORMAT


def test_other_formats_ignore_the_page() -> None:
    assert probe(encoded(flat("red")), Limits(), page=7).page == 0
    assert pixel_at(rendered(encoded(flat("red"))), 0.5, 0.5) == (255, 0, 0)


@pytest.mark.parametrize("lenient", [False, True])
def test_a_message_that_quotes_the_file_is_translated(*, lenient: bool) -> None:
    """pyvips decodes libvips' messages as UTF-8, and raises UnicodeDecodeError where they are not."""
    with (
        pytest.raises(Refused) as refusal,
        translate_errors(FORMATS["png"], FailOn.NONE if lenient else FailOn.ERROR),
    ):
        b"\xff".decode()
    assert refusal.value.reason is (Reason.TRUNCATED if lenient else Reason.CORRUPT)
