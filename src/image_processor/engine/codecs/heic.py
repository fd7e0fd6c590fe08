"""HEIC and HEIF, as telephones take photographs, by way of pillow-heif (libheif and libde265).

The primary picture only: depth maps, gain maps, thumbnails and further pictures are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyvips

from image_processor.domain.errors import Reason, Refused

from .image_header import PixelLayout, image_from_pixels

# Parts of libheif's messages, by reason; CORRUPT where none occurs. Its text stays here.
_SIGNS = (
    ("end of file", Reason.TRUNCATED),
    ("not been built in", Reason.UNSUPPORTED_FORMAT),
    ("unsupported", Reason.UNSUPPORTED_FORMAT),
    ("security limit", Reason.TOO_MANY_PIXELS),
    ("memory", Reason.TOO_MANY_PIXELS),
)
_MESSAGES = {
    Reason.TRUNCATED: "expected a complete heic, got one that ends early",
    Reason.UNSUPPORTED_FORMAT: "expected HEVC in a heic, got another way of coding",
    Reason.TOO_MANY_PIXELS: "expected a heic within the decoder's limits, got a larger one",
    Reason.CORRUPT: "expected a valid heic, got one that the decoder rejects",
}

_CODED_SAMPLES = {400: 1, 420: 1.5, 422: 2}
_HELD = 1.6

# ISO/IEC 23091-2, tables 2 and 3: the primaries of Display P3, and the curve of sRGB.
_P3, _SRGB_CURVE = 12, 13


def see(data: bytes) -> PixelLayout:
    """As outside.see. The size is of the upright picture: libheif applies what the container says
    of turning (irot, imir). EXIF's orientation is there for information only (ISO/IEC 23008-12)."""
    return _seen(_primary(data))


def decode(data: bytes) -> pyvips.Image:
    """As outside.decode."""
    primary = _primary(data)
    seen = _seen(primary)
    with _refusing():
        pixels = primary.data
    if _seen(primary) != seen:
        # The limits have judged the other size.
        raise Refused(Reason.CORRUPT, _MESSAGES[Reason.CORRUPT])
    return image_from_pixels(pixels, seen, primary.info.get("icc_profile") or _coded_profile(primary.info))


def _primary(data: bytes) -> Any:
    import pillow_heif  # noqa: PLC0415 - an optional package, and with Pillow 70 ms of a cold start

    options = pillow_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1  # parallelism comes from our own threads, as for libvips
    with _refusing():
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        return file[file.primary_index]


def _seen(primary: Any) -> PixelLayout:
    name, _, deep = primary.mode.partition(";")
    bands = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}[name]
    # The planes as they are coded, and the pixels that are made of them. The factor is the largest
    # that was measured (4:4:4, with alpha and without, 8 and 10 bits); 1.2 for a telephone's.
    coded = _CODED_SAMPLES.get(primary.info.get("chroma"), 3) + (bands % 2 == 0)
    held = _HELD * (coded + bands) * (2 if deep else 1)
    width, height = primary.size
    return PixelLayout(width, height, bands, "ushort" if deep else "uchar", held)


def _coded_profile(info: dict[str, Any]) -> bytes | None:
    """The profile of a wide picture that has none but names its colours by number (nclx)."""
    coded = info.get("nclx_profile") or {}
    if (coded.get("color_primaries"), coded.get("transfer_characteristics")) != (_P3, _SRGB_CURVE):
        return None
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    profile: bytes = pixel.icc_transform("p3").get("icc-profile-data")
    return profile


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, MemoryError, LookupError) as error:
        text = str(error).lower()
        reason = next((reason for sign, reason in _SIGNS if sign in text), Reason.CORRUPT)
        raise Refused(reason, _MESSAGES[reason]) from None
