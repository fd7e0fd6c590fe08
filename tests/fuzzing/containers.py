"""Fuzz targets of what the engine reads of a file in Python: container structure, EXIF, TIFF directories.

Each codec has one, and probing, which decides with libvips' header readers, has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import TypeVar

import pyvips

from image_processor.domain.errors import Refused
from image_processor.domain.formats import describe_foreign, sniff
from image_processor.domain.models import ExifField, Limits, TruncatedPolicy
from image_processor.engine.codecs import exif, jpeg, tiff
from image_processor.engine.codecs.codec import Codec
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.registry import CODECS, is_installed

from .target import FuzzTarget, check_error

_LIMITS = (Limits(svg=True), Limits(svg=True, truncated=TruncatedPolicy.LENIENT))
_PAGES = range(3)
_Result = TypeVar("_Result")


@cache
def _originals() -> dict[str, bytes]:
    from hostile.originals import originals  # noqa: PLC0415 - drawing them takes a second

    return originals()


def _seeds(name: str) -> tuple[bytes, ...]:
    return tuple(data for original, data in _originals().items() if original.partition("-")[0] == name)


def _check_codec(codec: Codec, data: bytes) -> None:
    _check_structure(codec, data)
    _unless_refused(codec.check, data, _LIMITS[0])
    with suppress(pyvips.Error):
        animation = codec.read_animation(data)
        assert animation is None or len(animation.delays) > 1
    if codec.read_layout is not None and is_installed(codec):
        layout = _unless_refused(codec.read_layout, data)
        assert layout is None or (layout.width > 0 and layout.height > 0 and layout.bands > 0)


def _check_structure(codec: Codec, data: bytes) -> None:
    for page in _PAGES:
        assert codec.is_truncated(data, page) in {True, False}
        assert codec.decodes_partially(data, page) in {True, False}
        assert codec.lacks_end is None or codec.lacks_end(data, page) in {True, False}
        assert (_unless_refused(codec.idle_bands, data, page) or 0) >= 0
    assert codec.exif_block is None or isinstance(codec.exif_block(data), bytes)


def _unless_refused(call: Callable[..., _Result], *arguments: object) -> _Result | None:
    """What ``call`` returns; None if it raises Refused."""
    try:
        return call(*arguments)
    except Refused as error:
        check_error(error)
        return None


def _check_probe(data: bytes) -> None:
    sniff(data[:1024])
    describe_foreign(data[:1024])
    for limits in _LIMITS:
        header = _unless_refused(probe, data, limits)
        assert header is None or 0 < header.width * header.height * header.frames <= limits.max_pixels


def _check_jpeg(data: bytes) -> None:
    assert jpeg.count_scans(data) >= 0
    assert jpeg.buffered_coefficients(data) >= 0


def _check_exif(data: bytes) -> None:
    """The block of a TIFF is its directory; of other formats, libvips finds it."""
    for field, value in exif.read_exif(data, "tiff", tuple(ExifField)):
        assert field in set(ExifField)
        assert value.isprintable()
        assert len(value) <= exif.MAX_CHARACTERS


def _check_tiff(data: bytes) -> None:
    for page in _PAGES:
        found = tiff.read_directory(data, page)
        if found is None:
            continue
        assert found.block_bytes >= 0
        try:
            tiff.check_samples(found)
        except Refused as error:
            check_error(error)
            continue
        assert 0 <= found.idle_samples < found.samples


_WORDS: tuple[bytes, ...] = (
    *(b"\0", b"\1", b"\xff", b"\0\0\0\1", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\1"),
    *(
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"eXIf",
        b"RIFF",
        b"VP8X",
        b"ANMF",
        b"EXIF",
        b"ftypavif",
        b"ftypheic",
        b"meta",
    ),
    *(b"\0\0\0\1mdat", b"jxlc", b"jxlp", b"II*\0", b"MM\0*", b"II+\0", b"Exif\0\0", b"\x21\xff\x0b", b"\x2c"),
    *(
        b"\xff\xd8",
        b"\xff\xd9",
        b"\xff\xc2",
        b"\xff\xda\0\x0c",
        b"\xff\xe1",
        b"\xff\0",
        b"<svg",
        b"</svg>",
        b"\x3b",
    ),
)


def _targets() -> Iterator[tuple[str, FuzzTarget]]:
    for name, codec in CODECS.items():
        check = partial(_check_codec, codec)
        yield f"container-{name}", FuzzTarget(check, partial(_seeds, name), _WORDS, max_bytes=20_000)
    yield "jpeg-scans", FuzzTarget(_check_jpeg, partial(_seeds, "jpeg"), _WORDS)
    yield "tiff-directory", FuzzTarget(_check_tiff, partial(_seeds, "tiff"), _WORDS)
    yield "exif", FuzzTarget(_check_exif, partial(_seeds, "tiff"), _WORDS)
    yield "probe", FuzzTarget(_check_probe, lambda: tuple(_originals().values()), _WORDS, max_bytes=20_000)


TARGETS = dict(_targets())
