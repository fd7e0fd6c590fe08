"""The frames of animations that are read as stills: PNG, AVIF and HEIC. Only counted, nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from .heif_items import boxes

_STILL = 1


def png_frames(data: bytes) -> int:
    """By the chunk acTL, which is before the pixels (PNG, third edition, 11.3.6.1)."""
    at = 8
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        if data[at + 4 : at + 8] == b"acTL":
            return max(_STILL, int.from_bytes(data[at + 8 : at + 12], "big"))
        at += 12 + int.from_bytes(data[at : at + 4], "big")
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
