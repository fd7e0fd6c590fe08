"""JPEG XL, by way of pillow-jxl-plugin (libjxl).

That package decodes as soon as it opens, so the header is read here, to be judged before
(ISO/IEC 18181-1, 9 and annex D; 18181-2 for the boxes around it).
"""

from __future__ import annotations

import pyvips
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused

from .container import boxes, count_scans
from .image_header import PixelLayout, image_from_pixels

_CODESTREAM = b"\xff\x0a"
_CORRUPT = "expected a valid jxl, got one that the decoder rejects or that ends early"

_MOST_SCANS = 100
"""Of a JPEG that was packed into JPEG XL as it was; as many as of another JPEG by default."""

_HEADER_BYTES = 64

_HELD = 37
"""Bytes a pixel while decoding, the largest that was measured (libjxl 0.11; with alpha, 16 bits, or
coded without blocks; 7 for a usual photograph, which the header does not tell from the others)."""

_MODES = {
    "L": (1, "uchar"),
    "I;16": (1, "ushort"),
    "LA": (2, "uchar"),
    "RGB": (3, "uchar"),
    "RGBA": (4, "uchar"),
}

# Width over height by the three bits after a height (18181-1, D.2).
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}

# How a number is coded: by two bits, either (constant,) or (what is added, bits that follow).
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_SAMPLE_BITS = ((8,), (10,), (12,), (1, 6))
_FLOAT_BITS = ((32,), (16,), (24,), (1, 6))
_EXTRA_CHANNELS = ((0,), (1,), (2, 4), (1, 12))
_CHANNEL_KINDS = ((0,), (1,), (2, 4), (18, 6))


class _Bits:
    """Reads numbers from bytes, the lowest bit first; behind the end everything is refused."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise Refused(Reason.TRUNCATED, "expected a complete jxl, got one that ends early")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value

    def choose(self, ways: tuple[tuple[int, ...], ...]) -> int:
        base, *bits = ways[self.take(2)]
        return base + (self.take(bits[0]) if bits else 0)


def see(data: bytes) -> PixelLayout:
    """As outside.see, but what the header takes for colour may come as one band of grey."""
    bits = _Bits(_codestream(data)[:_HEADER_BYTES])
    height, width = _size(bits)
    if bits.take(1):  # everything else is as usual
        return PixelLayout(width, height, 3, "uchar", _HELD)
    if bits.take(1):
        if bits.take(3) >= 4:  # EXIF's orientation less one; libjxl applies it
            width, height = height, width
        if bits.take(1):
            _size(bits)  # the size at which it should be shown
        if bits.take(2):
            raise Refused(Reason.UNSUPPORTED_FORMAT, "expected one picture in a jxl, got an animation")
    return PixelLayout(width, height, 4 if _has_alpha(bits) else 3, "uchar", _HELD)


def decode(data: bytes) -> pyvips.Image:
    """As outside.decode."""
    seen = see(data)
    from pillow_jxl import Decoder  # noqa: PLC0415 - an optional package, with Pillow 70 ms of a cold start

    try:
        is_jpeg, found, pixels, profile, _ = Decoder(num_threads=0)(data)
    except RuntimeError:
        raise Refused(Reason.CORRUPT, _CORRUPT) from None
    if is_jpeg:
        return _unpacked(pixels, data)
    if found.mode not in _MODES:
        raise Refused(Reason.UNSUPPORTED_FORMAT, "expected whole numbers as samples of a jxl, got others")
    if (found.width, found.height) != (seen.width, seen.height):
        # The limits have judged the other size.
        raise Refused(Reason.CORRUPT, _CORRUPT)
    bands, samples = _MODES[found.mode]
    return image_from_pixels(
        pixels, replace(seen, bands=bands, format=samples), bytes(profile) if profile else None
    )


def _unpacked(jpeg: bytes, data: bytes) -> pyvips.Image:
    """The pixels of a JPEG that lies within ``data`` unchanged, which libjxl hands out as a JPEG."""
    if count_scans(jpeg) > _MOST_SCANS:
        raise Refused(
            Reason.TOO_MANY_SCANS, f"expected at most {_MOST_SCANS} scans of the JPEG in a jxl, got more"
        )
    try:
        source = pyvips.Source.new_from_memory(jpeg)
        opened = pyvips.Operation.call("jpegload_source", source, autorotate=True, fail_on="error")
        picture = opened.copy_memory()
    except pyvips.Error:
        raise Refused(Reason.CORRUPT, _CORRUPT) from None
    seen = see(data)
    if (picture.width, picture.height) != (seen.width, seen.height):
        raise Refused(Reason.CORRUPT, _CORRUPT)
    return picture


def _codestream(data: bytes) -> bytes:
    """Where the codestream begins: at once, or in the first box that carries some of it."""
    if data.startswith(_CODESTREAM):
        return data[2:]
    for kind, start, end in boxes(data):
        skip = {b"jxlc": 0, b"jxlp": 4}.get(kind)  # jxlp begins with its number
        if skip is not None and data[start + skip : start + skip + 2] == _CODESTREAM:
            return data[start + skip + 2 : end]
    raise Refused(Reason.CORRUPT, _CORRUPT)


def _size(bits: _Bits) -> tuple[int, int]:
    """Height and width (18181-1, D.2)."""
    eighths = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if eighths else bits.choose(_SIDE)

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return height, side()
    across, down = _RATIOS[ratio]
    return height, height * across // down


def _has_alpha(bits: _Bits) -> bool:
    """Whether the first of the extra channels is alpha (18181-1, D.3.5 and D.3.6)."""
    if bits.take(1):
        bits.choose(_FLOAT_BITS)
        bits.take(4)
    else:
        bits.choose(_SAMPLE_BITS)
    bits.take(1)  # whether 16 bits are enough for the decoder
    if bits.choose(_EXTRA_CHANNELS) == 0:
        return False
    return bool(bits.take(1)) or bits.choose(_CHANNEL_KINDS) == 0
