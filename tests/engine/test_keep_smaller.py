"""A rendition in its original's format and size is the original's coded data where that has fewer bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from drawing import animated, corners, encoded, flat, made, opened, photograph
from PIL import Image, ImageCms, ImageSequence

from hostile.metadata_canaries import WITH_CANARIES, canaries_in
from hostile.oversized import box
from image_processor.domain.models import IccPolicy, KeepSmaller, Limits, TruncatedPolicy
from image_processor.domain.transformation import parse
from image_processor.engine.codecs import webp_parts
from image_processor.engine.codecs.encode import srgb_profile
from image_processor.engine.codecs.heif_items import HeifItems, boxes
from image_processor.engine.codecs.jpeg_markers import markers
from image_processor.engine.codecs.strip import STRIPPERS
from image_processor.engine.codecs.webp_parts import riff_chunk
from image_processor.engine.render import render

PHOTO = photograph().resize((150, 100))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FADING = PHOTO.copy()
FADING.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
FRAMES = [PHOTO.rotate(degrees).resize((60, 40)) for degrees in (0, 20, 40)]


def exif(orientation: int | None = None) -> bytes:
    tags = Image.Exif()
    tags[0x010E] = "Falkenstrasse 17"
    if orientation:
        tags[0x0112] = orientation
    return tags.tobytes()


SMALL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jpeg": ("jpeg", lambda: encoded(PHOTO, "jpeg", quality=30, exif=exif(), comment=b"Falkenstrasse 17")),
    "progressive jpeg": ("jpeg", lambda: encoded(PHOTO, "progressive", quality=30, exif=exif())),
    "grey jpeg": ("jpeg", lambda: encoded(PHOTO.convert("L"), "jpeg", quality=30, exif=exif())),
    "jpeg in sRGB": ("jpeg", lambda: encoded(PHOTO, "jpeg", quality=30, exif=exif(), icc_profile=SRGB)),
    "jpeg of RGB": ("jpeg", lambda: encoded(PHOTO, "jpeg", quality=3, exif=exif(), keep_rgb=True)),
    "png": ("png", lambda: encoded(PHOTO, "png", optimize=True, exif=exif())),
    "png with alpha": ("png", lambda: encoded(FADING, "png", optimize=True, exif=exif())),
    "webp": ("webp", lambda: encoded(PHOTO, "webp", quality=20, exif=exif())),
    "webp with alpha": ("webp", lambda: encoded(FADING, "webp", quality=20, exif=exif())),
    "animated webp": ("webp", lambda: animated(FRAMES, "webp", [40, 80, 90], quality=10, exif=exif())),
    "avif": ("avif", lambda: encoded(PHOTO, "avif", quality=20)),
    "avif with alpha": ("avif", lambda: encoded(FADING, "avif", quality=20)),
    "gif": (
        "gif",
        lambda: encoded(PHOTO.quantize(64, dither=0).resize((20, 20)), "gif", comment=b"Falkenstrasse 17"),
    ),
}


def pixels(body: bytes) -> np.ndarray[Any, Any]:
    """All frames, as Pillow decodes them."""
    with warnings.catch_warnings(action="ignore"):  # about a JPEG's index of further pictures
        picture = Image.open(io.BytesIO(body))
    return np.stack([np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(picture)])


@pytest.mark.parametrize("name", SMALL)
def test_the_original_is_sent_without_metadata_where_it_has_fewer_bytes(name: str) -> None:
    format_, make = SMALL[name]
    data = make()
    kept, encoded_anew = made(data, f"fm={format_}"), made(data, f"keep-smaller=0,fm={format_}")
    assert kept.metadata.keep_smaller is KeepSmaller.KEPT
    assert encoded_anew.metadata.keep_smaller is None
    assert len(kept.body) == kept.metadata.bytes < len(encoded_anew.body)
    assert len(kept.body) <= len(data)
    assert np.array_equal(pixels(kept.body), pixels(data))
    picture = Image.open(io.BytesIO(kept.body))
    assert b"Falkenstrasse" not in kept.body
    assert not picture.info.get("icc_profile")
    assert picture.size == (kept.metadata.width, kept.metadata.height)
    assert kept.metadata.frames == getattr(picture, "n_frames", 1)


def test_timing_of_an_animation_stays() -> None:
    picture = Image.open(io.BytesIO(made(SMALL["animated webp"][1](), "fm=webp").body))
    delays = []
    for frame in ImageSequence.Iterator(picture):
        frame.load()
        delays.append(frame.info["duration"])
    assert (delays, picture.info["loop"]) == ([40, 80, 90], 0)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "avif"])
def test_nothing_beside_the_image_passes(name: str) -> None:
    """A canary is in every place that the format has besides pixels."""
    data, strip = WITH_CANARIES[name](), STRIPPERS[name]
    stripped = strip(data, None)
    if name == "avif":  # it has metadata items, which are not cut out
        assert isinstance(stripped, KeepSmaller)
        return
    assert isinstance(stripped, bytes)
    assert canaries_in(data)
    assert canaries_in(stripped) == []
    # The canaries are all in what Pillow reads beside the pixels.
    assert np.array_equal(pixels(stripped)[..., :3], pixels(data)[..., :3])


@pytest.mark.parametrize("policy", [IccPolicy.EMBED, IccPolicy.PRESERVE])
@pytest.mark.parametrize("name", ["jpeg", "jpeg of RGB", "png", "png with alpha"])
def test_the_policy_decides_about_the_profile(name: str, policy: IccPolicy) -> None:
    format_, make = SMALL[name]
    rendition = made(make(), f"fm={format_}", icc=policy)
    assert rendition.metadata.keep_smaller is KeepSmaller.KEPT
    assert opened(rendition.body).info["icc_profile"] == srgb_profile()


def test_a_long_profile_is_kept_in_parts() -> None:
    profile = srgb_profile().ljust(140_000, b"\0")
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    strip = STRIPPERS["jpeg"]
    stripped = strip(SMALL["jpeg"][1](), profile)
    assert isinstance(stripped, bytes)
    assert opened(stripped).info["icc_profile"] == profile


def wide(quality: int) -> bytes:
    profile: bytes = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb").icc_transform(
        "p3"
    ).get("icc-profile-data")  # fmt: skip
    return encoded(corners(96, 64), "jpeg", quality=quality, icc_profile=profile)


@pytest.mark.parametrize(
    ("reason", "make", "text"),
    [
        (KeepSmaller.ORIENTATION, lambda: encoded(PHOTO, "jpeg", quality=20, exif=exif(6)), "fm=jpeg"),
        (KeepSmaller.PIXELS, lambda: wide(20), "q=100,fm=jpeg"),
        (KeepSmaller.PIXELS, lambda: encoded(PHOTO, "jpeg", quality=20), "bri=5,fm=jpeg"),
        (KeepSmaller.PIXELS, lambda: encoded(PHOTO.convert("CMYK"), "jpeg", quality=10), "q=95,fm=jpeg"),
        (KeepSmaller.OPTIONS, lambda: encoded(PHOTO, "jpeg", quality=20), "prog=1,fm=jpeg"),
        (KeepSmaller.STRUCTURE, lambda: encoded(PHOTO, "avif", quality=20, exif=exif()), "fm=avif"),
        (KeepSmaller.COLOUR, lambda: encoded(PHOTO, "avif", quality=20, icc_profile=SRGB), "fm=avif"),
    ],
)
def test_why_a_larger_rendition_is_not_replaced(
    reason: KeepSmaller, make: Callable[[], bytes], text: str
) -> None:
    data = make()
    rendition = made(data, text)
    assert rendition.metadata.keep_smaller is reason
    assert rendition.metadata.bytes > len(data)


def test_a_damaged_original_is_not_sent() -> None:
    data = encoded(PHOTO, "jpeg", quality=30)
    limits = Limits(truncated=TruncatedPolicy.LENIENT)
    rendition = render(data[: len(data) // 2], [parse("q=95,fm=jpeg")], limits, summary=False).renditions[0]
    assert rendition.metadata.keep_smaller is KeepSmaller.DAMAGED


@pytest.mark.parametrize("text", ["w=50,fm=jpeg", "fm=webp", "rect=0:0:90:90,fm=jpeg"])
def test_other_sizes_and_formats_are_left_alone(text: str) -> None:
    assert made(encoded(PHOTO, "jpeg", quality=20), text).metadata.keep_smaller is None


def test_a_rendition_of_fewer_bytes_needs_no_reason() -> None:
    data = encoded(PHOTO, "jpeg", quality=98, exif=exif(6))
    assert made(data, "fm=jpeg").metadata.keep_smaller is None


def test_hidden_bytes_behind_the_pixels_of_a_png_do_not_pass() -> None:
    data = encoded(flat("red"), "png")
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    secret = b"Falkenstrasse 17"
    hidden = data[: at - 4] + (length + len(secret)).to_bytes(4, "big") + data[at : at + 4 + length]
    hidden += secret + data[at + 4 + length :]
    strip = STRIPPERS["png"]
    assert isinstance(strip(data, None), bytes)
    assert strip(hidden, None) is KeepSmaller.STRUCTURE


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "interlaced"])
def test_rows_below_the_last_one_of_a_png_do_not_pass(mode: str) -> None:
    picture = PHOTO.resize((37, 29))
    if mode == "interlaced":
        data = made(encoded(picture, "png"), "prog=1,fm=png").body
    else:
        data = encoded(picture.convert(mode), "png")
    strip = STRIPPERS["png"]
    assert isinstance(strip(data, None), bytes)
    assert strip(data[:20] + (28).to_bytes(4, "big") + data[24:], None) is KeepSmaller.STRUCTURE


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "full colour": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restarts": {"restart_marker_rows": 1},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("hide", ["rows", "bytes"])
def test_what_is_hidden_behind_the_last_row_of_a_jpeg_is_not_sent(options: dict[str, Any], hide: str) -> None:
    data = encoded(PHOTO, "jpeg", quality=30, **options)
    assert made(data, "fm=jpeg,q=100").metadata.keep_smaller is KeepSmaller.KEPT
    if hide == "bytes":
        hidden = data[:-2] + b"Falkenstrasse 17" + data[-2:]
    else:
        at = next(at for marker, at in markers(data) if marker in {0xC0, 0xC2})
        hidden = data[: at + 3] + (48).to_bytes(2, "big") + data[at + 5 :]
    rendition = made(hidden, "fm=jpeg,q=100")
    assert rendition.metadata.keep_smaller is KeepSmaller.STRUCTURE
    assert b"Falkenstrasse" not in rendition.body


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
        for name, content in chunks
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


_SECRET = b"Falkenstrasse 17"
_VP8 = (b"VP8 ", b"coded data")
_FRAME = (b"ANMF", bytes(16) + _riff(_VP8)[12:])


def _vp8x(flags: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags]) + bytes(9)


@pytest.mark.parametrize(
    "chunks",
    [
        (_VP8, (b"VP8 ", _SECRET)),
        (_vp8x(0), _VP8, (b"VP8L", _SECRET)),
        (_vp8x(0), (b"ALPH", _SECRET), _VP8),
        (_vp8x(0), _VP8, (b"ANMF", bytes(16) + _SECRET)),
        (_vp8x(0x02), _FRAME, (b"VP8 ", _SECRET)),
        (_vp8x(0x02), (_FRAME[0], _FRAME[1] + _riff((b"VP8 ", _SECRET))[12:])),
    ],
)
def test_images_in_a_webp_that_no_decoder_shows_do_not_pass(chunks: tuple[tuple[bytes, bytes], ...]) -> None:
    assert STRIPPERS["webp"](_riff(*chunks), None) is KeepSmaller.STRUCTURE


def test_bytes_behind_the_timing_of_a_gif_do_not_pass() -> None:
    data, strip = animated(FRAMES, "gif", [40, 80, 90]), STRIPPERS["gif"]
    at = data.index(b"\x21\xf9\x04") + 7
    assert isinstance(strip(data, None), bytes)
    assert strip(data[:at] + bytes([len(_SECRET)]) + _SECRET + data[at:], None) is KeepSmaller.STRUCTURE


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


_WORDS = (_SECRET * 8)[:64]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "hidden",
    [
        _segment(0xDB, b"\x03" + _WORDS),
        _segment(0xDB, b"\x00" + _WORDS),
        _segment(0xC4, b"\x03" + bytes([*[0] * 7, 64, *[0] * 8]) + _WORDS),
        _segment(0xC4, b"\x00" + bytes([*[0] * 7, 64, *[0] * 8]) + _WORDS),
    ],
    ids=["no component's", "defined twice", "no scan's", "defined before use"],
)
def test_tables_of_a_jpeg_that_no_pixel_needs_do_not_pass(hidden: bytes, progressive: bool) -> None:  # noqa: FBT001
    data = encoded(PHOTO, "jpeg", quality=30, progressive=progressive)
    assert made(data, "fm=jpeg,q=100").metadata.keep_smaller is KeepSmaller.KEPT
    rendition = made(data[:2] + hidden + data[2:], "fm=jpeg,q=100")
    assert rendition.metadata.keep_smaller is KeepSmaller.STRUCTURE
    assert _SECRET not in rendition.body


def _inserted(data: bytes, path: tuple[bytes, ...], content: bytes) -> bytes:
    """``content`` at the end of the box at ``path`` of an AVIF, with the sizes and offsets that follow."""
    items = HeifItems.read(data)
    assert items is not None
    start, stop, grown = 0, len(data), bytearray(data)
    for wanted in path:
        found = {kind: (at, end) for kind, at, end in boxes(data, start, stop)}
        start, stop = found[wanted]
        grown[start - 8 : start - 4] = (stop - start + 8 + len(content)).to_bytes(4, "big")
        start += 4 if wanted == b"meta" else 0
    for _, first, last in items.extents:
        entry = first.to_bytes(4, "big") + (last - first).to_bytes(4, "big")
        at = grown.index(entry)
        grown[at : at + 4] = (first + len(content)).to_bytes(4, "big")
    return bytes(grown[:stop] + content + grown[stop:])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ((b"meta",), box(b"idat", _SECRET)),
        ((b"meta", b"hdlr"), _SECRET),
        ((b"meta", b"iprp", b"ipco"), box(b"cclv", _SECRET)),
    ],
    ids=["data", "name of the handler", "property of no item"],
)
def test_words_in_the_meta_box_of_an_avif_do_not_pass(path: tuple[bytes, ...], content: bytes) -> None:
    data = encoded(PHOTO, "avif", quality=20)
    assert made(data, "fm=avif").metadata.keep_smaller is KeepSmaller.KEPT
    hidden = _inserted(data, path, content)
    assert opened(hidden).size == PHOTO.size
    rendition = made(hidden, "fm=avif")
    assert rendition.metadata.keep_smaller is KeepSmaller.STRUCTURE
    assert _SECRET not in rendition.body


def test_the_name_of_an_item_of_an_avif_does_not_pass() -> None:
    data = encoded(PHOTO, "avif", quality=20)
    assert data.count(b"Color") == 1
    assert STRIPPERS["avif"](data.replace(b"Color", b"Falke"), None) is KeepSmaller.STRUCTURE


def _with_tail(data: bytes, name: bytes, *, first_partition: bool = False) -> bytes:
    """The last chunk ``name`` of a WebP with a secret at its end, or at that of its first partition; so with
    the sizes of what is around it."""
    at = data.rindex(name)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    content = data[at + 8 : at + 8 + size]
    if first_partition:
        tag = int.from_bytes(content[:3], "little") + (len(_SECRET) << 5)
        end = 10 + (int.from_bytes(content[:3], "little") >> 5)
        content = tag.to_bytes(3, "little") + content[3:end] + _SECRET + content[end:]
    else:
        content += _SECRET
    changed = data[:at] + riff_chunk(name, content) + data[at + 8 + size + size % 2 :]
    grown = len(changed) - len(data)
    frame = data.rfind(b"ANMF")
    if 0 < frame < at:
        length = int.from_bytes(data[frame + 4 : frame + 8], "little") + grown
        changed = changed[: frame + 4] + length.to_bytes(4, "little") + changed[frame + 8 :]
    return changed[:4] + (len(changed) - 8).to_bytes(4, "little") + changed[8:]


WEBPS: dict[str, tuple[Callable[[], bytes], bytes, bool]] = {
    "lossy": (lambda: encoded(PHOTO, "webp", quality=30), b"VP8 ", False),
    "lossy, first partition": (lambda: encoded(PHOTO, "webp", quality=30), b"VP8 ", True),
    "lossless": (lambda: encoded(PHOTO, "webp", lossless=True), b"VP8L", False),
    "colours with alpha": (lambda: encoded(FADING, "webp", quality=30), b"VP8 ", False),
    "alpha": (lambda: encoded(FADING, "webp", quality=30), b"ALPH", False),
    "frame": (lambda: animated(FRAMES, "webp", [40, 80, 90], quality=30), b"VP8 ", False),
}


@pytest.mark.parametrize("name", WEBPS)
def test_tails_of_the_parts_of_a_webp_do_not_pass(name: str) -> None:
    make, chunk, first_partition = WEBPS[name]
    data, text = make(), "fm=webp,q=100" if name != "lossless" else "fm=webp,lossless=1,effort=0"
    assert made(data, text).metadata.keep_smaller is KeepSmaller.KEPT
    hidden = _with_tail(data, chunk, first_partition=first_partition)
    assert Image.open(io.BytesIO(hidden)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    rendition = made(hidden, text)
    assert rendition.metadata.keep_smaller is not KeepSmaller.KEPT
    assert _SECRET not in rendition.body


@pytest.mark.parametrize("quality", range(5, 100, 10))
def test_a_webp_without_a_tail_is_kept_at_every_quality(quality: int) -> None:
    data = encoded(PHOTO, "webp", quality=quality, method=quality % 7)
    assert made(data, "fm=webp,q=100").metadata.keep_smaller is KeepSmaller.KEPT


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_number_of_partitions_is_read(count: int) -> None:
    """libvips' encoder writes one; a header with others is one bit pattern further (RFC 6386, 9.5)."""
    header = _coded_bits([0, 0, 0, *[0] * 10, 0, *map(int, f"{(1, 2, 4, 8).index(count):02b}")])
    assert webp_parts._partitions(header) == count


def _coded_bits(bits: list[int]) -> bytes:
    """Bits of even probability by the encoder of RFC 6386, 7.3, with whole numbers of any size."""
    low, range_, shift = 0, 255, 0
    for bit in bits:
        split = 1 + (((range_ - 1) * 128) >> 8)
        low, range_ = (low + split, range_ - split) if bit else (low, split)
        while range_ < 128:
            low, range_, shift = low << 1, range_ << 1, shift + 1
    return (low << (-shift % 8)).to_bytes((shift + 7) // 8 + 1, "big")
