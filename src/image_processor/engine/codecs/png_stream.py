"""The pixels of a PNG as one zlib stream over several chunks, read without keeping its content."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_INFLATED_BYTES = 1 << 20
"""Decompressed at a time."""


def after_stream(parts: Iterable[bytes]) -> bytes | None:
    """What follows the zlib stream in ``parts``; None where it is not whole."""
    stream = zlib.decompressobj()
    try:
        for part in parts:
            stream.decompress(part, _INFLATED_BYTES)
            while stream.unconsumed_tail:
                stream.decompress(stream.unconsumed_tail, _INFLATED_BYTES)
    except zlib.error:
        return None
    return stream.unused_data if stream.eof else None
