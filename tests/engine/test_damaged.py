"""Files that lack only their end are read. JPEGs damaged within are refused, unless Limits are lenient."""

from __future__ import annotations

import random

import pytest
from drawing import OnFirstUse, encoded, made, mean_difference, opened, photograph

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits, TruncatedPolicy
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.codec import FailOn
from image_processor.engine.codecs.probe import decode_tolerantly, probe
from image_processor.engine.operations.overlay import decode_overlay_images
from image_processor.engine.render import render

LENIENT = Limits(truncated=TruncatedPolicy.LENIENT)
PICTURE = photograph().resize((300, 200))
JPEG = encoded(PICTURE, "jpeg", quality=90)
TEXTS = ("fm=png", "w=40,fm=png", "trim=10,fm=png", "linear=1,w=50,fm=png")


def damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(400) + data[middle + 400 :]


DAMAGED = OnFirstUse(
    {
        "jpeg": lambda: damaged(JPEG),
        "progressive": lambda: damaged(encoded(PICTURE, "progressive", quality=90)),
        "half, with an end": lambda: JPEG[: len(JPEG) // 2] + b"\xff\xd9",
    }
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_within_a_jpeg_is_refused(name: str, text: str) -> None:
    with pytest.raises(Refused) as refusal:
        made(DAMAGED[name], text)
    assert refusal.value.reason in {Reason.CORRUPT, Reason.TRUNCATED}
    with pytest.raises(Refused):
        render(DAMAGED[name], [], Limits())


@pytest.mark.parametrize("name", DAMAGED)
def test_lenient_limits_accept_it_and_the_record_says_so(name: str) -> None:
    rendered = render(DAMAGED[name], [parse("fm=png"), parse("trim=200,w=40,fm=png")], LENIENT)
    assert rendered.original.truncated
    assert len(rendered.renditions) == 2
    upper = (0, 0, 300, 70)
    picture = opened(rendered.renditions[0].body)
    assert mean_difference(picture.crop(upper), PICTURE.crop(upper)) < 9
    assert not render(JPEG, [parse("fm=png")], LENIENT).original.truncated


def test_damage_in_an_overlay_follows_the_policy() -> None:
    with pytest.raises(Refused) as refusal:
        decode_overlay_images({"mark": DAMAGED["jpeg"]}, Limits())
    assert refusal.value.reason is Reason.OVERLAY_REFUSED
    assert decode_overlay_images({"mark": DAMAGED["jpeg"]}, LENIENT)["mark"].width == 300


def test_harmless_bytes_are_accepted() -> None:
    """Some cameras leave bytes between the scan and the end marker, or between segments."""
    progressive = encoded(PICTURE, "progressive", quality=90)
    extra = progressive[:-2] + b"abc" * 100 + b"\xff\xd9"
    header = probe(extra, Limits())
    tried: list[FailOn] = []

    def rendered(readable: object) -> bytes:
        tried.append(readable.fail_on)  # type: ignore[attr-defined]
        return made(extra, "fm=png").body

    decode_tolerantly(header, Limits(), rendered)
    assert tried == [FailOn.WARNING]
    for limits in (Limits(), LENIENT):
        result = render(extra, [parse(text) for text in TEXTS[:2]], limits)
        assert not result.original.truncated
        assert result.renditions[0].body == made(progressive, "fm=png").body


LACKING_AN_END = OnFirstUse(
    {
        "jpeg": lambda: JPEG[:-2],
        "jpeg, cut within its end": lambda: JPEG[:-1],
        "png": lambda: encoded(PICTURE)[:-12],
        "png, cut within its end": lambda: encoded(PICTURE)[:-3],
        "palette": lambda: encoded(PICTURE.quantize(16), "png")[:-12],
    }
)
WHOLE = OnFirstUse(
    {
        "jpeg": lambda: JPEG,
        "png": lambda: encoded(PICTURE),
        "palette": lambda: encoded(PICTURE.quantize(16), "png"),
    }
)


@pytest.mark.parametrize("name", LACKING_AN_END)
def test_a_missing_end_loses_no_pixels(name: str) -> None:
    whole = WHOLE[name.partition(",")[0]]
    for text in ("fm=png", "w=40,fm=png"):
        assert made(LACKING_AN_END[name], text).body == made(whole, text).body
    assert not render(LACKING_AN_END[name], [], Limits()).original.truncated


LACKING_PIXELS = OnFirstUse(
    {
        "jpeg": lambda: JPEG[:-40],
        "progressive": lambda: encoded(PICTURE, "progressive")[:-2],
        "png": lambda: encoded(PICTURE)[:-60],
        "png in its last chunk": lambda: encoded(PICTURE)[: -len(b"IDAT") - 12 - 4],
    }
)


@pytest.mark.parametrize("name", LACKING_PIXELS)
def test_missing_pixels_are_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        made(LACKING_PIXELS[name], "fm=png")
    assert refusal.value.reason is Reason.TRUNCATED


def test_a_jpeg_without_its_last_scans_is_refused() -> None:
    """Cut between two scans, nothing in the data tells that detail is missing."""
    data = encoded(PICTURE, "progressive")
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    for start in starts[1:]:
        with pytest.raises(Refused):
            made(data[:start], "fm=png")


def test_random_damage_never_gives_half_a_picture() -> None:
    """What Pillow refuses is refused too."""
    dice = random.Random(7)
    for _ in range(30):
        at = dice.randrange(len(JPEG) // 2, len(JPEG) - 500)
        data = JPEG[:at] + dice.randbytes(400) + JPEG[at + 400 :]
        try:
            opened(data)
        except OSError:
            with pytest.raises(Refused):
                made(data, "w=40,fm=png")
