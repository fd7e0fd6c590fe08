"""The sequence header of AV1, for what an AVIF's boxes may leave out (AV1 Bitstream & Decoding Process
Specification, 5.5)."""

from __future__ import annotations

_SEQUENCE_HEADER = 1
_HEAD_BYTES = 96
"""A still picture's sequence header has about 10 bytes."""


def is_limited_grey(data: bytes) -> bool:
    """Whether ``data``, the open bitstream units of an image, are grey in limited range (16 to 235 of 8
    bits). False where that is not known."""
    try:
        payload = _sequence_header(data[:_HEAD_BYTES])
        return payload is not None and _reads_limited_grey(_Bits(payload))
    except IndexError:
        return False


class _Bits:
    """Reads numbers from bytes, highest bit first. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._number >> self._left & ((1 << count) - 1)


def _sequence_header(data: bytes) -> bytes | None:
    """The first unit of that type (5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        kind, has_extension, has_size = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        at += 1 + has_extension
        size, shift = (0, 0) if has_size else (len(data) - at, 0)
        while has_size:
            size |= (data[at] & 127) << shift
            has_size, shift, at = data[at] >> 7, shift + 7, at + 1
        if kind == _SEQUENCE_HEADER:
            return data[at : at + size]
        at += size
    return None


def _reads_limited_grey(bits: _Bits) -> bool:
    profile, _still, is_reduced = bits.take(3), bits.take(1), bits.take(1)
    if is_reduced:
        bits.take(5)  # level
    elif not _skip_operating_points(bits):
        return False
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    bits.take(width_bits + height_bits)
    if not is_reduced and bits.take(1):
        bits.take(7)  # lengths of frame numbers
    bits.take(3)  # superblocks, filters within frames
    if not is_reduced:
        _skip_tools(bits)
    bits.take(3)  # superresolution, CDEF, restoration
    is_deep = bits.take(1)
    if profile == 2 and is_deep:
        bits.take(1)
    is_grey = profile != 1 and bits.take(1)
    if bits.take(1):
        bits.take(24)  # primaries, transfer, matrix
    return bool(is_grey) and not bits.take(1)


def _skip_operating_points(bits: _Bits) -> bool:
    """False for a header with timings, which no image has."""
    if bits.take(1):
        return False
    has_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)  # tier
        if has_delay and bits.take(1):
            bits.take(4)
    return True


def _skip_tools(bits: _Bits) -> None:
    """The tools for prediction between frames."""
    bits.take(4)
    has_order_hint = bits.take(1)
    if has_order_hint:
        bits.take(2)
    screen_content = 2 if bits.take(1) else bits.take(1)
    if screen_content and not bits.take(1):
        bits.take(1)
    if has_order_hint:
        bits.take(3)
