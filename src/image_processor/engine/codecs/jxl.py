"""JPEG XL, decoded by pillow-jxl-plugin (libjxl).

That package decodes as soon as it opens a file, so the header is read here, to check limits before
(ISO/IEC 18181-1, 9 and annex D; 18181-2 for the boxes around it).
"""

from __future__ import annotations

import pyvips
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused

from .codec import Codec, DecodeOptions, PixelLayout, image_from_pixels
from .heif_items import boxes, boxes_end_early
from .jpeg import count_scans

_CODESTREAM = b"\xff\x0a"
_CORRUPT = "expected a valid jxl, got one that the decoder rejects or that ends early"

_MAX_SCANS = 100
"""For a JPEG that was packed into JPEG XL losslessly; the default of Limits for any JPEG."""

_HEADER_BYTES = 64

_DECODE_BYTES_PER_PIXEL = 37
"""The largest measured (libjxl 0.11; with alpha, 16 bits, or coded in modular mode). It is 7 for a usual
photograph, which the header does not distinguish from the others."""

_MODES = {
    "L": (1, "uchar"),
    "I;16": (1, "ushort"),
    "LA": (2, "uchar"),
    "RGB": (3, "uchar"),
    "RGBA": (4, "uchar"),
}

# Width over height by the three bits after a height (18181-1, D.2).
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}

# How a number is coded: two bits choose either (constant,) or (offset, number of bits that follow).
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_SAMPLE_BITS = ((8,), (10,), (12,), (1, 6))
_FLOAT_BITS = ((32,), (16,), (24,), (1, 6))
_EXTRA_CHANNELS = ((0,), (1,), (2, 4), (1, 12))
_CHANNEL_KINDS = ((0,), (1,), (2, 4), (18, 6))


class _Bits:
    """Reads numbers from bytes, lowest bit first. Raises Refused(TRUNCATED) at the end."""

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

    def choose(self, codings: tuple[tuple[int, ...], ...]) -> int:
        base, *bits = codings[self.take(2)]
        return base + (self.take(bits[0]) if bits else 0)


def read_layout(data: bytes) -> PixelLayout:
    """Read the header; what it declares as colour may decode to one band of grey. Raises Refused."""
    bits = _Bits(_codestream(data)[:_HEADER_BYTES])
    height, width = _size(bits)
    if bits.take(1):  # all further fields have their defaults
        return PixelLayout(width, height, 3, "uchar", _DECODE_BYTES_PER_PIXEL)
    if bits.take(1):
        if bits.take(3) >= 4:  # EXIF's orientation minus one; libjxl applies it
            width, height = height, width
        if bits.take(1):
            _size(bits)  # the intended display size
        if bits.take(2):
            raise Refused(Reason.UNSUPPORTED_FORMAT, "expected one image in a jxl, got an animation")
    return PixelLayout(width, height, 4 if _has_alpha(bits) else 3, "uchar", _DECODE_BYTES_PER_PIXEL)


def decode(data: bytes, _options: DecodeOptions) -> pyvips.Image:
    """The pixels in memory, with their ICC profile attached. Raises Refused."""
    layout = read_layout(data)
    from pillow_jxl import Decoder  # noqa: PLC0415 - optional; with Pillow 70 ms of a cold start

    try:
        is_jpeg, decoded, pixels, profile, _ = Decoder(num_threads=0)(data)
    except RuntimeError:
        raise Refused(Reason.CORRUPT, _CORRUPT) from None
    if is_jpeg:
        return _unpacked(pixels, data)
    if decoded.mode not in _MODES:
        raise Refused(Reason.UNSUPPORTED_FORMAT, "expected whole numbers as samples of a jxl, got others")
    if (decoded.width, decoded.height) != (layout.width, layout.height):
        # The limits were checked against the other size.
        raise Refused(Reason.CORRUPT, _CORRUPT)
    bands, samples = _MODES[decoded.mode]
    return image_from_pixels(
        pixels, replace(layout, bands=bands, format=samples), bytes(profile) if profile else None
    )


def _unpacked(jpeg: bytes, data: bytes) -> pyvips.Image:
    """The pixels of a JPEG that was packed losslessly: libjxl returns the JPEG itself."""
    if count_scans(jpeg) > _MAX_SCANS:
        # Not TOO_MANY_SCANS: no setting raises this limit.
        message = f"expected at most {_MAX_SCANS} scans of the JPEG in a jxl, got more"
        raise Refused(Reason.UNSUPPORTED_FORMAT, message)
    try:
        source = pyvips.Source.new_from_memory(jpeg)
        opened = pyvips.Operation.call("jpegload_source", source, autorotate=True, fail_on="error")
        image = opened.copy_memory()
    except pyvips.Error:
        raise Refused(Reason.CORRUPT, _CORRUPT) from None
    layout = read_layout(data)
    if (image.width, image.height) != (layout.width, layout.height):
        raise Refused(Reason.CORRUPT, _CORRUPT)
    return image


def _codestream(data: bytes) -> bytes:
    """The codestream behind its signature: the whole file, or the first box that carries part of it."""
    if data.startswith(_CODESTREAM):
        return data[2:]
    for kind, start, end in boxes(data):
        skip = {b"jxlc": 0, b"jxlp": 4}.get(kind)  # jxlp begins with its part number
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
    bits.take(1)  # whether 16-bit buffers are enough
    if bits.choose(_EXTRA_CHANNELS) == 0:
        return False
    return bool(bits.take(1)) or bits.choose(_CHANNEL_KINDS) == 0


def is_truncated(data: bytes) -> bool:
    """Whether the boxes end before the codestream does; a bare codestream does not say how long it is. What
    follows the codestream does not count."""
    if data.startswith(_CODESTREAM):
        return False
    for kind, start, end in boxes(data):
        # The last part of a codestream has the highest bit of its number set (18181-2, 9.8).
        if kind == b"jxlc" or (kind == b"jxlp" and data[start : start + 1] >= b"\x80"):
            return end > len(data)
    return boxes_end_early(data)


CODEC = Codec(
    package="pillow_jxl",
    open=decode,
    read_layout=read_layout,
    is_truncated=lambda data, _page: is_truncated(data),
    decode_memory=lambda _data, layout, pixels, _page: int(layout.bytes_per_pixel * pixels),
    exif_block=lambda _data: b"",
)
