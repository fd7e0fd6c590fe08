"""An AVIF that holds nothing but its image, as strip.py does it for other formats.

Offsets tie all parts of the file together, so nothing is cut out: what follows the image is dropped, and a
file with any other item, box or property is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from image_processor.domain.models import KeepSmaller

from . import hdr
from .cicp import coded_profile
from .heif_items import HeifItems, boxes

_GRID_BYTES = 8
"""Of the description of tiles, whose sides have 16 bits (ISO/IEC 23008-12, 6.6.2.3.2)."""
_NAMES = frozenset({b"", b"Color", b"Alpha"})
_META = frozenset({b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat"})
_PROPERTIES = frozenset(b"ispe pixi av1C colr auxC irot imir pasp clap a1op a1lx lsel clli mdcv cclv".split())


def avif(data: bytes, profile: bytes | None) -> bytes | KeepSmaller:
    """``data`` up to the end of its image. No profile can be embedded or removed."""
    top = [(kind, start, end) for kind, start, end in boxes(data) if end <= len(data)]
    while top and top[-1][0] != b"mdat":
        top.pop()
    items = HeifItems.read(data)
    if items is None or [kind for kind, _, _ in top] != [b"ftyp", b"meta", b"mdat"]:
        return KeepSmaller.STRUCTURE
    if profile is not None or not _is_srgb(items):
        return KeepSmaller.COLOUR
    _, (_, *meta), (_, *pixels) = top
    is_bare = _has_only_image(data, items, *meta) and _is_covered(items, *pixels)
    return data[: pixels[1]] if is_bare else KeepSmaller.STRUCTURE


def _is_srgb(items: HeifItems) -> bool:
    """Whether no profile is embedded, and numbers, if there are any, mean sRGB."""
    if any(
        found.kind == b"colr" and found.content[:4] != b"nclx"
        for properties in items.properties.values()
        for found in properties
    ):
        return False
    colour = items.coded_colour
    return colour is None or (
        colour.transfer not in hdr.TRANSFERS and coded_profile(colour.primaries, colour.transfer) is None
    )


def _has_only_image(data: bytes, items: HeifItems, start: int, end: int) -> bool:
    """Whether the meta box describes the primary item, its alpha, and the tiles of both, and nothing else."""
    shown = {items.primary}
    for _ in range(3):  # alpha, and tiles of either
        shown |= {item for kind, item, to in items.references if kind == b"auxl" and to in shown}
        shown |= {to for kind, item, to in items.references if kind == b"dimg" and item in shown}
    inside = {kind: (at, stop) for kind, at, stop in boxes(data, start + 4, end)}
    kinds = {found.kind for properties in items.properties.values() for found in properties}
    listed = _item_ids(data, *inside.get(b"iinf", (0, 0)))
    turns = items.is_alpha_turned_differently
    is_known = inside.keys() <= _META and kinds <= _PROPERTIES and listed == shown and not turns
    return is_known and not _has_words(data, items, inside)


def _has_words(data: bytes, items: HeifItems, inside: Mapping[bytes, tuple[int, int]]) -> bool:
    """Whether names, properties of no item, or data within the meta box could hold information."""
    handler = data[slice(*inside.get(b"hdlr", (0, 0)))]
    described = {kind: (at, stop) for kind, at, stop in boxes(data, *inside.get(b"iprp", (0, 0)))}
    defined = {(kind, data[at:stop]) for kind, at, stop in boxes(data, *described.get(b"ipco", (0, 0)))}
    used = {(found.kind, found.content) for properties in items.properties.values() for found in properties}
    tilings = sum(kind == b"dimg" for kind, _ in {(kind, item) for kind, item, _ in items.references})
    start, end = inside.get(b"idat", (0, 0))
    return bool(handler[24:].strip(b"\0")) or defined != used or end - start > _GRID_BYTES * tilings


def _item_ids(data: bytes, start: int, end: int) -> set[int]:
    """The items that `iinf` lists (ISO/IEC 14496-12, 8.11.6)."""
    if end - start < 8:
        return set()
    entries = start + (6 if data[start] == 0 else 8)
    ids = set()
    for kind, at, stop in boxes(data, entries, end):
        if kind != b"infe" or stop > end or stop - at < 8:
            return set()
        name = data[at + (12 if data[at] == 2 else 14) : stop].rstrip(b"\0")
        if name not in _NAMES:
            return set()
        ids.add(struct.unpack_from(">I" if data[at] == 3 else ">H", data, at + 4)[0])
    return ids


def _is_covered(items: HeifItems, start: int, end: int) -> bool:
    """Whether all bytes from ``start`` to ``end`` are those of items."""
    at = start
    for _, first, last in sorted(items.extents, key=lambda extent: extent[1]):
        if first > at:
            return False
        at = max(at, last)
    return at >= end
