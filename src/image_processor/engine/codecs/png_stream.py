"""The pixels of a PNG as one zlib stream over several chunks, read without keeping its content."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from msgspec import Struct

_INFLATED_BYTES = 1 << 20
"""Decompressed at a time."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type (PNG, 11.2.1)."""
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""First column and row of each pass, and the steps to the next (PNG, 8.2)."""


class PngStream(Struct, frozen=True):
    """The stream holds ``size`` bytes; ``after`` follows it, None where it is not whole."""

    size: int
    after: bytes | None


def read_stream(parts: Iterable[bytes]) -> PngStream:
    """The zlib stream in ``parts``."""
    stream, size = zlib.decompressobj(), 0
    try:
        for part in parts:
            size += len(stream.decompress(part, _INFLATED_BYTES))
            while stream.unconsumed_tail:
                size += len(stream.decompress(stream.unconsumed_tail, _INFLATED_BYTES))
    except zlib.error:
        return PngStream(size, None)
    return PngStream(size, stream.unused_data if stream.eof else None)


def pixel_bytes(data: bytes) -> int:
    """The bytes of all rows of the PNG ``data``, each behind the byte of its filter (PNG, 7.2)."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits = data[24] * _CHANNELS[data[25]]
    total = 0
    for column, row, across, down in _ADAM7 if data[28] else _WHOLE:
        columns, rows = -(-(width - column) // across), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total
