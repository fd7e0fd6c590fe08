"""The chunks of a PNG: length, name, content, checksum (PNG, third edition, 5.3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk up to IEND; the last one may end behind the file."""
    at, name = len(SIGNATURE), b""
    while at + 12 <= len(data) and name != b"IEND":
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield name, at, end
        at = end


def chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")
