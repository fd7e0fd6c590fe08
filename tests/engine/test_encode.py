"""Encoders: the effect of each option on each format, and the search for a byte limit."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
import pyvips
from drawing import as_floats, encoded, made, mean_difference, near, opened, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.engine import runtime
from image_processor.engine.codecs import encode as encode_module
from image_processor.engine.codecs import gif
from image_processor.engine.codecs.codec import EncodeOptions
from image_processor.engine.codecs.encode import (
    LOWEST_QUALITY,
    AnimationTiming,
    EncodedImage,
    encode,
    encode_within,
    srgb_profile,
)
from image_processor.engine.codecs.jpeg import count_scans

LOSSY = [name for name in WRITABLE if FORMATS[name].quality is not None]
OPTIONS = {
    "progressive": True,
    "subsampling": "444",
    "optimise": True,
    "effort": 9,
    "lossless": True,
    "colours": 8,
}


def level_of(picture: Image.Image) -> pyvips.Image:
    """The image as a level of the engine."""
    runtime.start()
    pixels = np.asarray(picture)
    plain = pyvips.Image.new_from_memory(pixels.tobytes(), *picture.size, pixels.shape[2], "uchar")
    return plain.copy(interpretation="srgb")


PHOTOGRAPH = photograph().resize((120, 80))
FADING = PHOTOGRAPH.copy()
FADING.putalpha(Image.linear_gradient("L").resize(PHOTOGRAPH.size))


def encoded_as(
    format_name: str, encoding: EncodeOptions, picture: Image.Image = PHOTOGRAPH, profile: bytes | None = None
) -> EncodedImage:
    return encode([level_of(picture)], format_name, encoding, profile=profile, timing=AnimationTiming())


def within(format_name: str, max_bytes: int, encoding: EncodeOptions | None = None) -> EncodedImage:
    return encode_within(
        [level_of(PHOTOGRAPH)],
        format_name,
        encoding or EncodeOptions(),
        max_bytes,
        profile=None,
        timing=AnimationTiming(),
    )


@pytest.mark.parametrize("format_name", WRITABLE)
@pytest.mark.parametrize("option", OPTIONS)
def test_encoder_options_take_effect_where_supported(format_name: str, option: str) -> None:
    without = encoded_as(format_name, EncodeOptions()).body
    asked = encoded_as(format_name, EncodeOptions(**{option: OPTIONS[option]})).body
    assert (asked != without) == (option in FORMATS[format_name].encoder_options)


@pytest.mark.parametrize("format_name", WRITABLE)
def test_the_used_quality_is_returned(format_name: str) -> None:
    default = FORMATS[format_name].quality
    assert encoded_as(format_name, EncodeOptions()).quality == default
    assert encoded_as(format_name, EncodeOptions(quality=33)).quality == (33 if default else None)
    assert encoded_as(format_name, EncodeOptions(quality=33)).body != encoded_as(
        format_name, EncodeOptions()
    ).body or (default is None)


def test_a_progressive_jpeg_has_several_scans() -> None:
    assert count_scans(encoded_as("jpeg", EncodeOptions()).body) == 1
    body = encoded_as("jpeg", EncodeOptions(progressive=True)).body
    assert count_scans(body) > 2
    assert opened(body).info["progressive"]


@pytest.mark.parametrize("format_name", ["png", "gif"])
def test_an_interlaced_picture_is_the_same_picture(format_name: str) -> None:
    body = encoded_as(format_name, EncodeOptions(progressive=True)).body
    closed = Image.open(io.BytesIO(body))
    # The arguments of Pillow's GIF decoder: bits and interlace.
    assert (closed.tile[0][3][1] if format_name == "gif" else closed.info["interlace"]) == 1
    straight = opened(encoded_as(format_name, EncodeOptions()).body)
    assert mean_difference(opened(body).convert("RGB"), straight.convert("RGB")) == 0


@pytest.mark.parametrize(
    ("subsampling", "quality", "sampled"),
    [("auto", 75, 2), ("auto", 95, 0), ("420", 95, 2), ("444", 75, 0)],  # 2 is 4:2:0 and 0 is 4:4:4
)
def test_the_colours_of_a_jpeg_are_sampled_as_asked(subsampling: str, quality: int, sampled: int) -> None:
    body = encoded_as("jpeg", EncodeOptions(quality, subsampling=subsampling)).body
    assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(body))) == sampled


def test_mozjpeg_saves_bytes_at_the_same_quality() -> None:
    """Proves that the wheel's libjpeg is mozjpeg: others ignore these options."""
    plain, optimised = (encoded_as("jpeg", EncodeOptions(80, optimise=each)).body for each in (False, True))
    assert len(optimised) < 0.93 * len(plain)
    assert mean_difference(opened(optimised), PHOTOGRAPH) < 1.3 * mean_difference(opened(plain), PHOTOGRAPH)
    scans = [
        count_scans(encoded_as("jpeg", EncodeOptions(80, optimise=each, progressive=True)).body)
        for each in (False, True)
    ]
    assert scans[0] != scans[1]


@pytest.mark.parametrize("format_name", ["webp", "avif", "png", "tiff"])
@pytest.mark.parametrize("picture", [PHOTOGRAPH, FADING], ids=["opaque", "fading"])
def test_lossless_keeps_every_pixel(format_name: str, picture: Image.Image) -> None:
    result = encoded_as(format_name, EncodeOptions(quality=20, lossless=True), picture)
    back = opened(result.body).convert(picture.mode)
    seen = np.asarray(picture)[..., -1] > 0 if picture.mode == "RGBA" else np.full(picture.size[::-1], True)
    assert (np.asarray(back)[seen] == np.asarray(picture)[seen]).all()
    assert result.quality is None


@pytest.mark.parametrize("format_name", ["webp", "avif"])
def test_effort_saves_bytes(format_name: str) -> None:
    sizes = [len(encoded_as(format_name, EncodeOptions(effort=effort)).body) for effort in (0, 9)]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("format_name", WRITABLE)
@pytest.mark.parametrize("effort", range(10))
def test_every_effort_is_accepted(format_name: str, effort: int) -> None:
    small = PHOTOGRAPH.resize((24, 16))
    assert opened(encoded_as(format_name, EncodeOptions(effort=effort), small).body).size == small.size


@given(st.sampled_from(["png", "gif"]), st.integers(2, 256), st.sampled_from([PHOTOGRAPH, FADING]))
def test_a_palette_has_at_most_the_colours_asked_for(
    format_name: str, colours: int, picture: Image.Image
) -> None:
    body = encoded_as(format_name, EncodeOptions(colours=colours), picture.resize((48, 32))).body
    assert Image.open(io.BytesIO(body)).mode == "P" or format_name == "gif"
    back = opened(body)
    pixels = np.asarray(back.convert("RGBA")).reshape(-1, 4)
    assert 1 < len(np.unique(pixels, axis=0)) <= colours


@pytest.mark.parametrize(("colours", "used"), [(4, 4), (64, 64), (100, 64), (256, 256)])
def test_a_palette_uses_the_allowed_colours(colours: int, used: int) -> None:
    back = opened(encoded_as("png", EncodeOptions(colours=colours)).body).convert("RGB")
    assert len(np.unique(as_floats(back).reshape(-1, 3), axis=0)) == used
    assert mean_difference(back, PHOTOGRAPH) < 60 / np.log2(used) ** 1.5


def test_a_palette_keeps_half_transparent_pixels_and_the_profile() -> None:
    back = opened(encoded_as("png", EncodeOptions(colours=256), FADING).body).convert("RGBA")
    assert mean_difference(back.getchannel("A"), FADING.getchannel("A")) < 4
    for colours in (64, 256):
        body = encoded_as("png", EncodeOptions(colours=colours), profile=srgb_profile()).body
        assert opened(body).info["icc_profile"] == srgb_profile()


def test_a_tiff_is_readable_by_old_software() -> None:
    back = opened(encoded_as("tiff", EncodeOptions(), profile=srgb_profile()).body)
    assert back.info["compression"] == "tiff_lzw"
    tags = back.tag_v2  # type: ignore[attr-defined]
    assert tags[317] == 2  # Predictor: the difference to the left neighbour
    assert 273 in tags  # StripOffsets
    assert 322 not in tags  # TileWidth
    assert back.info["icc_profile"] == srgb_profile()


def test_tiff_alpha_is_declared_unassociated() -> None:
    back = opened(encoded_as("tiff", EncodeOptions(), FADING).body)
    assert back.mode == "RGBA"
    assert back.tag_v2[338] == (2,)  # type: ignore[attr-defined]  # ExtraSamples: unassociated


@pytest.mark.parametrize("format_name", ["webp", "gif"])
def test_an_animation_is_encoded_with_its_options(format_name: str) -> None:
    frames = [level_of(PHOTOGRAPH.rotate(20 * turn)) for turn in range(3)]
    timing = AnimationTiming((40, 80, 120), 2)
    result = encode(
        frames, format_name, EncodeOptions(colours=16, lossless=True), profile=None, timing=timing
    )
    animation = Image.open(io.BytesIO(result.body))
    assert animation.n_frames == 3  # type: ignore[attr-defined]
    delays = []
    for index in range(3):
        animation.seek(index)
        animation.load()
        delays.append(animation.info["duration"])
    assert delays == [40, 80, 120]


class TestWithin:
    @pytest.mark.parametrize("format_name", LOSSY)
    def test_an_image_that_fits_is_unchanged(self, format_name: str) -> None:
        asked = encoded_as(format_name, EncodeOptions())
        assert within(format_name, len(asked.body)) == asked

    @pytest.mark.parametrize("format_name", LOSSY)
    @pytest.mark.parametrize("part", [0.95, 0.7, 0.5])
    def test_the_highest_quality_that_fits_is_found(self, format_name: str, part: float) -> None:
        most = int(part * len(encoded_as(format_name, EncodeOptions()).body))
        result = within(format_name, most)
        assert result.quality is not None
        assert len(result.body) <= most
        assert result.body == encoded_as(format_name, EncodeOptions(result.quality)).body
        better = encoded_as(format_name, EncodeOptions(result.quality + 1)).body
        assert len(better) > most or len(result.body) >= 0.97 * most

    @pytest.mark.parametrize("format_name", LOSSY)
    def test_a_limit_below_the_lowest_quality_is_refused(self, format_name: str) -> None:
        least = len(encoded_as(format_name, EncodeOptions(LOWEST_QUALITY)).body)
        assert len(within(format_name, least).body) == least
        with pytest.raises(
            Refused, match=f"at most {least - 1} bytes, got {least} at quality {LOWEST_QUALITY}"
        ) as refusal:
            within(format_name, least - 1)
        assert refusal.value.reason is Reason.OUTPUT_TOO_LARGE

    def test_a_quality_below_the_lowest_is_not_raised(self) -> None:
        least = len(encoded_as("jpeg", EncodeOptions(4)).body)
        assert within("jpeg", least, EncodeOptions(4)).quality == 4
        with pytest.raises(Refused, match="at quality 4"):
            within("jpeg", least - 1, EncodeOptions(4))

    @pytest.mark.parametrize(
        ("format_name", "encoding"),
        [
            ("png", EncodeOptions()),
            ("png", EncodeOptions(colours=16)),
            ("gif", EncodeOptions()),
            ("tiff", EncodeOptions()),
            ("webp", EncodeOptions(lossless=True)),
            ("avif", EncodeOptions(lossless=True)),
        ],
    )
    def test_colours_and_pixels_are_not_reduced(self, format_name: str, encoding: EncodeOptions) -> None:
        size = len(encoded_as(format_name, encoding).body)
        assert len(within(format_name, size, encoding).body) == size
        with pytest.raises(Refused, match=f"got {size}, and no quality to lower") as refusal:
            within(format_name, size - 1, encoding)
        assert refusal.value.reason is Reason.OUTPUT_TOO_LARGE

    @pytest.mark.parametrize("format_name", LOSSY)
    def test_few_encodings_are_made(self, format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        tried: list[int | None] = []
        once = encode_module._encode_once

        def counted(picture: pyvips.Image, name: str, encoding: EncodeOptions) -> EncodedImage:
            tried.append(encoding.quality)
            return once(picture, name, encoding)

        monkeypatch.setattr(encode_module, "_encode_once", counted)
        full = len(encoded_as(format_name, EncodeOptions(100)).body)
        for part in (0.9, 0.5, 0.2):
            tried.clear()
            within(format_name, int(part * full), EncodeOptions(100))
            assert len(tried) <= 8
            assert len(set(tried)) == len(tried)

    def test_the_other_options_stay(self) -> None:
        asked = EncodeOptions(progressive=True, subsampling="444")
        result = within("jpeg", len(encoded_as("jpeg", asked).body) - 1, asked)
        back = Image.open(io.BytesIO(result.body))
        assert back.info["progressive"]
        assert JpegImagePlugin.get_sampling(back) == 0


def test_lazy_frames_are_encoded() -> None:
    late: Sequence[pyvips.Image] = [level_of(PHOTOGRAPH).invert()]
    result = encode_within(late, "jpeg", EncodeOptions(), 1500, profile=None, timing=AnimationTiming())
    corner = opened(result.body).resize((1, 1)).getpixel((0, 0))
    expected = Image.eval(PHOTOGRAPH, lambda value: 255 - value).resize((1, 1)).getpixel((0, 0))
    assert isinstance(corner, tuple)
    assert isinstance(expected, tuple)
    assert near(corner, expected, 6)


@pytest.mark.parametrize(
    ("format_name", "colours", "alone"),
    [
        ("gif", None, ["gifsave"]),
        ("png", 256, ["pngsave"]),
        ("png", 8, ["gifsave", "pngsave"]),
        ("png", None, []),
    ],
)
def test_colours_are_reduced_one_picture_at_a_time(
    format_name: str, colours: int | None, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time would share the state of rand(): about one GIF in 2,000 got other bytes."""
    seen: list[str] = []
    call = pyvips.Operation.call

    def watched(name: str, *arguments: object, **options: object) -> object:
        if "save" in name and gif.palette_lock.locked():
            seen.append(name.removesuffix("_buffer"))
        return call(name, *arguments, **options)

    monkeypatch.setattr(pyvips.Operation, "call", watched)
    encoded_as(format_name, EncodeOptions(colours=colours))
    assert seen == alone
    assert not gif.palette_lock.locked()


def test_a_soft_limit_takes_the_lowest_quality() -> None:
    data = encoded(PHOTOGRAPH)
    with pytest.raises(Refused) as refusal:
        made(data, "max-bytes=300,fm=jpeg")
    assert refusal.value.reason is Reason.OUTPUT_TOO_LARGE
    smallest = made(data, "max-bytes=300,soft=1,fm=jpeg").body
    assert smallest == made(data, f"q={LOWEST_QUALITY},fm=jpeg").body
