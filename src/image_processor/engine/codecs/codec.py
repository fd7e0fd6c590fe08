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
    """How an image is encoded. A codec ignores what its format does not take (`Format.encoder_options`)."""

    quality: int | None = None
    """1-100; None for the format's default."""
    progressive: bool = False
    subsampling: str = "auto"
    """Of chroma: auto, 420 or 444."""
    optimise: bool = False
    """Whether mozjpeg makes its extra passes."""
    effort: int | None = None
    """0-9; None for a default that suits a server."""
    lossless: bool = False
    colours: int | None = None
    """The most colours of a palette, 2-256. None means no palette, except for GIF."""


class PixelLayout(Struct, frozen=True):
    """The pixels that an optional decoder will return."""

    width: int
    """Of the upright image, as ``height``."""
    height: int
    bands: int
    """Samples of a pixel."""
    format: str
    """libvips' name of the type of a sample."""
    bytes_per_pixel: float
    """Bytes of memory that decoding takes for each pixel."""

    @property
    def alpha(self) -> bool:
        return self.bands in {2, 4}


class Animation(Struct, frozen=True):
    """The header of an animation whose format libvips reads as a still."""

    layout: PixelLayout
    """That of a stored frame. Its ``bytes_per_pixel`` are those of all frames together."""
    delays: tuple[int, ...]
    """Milliseconds that each frame is shown."""
    loop: int
    """How often the animation plays; 0 is forever."""
    orientation: int = 1
    """EXIF's 1-8."""

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

    Callables get the bytes of the file; where they also take a number, it is the page of a TIFF, from 0. A
    format with neither ``saver`` nor ``encode`` is read only.
    """

    loader: str | None = None
    """The libvips operation that reads it, without `_source`: the only one that runtime.py allows for the
    format. None for a format that an optional package decodes."""
    load_options: Callable[[DecodeOptions], dict[str, Any]] = _no_options
    """The options with which ``loader`` is called."""
    open: Callable[[bytes, DecodeOptions], pyvips.Image] | None = None
    """Opens a file in place of ``loader``, where more than a call is needed."""
    fail_on: FailOn = FailOn.ERROR
    """What ends the decoding of a file that is not known to be damaged."""
    package: str | None = None
    """The optional package that decodes it."""
    read_layout: Callable[[bytes], PixelLayout] | None = None
    """Reads the header of a format that a package decodes."""
    read_animation: Callable[[bytes], Animation | None] = _no_animation
    """Reads the header of an animation whose frames ``open`` decodes; returns None for a still."""

    saver: str | None = None
    """The libvips operation that writes it, without `_buffer`."""
    save_options: Callable[[EncodeOptions, int | None], dict[str, Any]] | None = None
    """The options with which ``saver`` is called, for the given options and quality."""
    encode: Callable[[pyvips.Image, EncodeOptions, int | None], bytes] | None = None
    """Encodes in place of ``saver``."""
    encode_bytes: int = 4
    """About how many bytes of memory the encoder takes for each pixel."""
    quality_fit: QualityFit | None = None
    """What `auto_quality` knows about the encoder; None if it cannot choose a quality."""
    carries_profile: bool = True
    """Whether a file can have an ICC profile. Without one its pixels are sRGB."""

    check: Callable[[bytes, Limits], None] = _accept
    """Raises Refused for what the structure of the file alone rules out."""
    is_truncated: Callable[[bytes, int], bool] = _never
    """Whether the file announces more bytes than it has. False also where only decoding shows it."""
    lacks_end: Callable[[bytes, int], bool] | None = None
    """A slower check for a missing end, used where truncated files are accepted."""
    decodes_partially: Callable[[bytes, int], bool] = _never
    """Whether the decoder returns the pixels that a truncated file has."""
    idle_bands: Callable[[bytes, int], int] = _no_bands
    """Counts the samples at the end of each pixel that are neither colour nor alpha."""
    file_frames: Callable[[bytes], int] | None = None
    """Counts the frames of a file of which only a still is read."""
    decode_memory: Callable[[bytes, Any, int, int], int] = lambda _data, _opened, _pixels, _page: 0
    """Estimates the bytes of memory that decoding takes beyond one strip of lines. Gets the file, the opened
    image or its PixelLayout, the pixels of a frame, and the page."""
    exif_block: Callable[[bytes], bytes] | None = None
    """Returns the EXIF block, where libvips does not find it."""

    shrink_on_load: ShrinkOnLoad = ShrinkOnLoad.NONE
    """How the decoder can shrink the image."""
    multi_page: bool = False
    """Whether a file has pages, each with a header."""
    main_page: Callable[[bytes], int] = lambda _data: 0
    """Returns the page that is shown where a request names none, from 0."""
    vector: bool = False
    """Whether it is a drawing, which can be rendered at any size."""


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
