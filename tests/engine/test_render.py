"""Rendered pixels: sizes, fits, crops, orientation, backgrounds, and shared work."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from drawing import (
    READABLE,
    as_floats,
    corners,
    encoded,
    flat,
    made,
    mean_difference,
    near,
    opened,
    photograph,
    picture_of,
    pixel_at,
)
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS, WRITABLE, Format
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine import encoder_threads, pyramid
from image_processor.engine import render as render_module
from image_processor.engine.codecs.decode import open_original
from image_processor.engine.job import RenditionJob, run_job
from image_processor.engine.render import render
from image_processor.engine.summary import visual

RED, LIME, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
PIXEL_TOLERANCE = 3
"""Of 255, for lossless outputs of flat areas: what rounding of colours may come to."""


@pytest.mark.parametrize("format_name", READABLE)
def test_every_readable_format_becomes_a_png_of_the_right_pixels(format_name: str) -> None:
    rendition = picture_of(encoded(corners(96, 64), format_name), "w=48,fm=png")
    assert rendition.size == (48, 32)
    for place, colour in (((0.2, 0.2), RED), ((0.8, 0.2), LIME), ((0.2, 0.8), BLUE), ((0.8, 0.8), YELLOW)):
        # Lossy inputs change saturated colours by a few steps.
        assert near(pixel_at(rendition, *place), colour, 8)


@pytest.mark.parametrize("format_name", WRITABLE)
def test_metadata_describes_the_bytes(format_name: str) -> None:
    rendition = made(encoded(photograph()), f"w=100,fm={format_name}")
    picture = opened(rendition.body)
    facts = rendition.metadata
    assert (picture.width, picture.height) == (facts.width, facts.height) == (100, 67)
    assert picture.format is not None
    assert facts.format == format_name
    assert picture.format.lower() == (FORMATS[format_name].read_as or format_name)
    assert facts.bytes == len(rendition.body)
    assert facts.sha256 == hashlib.sha256(rendition.body).hexdigest()
    assert (facts.frames, facts.alpha) == (1, False)
    assert facts.media_type == FORMATS[format_name].media_type


def test_metadata_of_the_original() -> None:
    data = encoded(flat((1, 2, 3, 128), "RGBA", (30, 20)))
    original = render(data, [], Limits()).original
    assert (original.width, original.height, original.format) == (30, 20, "png")
    assert (original.frames, original.alpha, original.bytes) == (1, True, len(data))
    assert original.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("source", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("width", [300, 200, 75, 40])
def test_resizing_agrees_with_an_independent_lanczos(source: str, width: int) -> None:
    # Whole blocks, since shrink-on-load drops a partial last block.
    data = encoded(photograph().crop((0, 0, 448, 288)), source, quality=95)
    rendition = picture_of(data, f"w={width},fm=png")
    expected = opened(data).convert("RGB").resize(rendition.size, Image.Resampling.LANCZOS)
    # Those decoders shrink with a box filter; differences below about 3 of 255 are invisible.
    assert mean_difference(rendition, expected) < 2


def test_a_cascade_is_as_good_as_each_size_alone() -> None:
    data = encoded(photograph())
    texts = [f"w={width},fm=png" for width in (400, 300, 200, 100, 50)]
    together = render(data, [parse(text) for text in texts], Limits()).renditions
    for text, rendition in zip(texts, together, strict=True):
        assert mean_difference(opened(rendition.body), picture_of(data, text)) < 2


@pytest.mark.parametrize("text", ["w=24", "w=20,h=20", "w=30,h=12,fit=fill", "w=20,h=20,fit=contain", ""])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["jpeg", "png", "tiff", "avif"])
def test_orientation_is_applied_before_any_fit(source: str, orientation: int, text: str) -> None:
    # For AVIF the container's rotation (irot and imir) counts, which libheif applies.
    tag = Image.Exif()
    tag[0x0112] = orientation
    stored = _stored_as(corners(96, 64), orientation)
    text = f"{text},fm=png".lstrip(",")
    turned = made(encoded(stored, source, exif=tag), text)
    upright = made(encoded(corners(96, 64), source), text)
    assert (turned.metadata.width, turned.metadata.height) == (
        upright.metadata.width,
        upright.metadata.height,
    )
    assert mean_difference(opened(turned.body), opened(upright.body)) < 2


def test_an_invalid_orientation_is_ignored() -> None:
    tag = Image.Exif()
    tag[0x0112] = 9
    assert picture_of(encoded(corners(), exif=tag), "fm=png").size == (48, 32)


def test_metadata_of_the_original_is_upright() -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    original = render(encoded(corners(), exif=tag), [], Limits()).original
    assert (original.width, original.height) == (32, 48)


@pytest.mark.parametrize(
    ("gravity", "colour"),
    [("northwest", RED), ("northeast", LIME), ("southwest", BLUE), ("southeast", YELLOW)],
)
def test_gravity_of_a_crop(gravity: str, colour: tuple[int, int, int]) -> None:
    data = encoded(corners(200, 200))
    for text in (f"w=100,h=20,g={gravity},fm=png", f"w=20,h=100,g={gravity},fm=png"):
        rendition = picture_of(data, text)
        across, down = (0.05 if "west" in gravity else 0.95), (0.05 if "north" in gravity else 0.95)
        assert near(pixel_at(rendition, across, down), colour, PIXEL_TOLERANCE)
        assert near(pixel_at(rendition, 0.5, 0.5), colour, 255)


def test_a_centred_crop_cuts_both_ends_alike() -> None:
    picture = flat("white", size=(100, 40))
    picture.paste("red", (30, 0, 70, 40))
    rendition = picture_of(encoded(picture), "w=40,h=40,fm=png")
    assert near(as_floats(rendition).mean(axis=(0, 1)).tolist(), RED, PIXEL_TOLERANCE)


@pytest.mark.parametrize("left", [10, 200, 330])
def test_attention_finds_the_salient_part(left: int) -> None:
    picture = flat((90, 90, 90), size=(400, 100))
    picture.paste(photograph().crop((150, 100, 210, 160)), (left, 20))
    rendition = picture_of(encoded(picture), "w=100,h=100,g=attention,fm=png")
    busy = np.abs(as_floats(rendition) - 90).max(axis=2) > 6
    # 60 x 60 of 100 x 100; a crop at any other position would contain less.
    assert busy.mean() > 0.3


def test_contain_fills_its_bars() -> None:
    data = encoded(flat("red", size=(100, 50)))
    for text, bar in (
        ("w=80,h=80,fit=contain,bg=0000ff,fm=png", BLUE),
        ("w=80,h=80,fit=contain,bg=0000ff,fm=webp", BLUE),
        ("w=80,h=80,fit=contain,fm=png", (0, 0, 0, 0)),
        ("w=80,h=80,fit=contain,fm=jpeg", (255, 255, 255)),
    ):
        rendition = picture_of(data, text)
        assert rendition.size == (80, 80)
        assert near(pixel_at(rendition, 0.5, 0.05), bar, 4)
        assert near(pixel_at(rendition, 0.5, 0.5)[:3], RED, 4)


def test_gravity_of_contain() -> None:
    data = encoded(flat("red", size=(100, 50)))
    rendition = picture_of(data, "w=80,h=80,fit=contain,g=north,bg=0000ff,fm=png")
    assert near(pixel_at(rendition, 0.5, 0.05), RED, PIXEL_TOLERANCE)
    assert near(pixel_at(rendition, 0.5, 0.95), BLUE, PIXEL_TOLERANCE)


def test_transparency_is_flattened_over_the_background() -> None:
    data = encoded(flat((255, 0, 0, 0), "RGBA"))
    assert pixel_at(picture_of(data, "fm=jpeg"), 0.5, 0.5) == (255, 255, 255)
    assert pixel_at(picture_of(data, "bg=0000ff,fm=png"), 0.5, 0.5) == BLUE
    half = encoded(flat((255, 0, 0, 128), "RGBA"))
    assert near(pixel_at(picture_of(half, "bg=0000ff,fm=png"), 0.5, 0.5), (128, 0, 127), 1)


@pytest.mark.parametrize("format_name", ["png", "webp", "avif", "gif"])
def test_transparency_is_kept_where_the_format_has_it(format_name: str) -> None:
    picture = flat((0, 0, 255, 255), "RGBA", (64, 64))
    picture.paste((0, 0, 0, 0), (0, 0, 32, 64))
    rendition = made(encoded(picture), f"w=32,fm={format_name}")
    assert rendition.metadata.alpha
    shown = opened(rendition.body).convert("RGBA")
    assert pixel_at(shown, 0.2, 0.5)[3] == 0
    assert near(pixel_at(shown, 0.8, 0.5), (0, 0, 255, 255), 6)


def test_opaque_alpha_is_dropped() -> None:
    rendition = made(encoded(flat((9, 8, 7, 255), "RGBA")), "w=20,fm=png")
    assert not rendition.metadata.alpha
    assert opened(rendition.body).mode == "RGB"


def test_nothing_is_enlarged_unless_asked() -> None:
    data = encoded(photograph().resize((60, 40)))
    assert picture_of(data, "w=600,fm=png").size == (60, 40)
    enlarged = picture_of(data, "w=600,enlarge=1,fm=png")
    assert enlarged.size == (600, 400)
    expected = opened(data).resize((600, 400), Image.Resampling.LANCZOS)
    assert mean_difference(enlarged, expected) < 2.5


def test_renditions_are_in_the_requested_order() -> None:
    expected = [parse(text) for text in ("w=20,fm=png", "w=80,fm=webp", "w=40,fm=jpeg", "w=80,fm=gif")]
    renditions = render(encoded(photograph()), expected, Limits()).renditions
    assert [rendition.transformation for rendition in renditions] == expected
    assert [rendition.metadata.width for rendition in renditions] == [20, 80, 40, 80]


def test_equal_jobs_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders: list[RenditionJob] = []

    def counting(job: RenditionJob, *others: Any) -> object:
        encoders.append(job)
        return run_job(job, *others)

    monkeypatch.setattr(render_module, "run_job", counting)
    data = encoded(photograph().resize((60, 40)))
    texts = (
        "w=640,fm=jpeg",
        "w=320,fm=jpeg",
        "fm=jpeg",
        "w=320,q=75,fm=jpeg",
        "w=60,h=40,g=attention,fm=jpeg",
        "bg=0000ff,fm=jpeg",
    )
    renditions = render(data, [parse(text) for text in texts], Limits()).renditions
    assert len({id(rendition.body) for rendition in renditions}) == len(encoders) == 1
    assert render(data, [parse("w=320,q=74,fm=jpeg")], Limits()).renditions[0].body != renditions[0].body


@pytest.mark.parametrize(("orientation", "width", "expected"), [(1, 200, 4), (1, 201, 2), (6, 100, 2)])
def test_the_original_is_decoded_once_with_shrink_on_load(
    monkeypatch: pytest.MonkeyPatch, orientation: int, width: int, expected: int
) -> None:
    shrinks: list[int] = []

    def counting(data: bytes, format_: Format, *, shrink: int, **others: Any) -> object:
        shrinks.append(shrink)
        return open_original(data, format_, shrink=shrink, **others)

    monkeypatch.setattr(pyramid, "open_original", counting)
    tag = Image.Exif()
    tag[0x0112] = orientation
    data = encoded(photograph().resize((800, 200)), "jpeg", exif=tag)
    sides = (width, width // 2, width // 4)
    render(data, [parse(f"w={side},fm={name}") for side in sides for name in ("jpeg", "webp")], Limits())
    assert shrinks == [expected]


@pytest.mark.parametrize("format_name", WRITABLE)
def test_the_same_input_gives_the_same_bytes(format_name: str) -> None:
    data = encoded(photograph())
    expected = [parse(f"w={width},fm={format_name}") for width in (90, 60, 30)]

    def bodies(threads: int) -> list[bytes]:
        return [rendition.body for rendition in render(data, expected, Limits(), threads=threads).renditions]

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(bodies, (1, 2, 3)))
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("texts", [["w=90,fm=png"], ["w=90,fm=png", "w=70,fm=jpeg", "w=90,fm=png,g=north"]])
def test_renditions_are_emitted_before_the_summary_is_made(
    texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[object] = []
    summarise = visual.summarise

    def summarise_last(level: object) -> object:
        if len(texts) > 1:  # in threads, which may still be running
            _until(lambda: len(emitted) == len(texts))
        emitted.append("look")
        return summarise(level)  # type: ignore[arg-type]

    monkeypatch.setattr(visual, "summarise", summarise_last)
    expected = [parse(text) for text in texts]
    rendered = render(encoded(photograph()), expected, Limits(), on_rendition=emitted.append)
    assert emitted[-1] == "look"
    assert sorted(map(repr, emitted[:-1])) == sorted(map(repr, rendered.renditions))
    assert len(rendered.renditions) == len(texts)


def _until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not check() and time.monotonic() < end:
        time.sleep(0.002)


def test_one_rendition_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_threads, "ThreadPoolExecutor", _never)
    data = encoded(photograph())
    assert len(render(data, [parse("w=50,fm=png"), parse("w=50,fm=png")], Limits()).renditions) == 2


def test_jpegs_are_baseline_with_optimised_tables() -> None:
    body = made(encoded(photograph()), "w=200,fm=jpeg").body
    assert b"\xff\xc0" in body
    assert b"\xff\xc2" not in body
    # The code lengths of the default Huffman table (ITU-T T.81, K.3.3.2).
    usual = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D])
    assert usual in encoded(photograph(), "jpeg")
    assert usual not in body


def test_quality_takes_effect() -> None:
    data = encoded(photograph())
    for format_name in ("jpeg", "webp", "avif"):
        coarse, usual, fine = (made(data, f"w=200{q},fm={format_name}") for q in (",q=20", "", ",q=95"))
        assert len(coarse.body) < len(usual.body) < len(fine.body)


def test_an_output_too_large_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "frames_of", _never)
    data = encoded(flat("red", size=(10, 10)))
    limits = Limits(max_output_pixels=10_000)
    for text in ("w=101,enlarge=1,fm=png", "w=101,h=100,fit=contain,fm=png", "w=2000,h=5,enlarge=1,fm=png"):
        with pytest.raises(Refused, match="expected at most 10000 pixels for a rendition") as refusal:
            render(data, [parse("w=5,fm=png"), parse(text)], limits)
        assert refusal.value.reason is Reason.OUTPUT_TOO_LARGE


def test_a_crop_of_a_large_original_is_a_small_output() -> None:
    data = encoded(flat("red", size=(200, 200)))
    limits = Limits(max_output_pixels=10_000)
    assert render(data, [parse("w=200,h=10,fm=png")], limits).renditions[0].metadata.height == 10


def test_without_transformations_and_summary_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "frames_of", _never)
    rendered = render(encoded(corners()), [], Limits(), summary=False)
    assert (rendered.summary, rendered.renditions, rendered.original.width) == (None, (), 48)


def test_the_digest_is_computed_only_with_the_summary() -> None:
    data = encoded(corners())
    alone, recorded = (
        render(data, [], Limits(), summary=summary).original.sha256 for summary in (False, True)
    )
    assert (alone, recorded) == ("", hashlib.sha256(data).hexdigest())


def _never(*_: object) -> None:
    pytest.fail("a frame was decoded")


def _stored_as(upright: Image.Image, orientation: int) -> Image.Image:
    """The stored pixels that are upright in that orientation."""
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(inverse[orientation]) if orientation in inverse else upright


@pytest.mark.parametrize("text", ["w=64,fm=webp", "w=64,h=40,blur=3,fm=png"])
def test_timings_add_up_to_the_whole_at_most(text: str) -> None:
    data = encoded(photograph(), "jpeg")
    began = time.perf_counter()
    timings = render(data, [parse(text)], Limits(), summary=False).timings
    whole = time.perf_counter() - began
    assert min(timings.decode, timings.render, timings.encode) > 0
    assert timings.decode + timings.render + timings.encode <= whole
