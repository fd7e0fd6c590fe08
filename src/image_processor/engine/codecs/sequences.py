"""The frames of animations that are read as stills: AVIF, HEIC, and PNG whose chunks break a rule. They are
counted, nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from .heif_items import boxes
from .png_chunks import chunks

_STILL = 1
_CONTROL_BYTES = 20


def png_frames(data: bytes) -> int:
    """By the chunk acTL, which is before the pixels (PNG, third edition, 11.3.6.1)."""
    for name, start, end in chunks(data):
        if name == b"IDAT":
            break
        if name == b"acTL" and end - start >= _CONTROL_BYTES:
            return max(_STILL, int.from_bytes(data[start + 8 : start + 12], "big"))
    return _STILL


def heif_frames(data: bytes) -> int:
    """By the samples of the first track of images (ISO/IEC 14496-12, 8.7.3; 23008-12, 7)."""
    for track in _inside(data, 0, len(data), b"moov", b"trak"):
        handlers = [data[at + 8 : at + 12] for at, _ in _inside(data, *track, b"mdia", b"hdlr")]
        sizes = [at for at, _ in _inside(data, *track, b"mdia", b"minf", b"stbl", b"stsz")]
        if handlers == [b"pict"] and sizes:
            return max(_STILL, int.from_bytes(data[sizes[0] + 8 : sizes[0] + 12], "big"))
    return _STILL


def _inside(data: bytes, start: int, end: int, kind: bytes, *path: bytes) -> Iterator[tuple[int, int]]:
    """The content of the boxes at the end of a path of types."""
    for found, at, announced in boxes(data, start, end):
        stop = min(announced, end)
        if found == kind and path:
            yield from _inside(data, at, stop, *path)
        elif found == kind:
            yield at, stop
