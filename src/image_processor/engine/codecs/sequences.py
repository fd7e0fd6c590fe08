"""The frames of animations that are read as stills: AVIF, HEIC, and PNG whose chunks break a rule. They are
counted, nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct

from .heif_items import boxes
from .png_chunks import chunks

MAX_FRAMES = 100_000
"""Delays are not listed for more: no limit of frames accepts as many."""

_STILL = 1
_TRACK = (b"moov", b"trak")
_TABLES = (b"mdia", b"minf", b"stbl")
_VISUAL_ENTRY = 78
"""Bytes of the description of video before its boxes (14496-12, 12.1.3.2)."""
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
    track = _images(data)
    sizes = [at for at, _ in _inside(data, *track, *_TABLES, b"stsz")] if track else []
    return max(_STILL, int.from_bytes(data[sizes[0] + 8 : sizes[0] + 12], "big")) if sizes else _STILL


class Track(Struct, frozen=True):
    """The milliseconds of each frame, how often all of them play (0 is forever), and the primaries and the
    transfer that are given by numbers, if any."""

    delays: tuple[int, ...]
    loop: int
    colour: tuple[int, int] | None


def heif_track(data: bytes) -> Track | None:
    """The first track of images; None where there is none, or its boxes are cut."""
    track = _images(data)
    if track is None:
        return None
    try:
        return Track(_delays(data, track), _loop(data, track), _colour(data, track))
    except (IndexError, StopIteration, struct.error):
        return None


def patch_times(data: bytes, loop: int) -> bytes:
    """A sequence as libavif writes it, in version 1 of all boxes: without the time of its creation, and with
    ``loop`` plays, where libavif is only asked for endless ones."""
    patched = bytearray(data)

    def put(at: int, content: bytes) -> None:
        patched[at : at + len(content)] = content

    film = [at for at, _ in _inside(data, 0, len(data), b"moov", b"mvhd")]
    tracks = [at for at, _ in _inside(data, 0, len(data), *_TRACK, b"tkhd")]
    media = [at for at, _ in _inside(data, 0, len(data), *_TRACK, b"mdia", b"mdhd")]
    edits = [at for at, _ in _inside(data, 0, len(data), *_TRACK, b"edts", b"elst")]
    for at in film + tracks + media:
        put(at + 4, bytes(16))
    for edit in edits if loop else ():
        (once,) = struct.unpack_from(">Q", data, edit + 8)
        whole = struct.pack(">Q", once * loop)
        for at in [start + 24 for start in film] + [start + 28 for start in tracks]:
            put(at, whole)
        put(edit + 3, bytes([loop > 1]))
    return bytes(patched)


def ends_early(data: bytes) -> bool:
    """Whether the frames of a sequence go on behind the end of the file."""
    return heif_frames(data) > 1 and any(kind == b"mdat" and end > len(data) for kind, _, end in boxes(data))


_Span = tuple[int, int]


def _images(data: bytes) -> _Span | None:
    for track in _inside(data, 0, len(data), *_TRACK):
        handlers = [data[at + 8 : at + 12] for at, _ in _inside(data, *track, b"mdia", b"hdlr")]
        if handlers == [b"pict"]:
            return track
    return None


def _delays(data: bytes, track: _Span) -> tuple[int, ...]:
    """By the table of durations (14496-12, 8.6.1.2), in units of the track (8.4.2)."""
    unit, _ = _duration(data, next(_inside(data, *track, b"mdia", b"mdhd"))[0], times=2)
    at, end = next(_inside(data, *track, *_TABLES, b"stts"))
    (count,) = struct.unpack_from(">I", data, at + 4)
    delays: list[int] = []
    for entry in range(min(count, (end - at - 8) // 8)):
        frames, duration = struct.unpack_from(">II", data, at + 8 + 8 * entry)
        delays += [round(1000 * duration / max(unit, 1))] * min(frames, MAX_FRAMES + 1 - len(delays))
    return tuple(delays)


def _loop(data: bytes, track: _Span) -> int:
    """How often the track's edit is played within its duration (14496-12, 8.6.6; flag 1 repeats it)."""
    edit = next((at for at, _ in _inside(data, *track, b"edts", b"elst")), None)
    if edit is None or not data[edit + 3] & 1:
        return 1
    version = data[next(_inside(data, *track, b"tkhd"))[0]]
    _, whole = _duration(data, next(_inside(data, *track, b"tkhd"))[0], times=2, between=4)
    (once,) = struct.unpack_from(">Q" if data[edit] == 1 else ">I", data, edit + 8)
    is_endless = whole == (1 << (64 if version == 1 else 32)) - 1
    return 0 if is_endless else max(1, -(-whole // max(once, 1)))


def _duration(data: bytes, at: int, *, times: int, between: int = 0) -> tuple[int, int]:
    """The 32 bits behind the ``times`` of a header, and the duration, ``between`` bytes behind them."""
    width = 8 if data[at] == 1 else 4
    start = at + 4 + times * width
    (number,) = struct.unpack_from(">I", data, start)
    (duration,) = struct.unpack_from(">Q" if width == 8 else ">I", data, start + 4 + between)
    return number, duration


def _colour(data: bytes, track: _Span) -> tuple[int, int] | None:
    """Of the box `colr` in the first description of samples (14496-12, 8.5.2 and 12.1.5)."""
    for at, end in _inside(data, *track, *_TABLES, b"stsd"):
        for kind, start, stop in boxes(data, at + 8, end):
            for found, content, _ in boxes(data, start + _VISUAL_ENTRY, min(stop, end)):
                if kind == b"av01" and found == b"colr" and data[content : content + 4] == b"nclx":
                    primaries, transfer = struct.unpack_from(">HH", data, content + 4)
                    return primaries, transfer
    return None


def _inside(data: bytes, start: int, end: int, kind: bytes, *path: bytes) -> Iterator[tuple[int, int]]:
    """The content of the boxes at the end of a path of types."""
    for found, at, announced in boxes(data, start, end):
        stop = min(announced, end)
        if found == kind and path:
            yield from _inside(data, at, stop, *path)
        elif found == kind:
            yield at, stop
