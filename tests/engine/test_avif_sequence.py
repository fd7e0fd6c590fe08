"""AVIF sequences, in and out. Frames are drawn here; libwebp and Pillow look at what comes out."""

from __future__ import annotations

import io
import struct

import pytest
from drawing import Pixels, animated, as_floats, corners, encoded, flat, made, mean_difference, opened
from PIL import Image, ImageOps

from hostile.oversized import box
from image_processor.domain.errors import MissingExtra, Reason, Refused
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs import avif_sequence
from image_processor.engine.codecs.sequences import heif_track
from image_processor.engine.render import render

DELAYS = (40, 80, 120)
COLOURS = ((250, 10, 20), (10, 220, 30), (20, 30, 240))


def sequence(**options: object) -> bytes:
    return animated([flat(colour) for colour in COLOURS], "avif", DELAYS, **options)


def frames_of(body: bytes) -> list[Pixels]:
    picture = Image.open(io.BytesIO(body))
    shown = []
    for index in range(getattr(picture, "n_frames", 1)):
        picture.seek(index)
        shown.append(as_floats(picture.convert("RGBA")))
    return shown


def middles_of(body: bytes) -> list[tuple[int, ...]]:
    return [tuple(map(int, frame[frame.shape[0] // 2, frame.shape[1] // 2])) for frame in frames_of(body)]


def are_near(got: list[tuple[int, ...]], tolerance: int = 6) -> bool:
    return len(got) == len(COLOURS) and all(
        abs(one - other) <= tolerance
        for pixel, colour in zip(got, COLOURS, strict=True)
        for one, other in zip(pixel, (*colour, 255), strict=True)
    )


@pytest.mark.parametrize("format_name", ["webp", "gif", "apng", "avifs"])
def test_it_moves_with_its_delays(format_name: str) -> None:
    rendered = render(sequence(), [parse(f"w=20,fm={format_name}")], Limits())
    assert (rendered.original.frames, rendered.original.file_frames) == (3, None)
    rendition = rendered.renditions[0]
    assert (rendition.metadata.frames, rendition.metadata.format) == (3, format_name)
    assert are_near(middles_of(rendition.body))
    picture = Image.open(io.BytesIO(rendition.body))
    delays = []
    for index in range(3):
        picture.seek(index)
        picture.load()
        delays.append(picture.info["duration"])
    assert delays == list(DELAYS)


@pytest.mark.parametrize("loop", [0, 1, 2, 7])
def test_loops_are_written_and_read(loop: int) -> None:
    data = animated([flat(colour) for colour in COLOURS], "webp", DELAYS, loop=loop, lossless=True)
    body = made(data, "fm=avifs").body
    track = heif_track(body)
    assert track is not None
    assert (track.loop, track.delays) == (loop, DELAYS)
    assert Image.open(io.BytesIO(made(body, "fm=webp").body)).info["loop"] == loop


def test_the_same_frames_give_the_same_bytes() -> None:
    """libavif writes the time at which it has written."""
    body = made(sequence(), "fm=avifs").body
    assert body == made(sequence(), "fm=avifs").body
    assert [body[body.index(kind) + 8 :][:16] for kind in (b"mvhd", b"tkhd", b"mdhd")] == [bytes(16)] * 3


def test_alpha_moves_too() -> None:
    frames = [
        Image.new("RGBA", (24, 16), (*colour, alpha))
        for colour, alpha in zip(COLOURS, (255, 128, 0), strict=True)
    ]
    body = made(animated(frames, "webp", DELAYS, lossless=True, exact=True), "fm=avifs").body
    assert [pixel[3] for pixel in middles_of(body)] == pytest.approx([255, 128, 0], abs=3)
    again = made(body, "fm=apng")
    assert [pixel[3] for pixel in middles_of(again.body)] == pytest.approx([255, 128, 0], abs=3)
    assert render(body, [], Limits()).original.alpha


def test_a_frame_can_be_chosen() -> None:
    for number, colour in enumerate(COLOURS, 1):
        pixel = opened(made(sequence(), f"frame={number},fm=png").body).getpixel((5, 5))
        assert pixel == pytest.approx(colour, abs=6)
    assert made(sequence(), "frames=2,fm=avifs").metadata.frames == 2
    assert made(sequence(), "fm=avif").metadata.frames == 1


@pytest.mark.parametrize("mirror", [None, 0, 1])
@pytest.mark.parametrize("quarters", range(4))
def test_the_rotation_of_the_container_is_applied(quarters: int, mirror: int | None) -> None:
    """Quarters are counter-clockwise; 0 mirrors top and bottom, 1 left and right (ISO/IEC 23008-12)."""
    pictures = [corners(48, 32), corners(48, 32).rotate(180)]
    data = animated(pictures, "avif", DELAYS[:2], quality=100, subsampling="4:4:4")
    # Pillow crashes where it writes such a sequence, so boxes about colour and coding make room.
    start, end = data.index(b"colr", data.index(b"moov")) - 4, data.index(b"ccst") + 12
    turns = box(b"irot", bytes([quarters])) + (b"" if mirror is None else box(b"imir", bytes([mirror])))
    data = data[:start] + turns + box(b"free", bytes(end - start - len(turns) - 8)) + data[end:]
    upright = pictures[0].rotate(90 * quarters, expand=True)
    if mirror is not None:
        upright = ImageOps.mirror(upright) if mirror else ImageOps.flip(upright)
    rendered = render(data, [parse("fm=apng")], Limits())
    assert (rendered.original.width, rendered.original.height) == upright.size
    assert (
        mean_difference(
            Image.fromarray(frames_of(rendered.renditions[0].body)[0][..., :3].astype("uint8")), upright
        )
        < 3
    )


def test_colours_told_by_numbers_are_followed() -> None:
    bt709, p3 = struct.pack(">4sHH", b"nclx", 1, 13), struct.pack(">4sHH", b"nclx", 12, 13)
    data = sequence()
    assert data.count(bt709) >= 2
    still = encoded(flat(COLOURS[1]), "avif").replace(bt709, p3)
    expected = opened(made(still, "fm=png").body).getpixel((5, 5))
    second = middles_of(made(data.replace(bt709, p3), "fm=apng").body)[1]
    assert second[:3] == pytest.approx(expected, abs=3)
    assert second != middles_of(made(data, "fm=apng").body)[1]


def test_a_profile_is_kept_and_written() -> None:
    wide = made(sequence(), "fm=avifs,colour=p3").body
    profile = Image.open(io.BytesIO(wide)).info["icc_profile"]
    assert profile == Image.open(io.BytesIO(made(sequence(), "fm=png,colour=p3").body)).info["icc_profile"]
    kept = made(wide, "fm=webp", icc=IccPolicy.PRESERVE).body
    assert Image.open(io.BytesIO(kept)).info["icc_profile"] == profile
    assert are_near(middles_of(made(wide, "fm=apng").body), 12)


def test_quality_decides_about_bytes() -> None:
    noise = Image.merge("RGB", [Image.effect_noise((96, 64), 60) for _ in range(3)])
    data = animated([noise, noise.rotate(180)], "webp", DELAYS[:2], lossless=True)
    sizes = [len(made(data, f"fm=avifs,{text}").body) for text in ("q=20", "q=63", "q=90", "q=90,chroma=444")]
    assert sizes == sorted(sizes)
    limited = made(data, f"fm=avifs,q=90,max-bytes={sizes[1]}")
    assert len(limited.body) <= sizes[1]


def test_a_still_in_this_format_is_an_avif() -> None:
    rendition = made(encoded(corners()), "fm=avifs")
    assert rendition.body == made(encoded(corners()), "fm=avif").body
    assert rendition.metadata.media_type == "image/avif"


def test_without_pillow_it_is_a_still_and_the_record_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sequence()
    monkeypatch.setattr(avif_sequence, "is_installed", lambda: False)
    original = render(data, [], Limits()).original
    assert (original.frames, original.file_frames) == (1, 3)
    assert made(data, "fm=webp").metadata.frames == 1
    moving = animated([flat(colour) for colour in COLOURS], "gif", DELAYS)
    with pytest.raises(MissingExtra, match=r"image-processor\[sequences\]"):
        made(moving, "fm=avifs")


def test_frames_count_for_the_limits() -> None:
    for limits, reason in (
        (Limits(max_frames=2), Reason.TOO_MANY_FRAMES),
        (Limits(max_pixels=40 * 40 * 3 - 1), Reason.TOO_MANY_PIXELS),
        (Limits(max_memory=48 * 1024 * 1024 + len(sequence()) + 40 * 40 * 30), Reason.TOO_MANY_PIXELS),
    ):
        with pytest.raises(Refused) as refused:
            render(sequence(), [], limits)
        assert refused.value.reason is reason
    assert render(sequence(), [], Limits(max_frames=3, max_pixels=40 * 40 * 3)).original.frames == 3


def test_a_cut_sequence_is_truncated() -> None:
    data = sequence()
    with pytest.raises(Refused) as refused:
        render(data[:-20], [], Limits())
    assert refused.value.reason is Reason.TRUNCATED
    assert render(data + b"trailer", [], Limits()).original.frames == 3


def test_broken_frames_are_refused() -> None:
    data = sequence()
    at = data.index(b"mdat") + 60
    broken = data[:at] + bytes(len(data) - at)
    with pytest.raises(Refused) as refused:
        made(broken, "fm=webp")
    assert refused.value.reason is Reason.CORRUPT


def test_a_clock_without_ticks_is_the_files_fault() -> None:
    """Pillow divides by them."""
    data = bytearray(sequence())
    at = data.index(b"mdhd") + 4
    data[at + 4 : at + 32] = bytes(28)
    with pytest.raises(Refused) as refused:
        made(bytes(data), "fm=webp")
    assert refused.value.reason is Reason.CORRUPT


def test_damaged_boxes_are_read_as_a_still_or_refused() -> None:
    data = sequence()
    start = data.index(b"moov")
    for at in range(start, data.index(b"mdat"), 3):
        broken = data[:at] + b"\xff" + data[at + 1 :]
        try:
            assert render(broken, [parse("fm=webp")], Limits()).original.frames >= 1
        except Refused:
            continue
