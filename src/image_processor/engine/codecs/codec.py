"""What a codec is: the engine's side of one image format, and the values that all codecs share.

Names, media types and limits of a format are in domain/formats.py; how its bytes are read and written is
one `Codec` at the end of the format's own module, listed in registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Self

import pyvips
from msgspec import Struct

from image_processor.domain.geometry import Size
from image_processor.domain.models import Limits


class FailOn(StrEnum):
    """What ends decoding; the values are libvips' own."""

    NONE = "none"
    """Nothing that leaves some pixels."""
    ERROR = "error"
    WARNING = "warning"
    """Also a warning of the decoder: some pixels may be wrong."""


class DecodeOptions(Struct, frozen=True):
    """How an original is opened; see `decode.open_original` for the fields."""

    shrink: int = 1
    first: int = 0
    count: int = 1
    fail_on: FailOn = FailOn.ERROR
    target: Size | None = None


class EncodeOptions(Struct, frozen=True):
    """How an image is encoded. A codec ignores what its format does not take (`Format.encoder_options`).

    ``quality`` is 1-100, None for the format's default. ``subsampling`` of chroma is auto, 420 or 444.
    ``optimise`` spends mozjpeg's extra passes. ``effort`` is 0-9, None for a default that suits a
    server. ``colours`` (2-256) limits the palette; None means no palette, except for GIF.
    """

    quality: int | None = None
    progressive: bool = False
    subsampling: str = "auto"
    optimise: bool = False
    effort: int | None = None
    lossless: bool = False
    colours: int | None = None


class PixelLayout(Struct, frozen=True):
    """The pixels that an optional decoder will return: the size of the upright image, bands a pixel,
    libvips' name of the sample format, and the bytes of memory that decoding takes for each pixel."""

    width: int
    height: int
    bands: int
    format: str
    bytes_per_pixel: float

    @property
    def alpha(self) -> bool:
        return self.bands in {2, 4}


class Animation(Struct, frozen=True):
    """The header of an animation whose format libvips reads as a still. ``layout`` is that of a stored frame,
    but for its bytes a pixel, which are those of all frames together. ``delays`` are in milliseconds,
    ``loop`` says how often it plays (0 is forever), ``orientation`` is EXIF's 1-8."""

    layout: PixelLayout
    delays: tuple[int, ...]
    loop: int
    orientation: int = 1

    @classmethod
    def of(cls, layout: PixelLayout, delays: Iterable[int], loop: int, orientation: int) -> Self:
        """With a timing that every format can be written with."""
        return cls(
            layout, tuple(min(delay, _MAX_DELAY) for delay in delays), min(loop, _MAX_LOOP), orientation
        )


_MAX_DELAY = (1 << 24) - 1
"""4.6 hours: WebP has 24 bits for milliseconds (RFC 9649, 2.7.1.1)."""
_MAX_LOOP = (1 << 16) - 1


class ShrinkOnLoad(StrEnum):
    """How a decoder shrinks while it decodes."""

    NONE = "none"
    CROPS = "crops"
    """Partial pixels at the right and bottom edge are dropped or kept whole, all others stay in place."""
    ROUNDS = "rounds"
    """The whole image is fitted to rounded sides, so pixels move unless the sides divide evenly."""


class QualityFit(Struct, frozen=True):
    """A linear model of SSIMULACRA2 for one encoder: score = ``base`` + ``weights`` x the logarithms of
    `auto_quality.differences`; ``slope`` is the mean gain of score for one step of quality near the target.
    Fitted by benchmarks/auto_quality.py."""

    base: float
    weights: tuple[float, float, float, float]
    slope: float


def _no_options(_options: DecodeOptions) -> dict[str, Any]:
    return {}


def _accept(_data: bytes, _limits: Limits) -> None:
    return None


def _never(_data: bytes, _page: int) -> bool:
    return False


def _no_bands(_data: bytes, _page: int) -> int:
    return 0


def _no_animation(_data: bytes) -> Animation | None:
    return None


class Codec(Struct, frozen=True, kw_only=True):
    """How the engine reads and writes one format.

    Reading: ``loader`` is the libvips operation without `_source`, the only one that runtime.py leaves
    open for this format, called with ``load_options``. ``open`` replaces that call where more is needed.
    ``fail_on`` is what ends the decoding of a file that is not known to be damaged. A
    format that an optional ``package`` decodes has no loader; then ``read_layout`` reads the header.
    ``read_animation`` reads that of an animation, all frames of which ``open`` decodes; None for a still.
    Writing: ``saver`` is the libvips operation without `_buffer`, called with ``save_options``.
    ``encode`` replaces that call. With neither, the format is read only. ``encode_bytes`` are the bytes of
    memory that the encoder takes for each pixel, about. ``carries_profile`` says whether a
    file can have an ICC profile; without one its pixels are sRGB.

    The other callables take the file's bytes and, with ``page``, the 0-based page of a TIFF:
    ``check`` raises Refused for what the structure alone rules out; ``is_truncated`` says whether the file
    announces more bytes than there are (False: only decoding can tell); ``lacks_end`` is a slower check,
    used where a truncated file is accepted; ``decodes_partially`` says whether the decoder returns the
    pixels there are; ``idle_bands`` counts the trailing samples of a pixel that are neither colour nor
    alpha; ``file_frames`` counts the frames of a file of which only a still is read; ``decode_memory``
    (bytes, opened image or PixelLayout, pixels of a frame, page) estimates the bytes of memory that decoding
    takes beyond one strip of lines; ``exif_block`` returns the EXIF block, None where libvips finds it.
    ``multi_page`` formats have pages with a header each; ``main_page`` is the one that is shown where none is
    asked for, from 0. ``vector`` formats are drawn at any size.
    """

    loader: str | None = None
    load_options: Callable[[DecodeOptions], dict[str, Any]] = _no_options
    open: Callable[[bytes, DecodeOptions], pyvips.Image] | None = None
    fail_on: FailOn = FailOn.ERROR
    package: str | None = None
    read_layout: Callable[[bytes], PixelLayout] | None = None
    read_animation: Callable[[bytes], Animation | None] = _no_animation

    saver: str | None = None
    save_options: Callable[[EncodeOptions, int | None], dict[str, Any]] | None = None
    encode: Callable[[pyvips.Image, EncodeOptions, int | None], bytes] | None = None
    encode_bytes: int = 4
    quality_fit: QualityFit | None = None
    carries_profile: bool = True

    check: Callable[[bytes, Limits], None] = _accept
    is_truncated: Callable[[bytes, int], bool] = _never
    lacks_end: Callable[[bytes, int], bool] | None = None
    decodes_partially: Callable[[bytes, int], bool] = _never
    idle_bands: Callable[[bytes, int], int] = _no_bands
    file_frames: Callable[[bytes], int] | None = None
    decode_memory: Callable[[bytes, Any, int, int], int] = lambda _data, _opened, _pixels, _page: 0
    exif_block: Callable[[bytes], bytes] | None = None

    shrink_on_load: ShrinkOnLoad = ShrinkOnLoad.NONE
    multi_page: bool = False
    main_page: Callable[[bytes], int] = lambda _data: 0
    vector: bool = False


def always(_data: bytes, _page: int) -> bool:
    """For `Codec.decodes_partially`."""
    return True


def page_options(options: DecodeOptions) -> dict[str, Any]:
    """The load options of libvips' loaders for several pages or frames."""
    return {"page": options.first, "n": options.count}


def load(loader: str, data: bytes, **options: Any) -> pyvips.Image:
    """Open ``data`` with a loader of libvips. The image keeps the bytes, which libvips reads in place."""
    source = pyvips.Source.new_from_memory(data)
    image: pyvips.Image = pyvips.Operation.call(f"{loader}_source", source, **options)
    # As Image.new_from_source does, which however chooses the loader itself, by a file's first bytes.
    image._references.append(source)  # noqa: SLF001
    return image


def save(image: pyvips.Image, saver: str, **options: Any) -> bytes:
    """Encode with a libvips saver; of all metadata only the ICC profile that ``image`` carries is kept."""
    keep = "icc" if image.get_typeof("icc-profile-data") else "none"
    body: bytes = pyvips.Operation.call(f"{saver}_buffer", image, **{"keep": keep, **options})
    return body


def attach_profile(image: pyvips.Image, profile: bytes | None) -> pyvips.Image:
    """``image`` with an embedded ICC profile; the image itself where ``profile`` is None."""
    if profile is None:
        return image
    copy = image.copy()
    copy.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return copy


def image_from_pixels(pixels: bytes | memoryview, layout: PixelLayout, profile: bytes | None) -> pyvips.Image:
    """Interleaved ``pixels``, without padding, as an image that keeps them alive."""
    image = pyvips.Image.new_from_memory(pixels, layout.width, layout.height, layout.bands, layout.format)
    colour_space = "srgb" if layout.bands > 2 else "b-w"
    sixteen_bits = {"srgb": "rgb16", "b-w": "grey16"}
    image = image.copy(
        interpretation=sixteen_bits[colour_space] if layout.format == "ushort" else colour_space
    )
    return attach_profile(image, profile or None)


def sample_bytes(opened: pyvips.Image | PixelLayout) -> int:
    """Bytes of one sample, as far as it matters for memory: 1 for 8 bits, else 2."""
    return 1 if opened.format == "uchar" else 2
