"""Judges an upload by its header, before anything is decoded: what is it, how large, and is
that within the limits. Every refusal that needs no pixels is made here.
"""

from __future__ import annotations

from typing import Any

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import READABLE_TITLES, Format, describe_foreign, sniff
from image_processor.domain.geometry import Size
from image_processor.domain.models import Limits, TruncatedPolicy
from image_processor.engine import runtime
from image_processor.engine.memory import check_document, check_memory

from . import optional_decoders as outside
from .container import count_scans, ends_early, is_cut_off
from .decode import open_original, without_bands
from .image_header import PixelLayout
from .tiff import check_samples, read_directory
from .tiff import ends_early as page_ends_early

_SNIFFED = 1024

_USABLE_IN_PART = frozenset({"jpeg", "png", "gif", "tiff"})
"""Where libvips still gives pixels; WebP, AVIF, HEIC and JPEG XL are decoded whole or not at all."""


class Header(Struct, frozen=True):
    """What the header says. ``width`` and ``height`` are of one upright frame, in pixels.

    ``orientation`` is EXIF's 1-8, not yet applied to the stored pixels. ``delays`` holds the
    milliseconds each frame is shown, empty for a still; ``loop`` how often (0 is for ever).
    ``idle_bands`` at the end of a stored pixel are neither colour nor alpha.
    ``truncated`` says that the file ends early and that Limits let it pass. ``pages`` is how many a
    TIFF has; the others say what is true of its 0-based ``page``.
    """

    width: int
    height: int
    format: str
    frames: int
    alpha: bool
    orientation: int
    delays: tuple[int, ...] = ()
    loop: int = 0
    idle_bands: int = 0
    truncated: bool = False
    pages: int = 1
    page: int = 0

    @property
    def upright(self) -> Size:
        return Size(self.width, self.height)

    @property
    def stored(self) -> Size:
        """The size of one frame as it lies in the file: orientations 5-8 swap width and height."""
        return self.upright.turned() if self.orientation >= 5 else self.upright


def probe(data: bytes, limits: Limits, *, page: int = 0) -> Header:
    """Read the header of ``data``, of a TIFF that of its 0-based ``page``; nothing is decoded.

    Raises Refused: EMPTY, TOO_MANY_BYTES, NOT_AN_IMAGE, UNSUPPORTED_FORMAT, TRUNCATED, CORRUPT,
    TOO_MANY_SCANS, TOO_MANY_FRAMES or TOO_MANY_PIXELS (width x height x frames, or more memory
    than memory.PEAK_BYTES for decoding them).
    """
    runtime.start(svg=limits.svg)
    _check_bytes(data, limits)
    format_ = _recognise(data, limits)
    page = page if format_.name == "tiff" else 0
    truncated = _is_truncated(data, format_, limits, page)
    _check_scans(data, format_, limits)
    if format_.name == "svg":
        check_document(data)
    if format_.loader is None:
        opened, header = _see(data, format_)
    else:
        opened, header = _open(data, format_, page, truncated=truncated)
    _check_size(header, limits)
    check_memory(data, opened, header.upright.area, format_.name, page)
    return header


def _is_truncated(data: bytes, format_: Format, limits: Limits, page: int) -> bool:
    """Whether it ends early; raises Refused(TRUNCATED) unless the limits and its format bear that."""
    lenient = limits.truncated is TruncatedPolicy.LENIENT and format_.name in _USABLE_IN_PART
    if format_.name == "tiff":
        # Without its directory it cannot be judged at all.
        lenient = lenient and read_directory(data, page) is not None
        early = page_ends_early(data, page)
    else:
        early = is_cut_off(data, format_.name) if lenient else ends_early(data, format_.name)
    if early and not lenient:
        raise Refused(Reason.TRUNCATED, f"expected a complete {format_.name}, got one that ends early")
    return early


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise Refused(Reason.EMPTY, "expected an image, got an empty file")
    if len(data) > limits.max_bytes:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limits.max_bytes} bytes, got {len(data)}")


def _recognise(data: bytes, limits: Limits) -> Format:
    format_ = sniff(data[:_SNIFFED])
    allowed = format_ is not None and (limits.svg or not format_.opt_in)
    if format_ is not None and allowed:
        if format_.extra is not None:
            outside.check_there(format_)
        return format_
    foreign = format_.title if format_ is not None else describe_foreign(data[:_SNIFFED])
    if foreign is not None:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"expected {READABLE_TITLES}, got {foreign}")
    raise Refused(Reason.NOT_AN_IMAGE, f"expected {READABLE_TITLES}, got something else")


def _check_scans(data: bytes, format_: Format, limits: Limits) -> None:
    scans = count_scans(data) if format_.name == "jpeg" else 0
    if scans > limits.max_scans:
        raise Refused(Reason.TOO_MANY_SCANS, f"expected at most {limits.max_scans} scans, got {scans}")


def _check_samples(data: bytes, format_: Format, page: int) -> int:
    """How many bands of a pixel say nothing; only a TIFF can have such, or samples of any kind."""
    directory = read_directory(data, page) if format_.name == "tiff" else None
    if directory is None:
        return 0
    check_samples(directory)
    return directory.idle_samples


def _see(data: bytes, format_: Format) -> tuple[PixelLayout, Header]:
    seen = outside.see(data, format_)
    if 0 in {seen.width, seen.height}:
        raise Refused(Reason.CORRUPT, f"expected pixels in a {format_.name}, got none")
    return seen, Header(seen.width, seen.height, format_.name, frames=1, alpha=seen.alpha, orientation=1)


def _open(data: bytes, format_: Format, page: int, *, truncated: bool) -> tuple[pyvips.Image, Header]:
    idle_bands = _check_samples(data, format_, page)
    count = -1 if format_.animation else 1
    opened = open_original(data, format_, first=page, count=count, lenient=truncated)
    header = _read(opened, format_, idle_bands)
    pages = _field(opened, "n-pages", 1) if format_.name == "tiff" else 1
    return opened, replace(header, truncated=truncated, pages=pages, page=page)


def _read(opened: pyvips.Image, format_: Format, idle_bands: int) -> Header:
    pixel = without_bands(opened, idle_bands)
    frames = _field(opened, "n-pages", 1) if format_.animation else 1
    orientation = _field(opened, "orientation", 1)  # libvips gives 1 for what is not 1-8
    stored = Size(opened.width, _field(opened, "page-height", opened.height) if frames > 1 else opened.height)
    upright = stored.turned() if orientation >= 5 else stored
    return Header(
        width=upright.width,
        height=upright.height,
        format=format_.name,
        frames=frames,
        alpha=bool(pixel.hasalpha()),
        orientation=orientation,
        delays=tuple(_field(opened, "delay", [])) if frames > 1 else (),
        loop=_field(opened, "loop", 0),
        idle_bands=idle_bands,
    )


def _field(opened: pyvips.Image, name: str, default: Any) -> Any:
    return opened.get(name) if opened.get_typeof(name) else default


def _check_size(header: Header, limits: Limits) -> None:
    if header.frames > limits.max_frames:
        raise Refused(
            Reason.TOO_MANY_FRAMES, f"expected at most {limits.max_frames} frames, got {header.frames}"
        )
    pixels = header.upright.area * header.frames
    if pixels > limits.max_pixels:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            f"expected at most {limits.max_pixels} pixels, "
            f"got {header.width} x {header.height} x {header.frames} = {pixels}",
        )
