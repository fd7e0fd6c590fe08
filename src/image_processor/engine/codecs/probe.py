"""Reads the header of an original and checks it against the limits, before anything is decoded.

Every refusal that needs no pixels is made here: format, size, truncation, scans, frames, memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import READABLE_TITLES, Format, describe_foreign, sniff
from image_processor.domain.geometry import Size
from image_processor.domain.models import Limits, TruncatedPolicy
from image_processor.engine import runtime

from .codec import Animation, Codec, FailOn, PixelLayout, ShrinkOnLoad
from .decode import DecoderWarning, open_original, translate_errors, without_bands
from .memory import check_memory, strip_bytes
from .registry import CODECS, is_installed

_SNIFFED_BYTES = 64 * 1024


class ImageHeader(Struct, frozen=True):
    """What the header of an original says."""

    width: int
    """Pixels of one upright frame, as ``height``."""
    height: int
    format: str
    frames: int
    alpha: bool
    orientation: int
    """EXIF's 1-8, not yet applied to the stored pixels."""
    delays: tuple[int, ...] = ()
    """Milliseconds that each frame is shown; empty for a still."""
    loop: int = 0
    """How often the animation plays; 0 is forever."""
    idle_bands: int = 0
    """Samples at the end of a stored pixel that are neither colour nor alpha."""
    truncated: bool = False
    """Whether the file ends early, or is damaged, and the limits accept that."""
    fail_on: FailOn = FailOn.ERROR
    """What ends the decoding."""
    pages: int = 1
    """How many pages a TIFF has. The other fields describe the page ``page``."""
    page: int = 0
    """From 0."""
    file_frames: int | None = None
    """How many frames an animation has that is read as a still; None for all others."""

    @property
    def shrink_on_load(self) -> ShrinkOnLoad:
        """How the decoder may shrink this image. libwebp averages colours without regard to alpha: those of
        transparent pixels, often black, would darken every edge."""
        kind = CODECS[self.format].shrink_on_load
        return ShrinkOnLoad.NONE if kind is ShrinkOnLoad.ROUNDS and self.alpha else kind

    @property
    def upright(self) -> Size:
        return Size(self.width, self.height)

    @property
    def stored(self) -> Size:
        """The size of one frame as stored: orientations 5-8 swap width and height."""
        return self.upright.turned() if self.orientation >= 5 else self.upright


def probe(data: bytes, limits: Limits, *, page: int | None = None) -> ImageHeader:
    """Read the header of ``data``, for a TIFF that of its 0-based ``page``, or of its main page where None;
    nothing is decoded.

    Raises Refused: EMPTY, TOO_MANY_BYTES, NOT_AN_IMAGE, UNSUPPORTED_FORMAT, TRUNCATED, CORRUPT,
    TOO_MANY_SCANS, TOO_MANY_FRAMES or TOO_MANY_PIXELS (width x height x frames, or more memory
    for decoding than ``limits.max_memory``).
    """
    runtime.start(svg=limits.svg)
    _check_bytes(data, limits)
    format_ = _recognise(data, limits)
    codec = CODECS[format_.name]
    if page is None or not codec.multi_page:
        page = codec.main_page(data)
    truncated = _is_truncated(data, format_, codec, limits, page)
    codec.check(data, limits)
    opened, header = _open(data, format_, codec, page, truncated=truncated)
    header = replace(header, file_frames=_frames_left_out(data, codec, header))
    _check_size(header, limits)
    expected = _decode_memory(data, codec, opened, header)
    strips = 0 if codec.vector else strip_bytes(opened)
    check_memory(len(data) + expected + strips, limits, format_.name)
    return header


_T = TypeVar("_T")


def decode_tolerantly(header: ImageHeader, limits: Limits, decode: Callable[[ImageHeader], _T]) -> _T:
    """What ``decode`` returns for ``header``, called once more where its decoder gave a harmless warning, or
    where Limits accept damage; then for a header that says so.

    Raises what ``decode`` raises, and Refused(TRUNCATED) or Refused(CORRUPT) for a warning that is neither.
    """
    try:
        return decode(header)
    except DecoderWarning as warning:
        if warning.harmless:
            return decode(replace(header, fail_on=FailOn.ERROR))
        if limits.truncated is TruncatedPolicy.STRICT:
            raise warning.refusal from None
    return decode(replace(header, fail_on=FailOn.NONE, truncated=True))


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise Refused(Reason.EMPTY, "expected an image, got an empty file")
    if len(data) > limits.max_bytes:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limits.max_bytes} bytes, got {len(data)}")


def _recognise(data: bytes, limits: Limits) -> Format:
    format_ = sniff(data[:_SNIFFED_BYTES])
    if format_ is None or (format_.opt_in and not limits.svg):
        foreign = format_.title if format_ is not None else describe_foreign(data[:_SNIFFED_BYTES])
        reason = Reason.NOT_AN_IMAGE if foreign is None else Reason.UNSUPPORTED_FORMAT
        raise Refused(reason, f"expected {READABLE_TITLES}, got {foreign or 'something else'}")
    if not is_installed(CODECS[format_.name]):
        raise Refused(
            Reason.UNSUPPORTED_FORMAT,
            f"expected {READABLE_TITLES}, got {format_.title}: to read it, install "
            f"image-processor[{format_.extra}]",
        )
    return format_


def _is_truncated(data: bytes, format_: Format, codec: Codec, limits: Limits, page: int) -> bool:
    """Whether the file ends early; raises Refused(TRUNCATED) unless limits and codec accept that."""
    lenient = limits.truncated is TruncatedPolicy.LENIENT and codec.decodes_partially(data, page)
    check = codec.lacks_end if lenient and codec.lacks_end else codec.is_truncated
    truncated = check(data, page)
    if truncated and not lenient:
        raise Refused(Reason.TRUNCATED, f"expected a complete {format_.name}, got one that ends early")
    return truncated


def _open(
    data: bytes, format_: Format, codec: Codec, page: int, *, truncated: bool
) -> tuple[pyvips.Image | PixelLayout, ImageHeader]:
    if codec.read_layout is not None:
        layout = codec.read_layout(data)
        return layout, _header_of_layout(layout, format_)
    with translate_errors(format_):
        animation = codec.read_animation(data)
    if animation is not None:
        return animation.layout, replace(_header_of_animation(animation, format_), truncated=truncated)
    idle_bands = codec.idle_bands(data, page)
    count = -1 if format_.animation else 1
    # A warning about the header is left to decoding, which is repeated where it is harmless.
    fail_on = FailOn.NONE if truncated else FailOn.ERROR
    opened = open_original(data, format_, first=page, count=count, fail_on=fail_on)
    header = _header_of_image(opened, format_, idle_bands)
    pages = _metadata(opened, "n-pages", 1) if codec.multi_page else 1
    fail_on = FailOn.NONE if truncated else codec.fail_on
    return opened, replace(header, truncated=truncated, fail_on=fail_on, pages=pages, page=page)


def _decode_memory(data: bytes, codec: Codec, opened: pyvips.Image | PixelLayout, header: ImageHeader) -> int:
    pixels = header.upright.area
    if isinstance(opened, PixelLayout) and header.frames > 1:
        return int(opened.bytes_per_pixel * pixels)
    return codec.decode_memory(data, opened, pixels, header.page)


def _frames_left_out(data: bytes, codec: Codec, header: ImageHeader) -> int | None:
    """The number of frames of an animation that is read as a still."""
    frames = codec.file_frames(data) if codec.file_frames is not None and header.frames == 1 else 1
    return frames if frames > 1 else None


def _header_of_layout(layout: PixelLayout, format_: Format) -> ImageHeader:
    if 0 in {layout.width, layout.height}:
        raise Refused(Reason.CORRUPT, f"expected pixels in a {format_.name}, got none")
    return ImageHeader(layout.width, layout.height, format_.name, frames=1, alpha=layout.alpha, orientation=1)


def _header_of_animation(animation: Animation, format_: Format) -> ImageHeader:
    layout, orientation = animation.layout, animation.orientation
    stored = Size(layout.width, layout.height)
    upright = stored.turned() if orientation >= 5 else stored
    return ImageHeader(
        upright.width,
        upright.height,
        format_.name,
        frames=len(animation.delays),
        alpha=layout.alpha,
        orientation=orientation,
        delays=animation.delays,
        loop=animation.loop,
    )


def _header_of_image(opened: pyvips.Image, format_: Format, idle_bands: int) -> ImageHeader:
    frames = _metadata(opened, "n-pages", 1) if format_.animation else 1
    orientation = _metadata(opened, "orientation", 1)  # libvips gives 1 for what is not 1-8
    height = _metadata(opened, "page-height", opened.height) if frames > 1 else opened.height
    stored = Size(opened.width, height)
    upright = stored.turned() if orientation >= 5 else stored
    return ImageHeader(
        width=upright.width,
        height=upright.height,
        format=format_.name,
        frames=frames,
        alpha=bool(without_bands(opened, idle_bands).hasalpha()),
        orientation=orientation,
        delays=tuple(_metadata(opened, "delay", [])) if frames > 1 else (),
        loop=_metadata(opened, "loop", 0),
        idle_bands=idle_bands,
    )


def _metadata(opened: pyvips.Image, name: str, default: Any) -> Any:
    return opened.get(name) if opened.get_typeof(name) else default


def _check_size(header: ImageHeader, limits: Limits) -> None:
    if header.frames > limits.max_frames:
        raise Refused(
            Reason.TOO_MANY_FRAMES, f"expected at most {limits.max_frames} frames, got {header.frames}"
        )
    if CODECS[header.format].vector:
        return  # It is drawn at the sizes of its renditions, and they have a limit of their own.
    pixels = header.upright.area * header.frames
    if pixels > limits.max_pixels:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            f"expected at most {limits.max_pixels} pixels, "
            f"got {header.width} x {header.height} x {header.frames} = {pixels}",
        )
