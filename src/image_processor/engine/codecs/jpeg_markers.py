"""The markers of a JPEG, walked without decoding (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator

START_OF_SCAN = 0xDA
END_OF_IMAGE = 0xD9

# In entropy-coded data 0xff is followed by 0x00 (stuffing) or by a restart marker (ITU-T T.81, B.1.1.5);
# anything else ends the scan. Further 0xff are fill bytes.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker up to the end of image, and the offset of its segment (which begins with its length)."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        yield marker, at + 2
        if marker == END_OF_IMAGE:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == START_OF_SCAN:
            at = scan_end(data, at)


def scan_end(data: bytes, at: int) -> int:
    """Where the entropy-coded data ends that begins at ``at``."""
    end = _SCAN_END.search(data, at)
    return end.start() if end else len(data)
