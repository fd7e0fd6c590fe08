"""HEIC and HEIF, the photo formats of phones, decoded by pillow-heif (libheif and libde265).

The primary image only: depth maps, gain maps, thumbnails and further images are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import pyvips
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused

from .codec import Codec, DecodeOptions, PixelLayout, image_from_pixels
from .heif_items import HeifItems, is_truncated, turn
from .heif_pixels import completed
from .sequences import heif_frames

# Parts of libheif's messages, by reason; CORRUPT where none occurs. The text itself is not passed on.
_ERROR_PATTERNS = (
    ("end of file", Reason.TRUNCATED),
    ("not been built in", Reason.UNSUPPORTED_FORMAT),
    ("unsupported", Reason.UNSUPPORTED_FORMAT),
    ("security limit", Reason.TOO_MANY_PIXELS),
    ("memory", Reason.TOO_MANY_PIXELS),
)
_MESSAGES = {
    Reason.TRUNCATED: "expected a complete heic, got one that ends early",
    Reason.UNSUPPORTED_FORMAT: "expected HEVC in a heic, got another codec",
    Reason.TOO_MANY_PIXELS: "expected a heic within the decoder's limits, got a larger one",
    Reason.CORRUPT: "expected a valid heic, got one that the decoder rejects",
}

_CODED_SAMPLES = {400: 1, 420: 1.5, 422: 2}
_MEMORY_FACTOR = 1.6


def read_layout(data: bytes) -> PixelLayout:
    """Read the header. The size is that of the upright image: the container's rotation and mirroring (irot,
    imir) are applied; EXIF's orientation is informative only (ISO/IEC 23008-12). Raises Refused."""
    items = HeifItems.read(data)
    layout = _layout(_primary(_readable(data, items)))
    swaps_sides = _is_turned_here(items) and sum(value for kind, value in items.turns if kind == b"irot") % 2
    return replace(layout, width=layout.height, height=layout.width) if swaps_sides else layout


def decode(data: bytes, _options: DecodeOptions) -> pyvips.Image:
    """The pixels in memory, with their ICC profile attached. Raises Refused."""
    items = HeifItems.read(data)
    primary = _primary(_readable(data, items))
    layout = _layout(primary)
    with _translate_errors():
        pixels = primary.data
    if _layout(primary) != layout:
        # The limits were checked against the other size.
        raise Refused(Reason.CORRUPT, _MESSAGES[Reason.CORRUPT])
    image = image_from_pixels(pixels, layout, primary.info.get("icc_profile"))
    if items is None:
        return image
    whole = completed(image, items)
    return turn(whole, items.turns) if _is_turned_here(items) else whole


def _is_turned_here(items: HeifItems | None) -> TypeGuard[HeifItems]:
    return items is not None and items.is_alpha_turned_differently


def _readable(data: bytes, items: HeifItems | None) -> bytes:
    return items.without_turns() if _is_turned_here(items) else data


def _primary(data: bytes) -> Any:
    import pillow_heif  # noqa: PLC0415 - optional; with Pillow 70 ms of a cold start

    options = pillow_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1  # the encoder threads are the only parallelism
    with _translate_errors():
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        return file[file.primary_index]


def _layout(primary: Any) -> PixelLayout:
    name, _, deep = primary.mode.partition(";")
    bands = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}[name]
    # The coded planes, and the pixels made of them. The factor is the largest measured (4:4:4, with and
    # without alpha, 8 and 10 bits); it is 1.2 for a phone's photo.
    coded = _CODED_SAMPLES.get(primary.info.get("chroma"), 3) + (bands % 2 == 0)
    bytes_per_pixel = _MEMORY_FACTOR * (coded + bands) * (2 if deep else 1)
    width, height = primary.size
    return PixelLayout(width, height, bands, "ushort" if deep else "uchar", bytes_per_pixel)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, MemoryError, LookupError) as error:
        text = str(error).lower()
        reason = next((reason for part, reason in _ERROR_PATTERNS if part in text), Reason.CORRUPT)
        raise Refused(reason, _MESSAGES[reason]) from None


CODEC = Codec(
    package="pillow_heif",
    open=decode,
    read_layout=read_layout,
    file_frames=heif_frames,
    is_truncated=lambda data, _page: is_truncated(data),
    decode_memory=lambda _data, layout, pixels, _page: int(layout.bytes_per_pixel * pixels),
    exif_block=lambda _data: b"",
)
