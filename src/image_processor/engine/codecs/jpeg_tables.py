"""Whether a decoder needs every table of a JPEG: others could hold anything (ITU-T T.81, annex B)."""

from __future__ import annotations

from .jpeg_markers import START_OF_SCAN, markers

_QUANTISATION, _HUFFMAN, _RESTARTS, _LINES = 0xDB, 0xC4, 0xDD, 0xDC
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Sequential and progressive DCT with Huffman codes; others are rare."""
_NUMBER_BYTES = 2
_HUFFMAN_HEAD = 17


def needs_all_tables(data: bytes) -> bool:
    """Whether each table is used before it is defined again, and segments have no other bytes."""
    tables = _Tables()
    try:
        return (
            all(tables.accept(marker, _segment(data, at)) for marker, at in markers(data)) and tables.are_used
        )
    except (IndexError, ValueError):
        return False


def _segment(data: bytes, at: int) -> bytes:
    """Its content, behind the length."""
    return data[at + 2 : at + int.from_bytes(data[at : at + 2], "big")]


class _Tables:
    """Tables by number: those of the frame's components, and Huffman tables that no scan has used."""

    def __init__(self) -> None:
        self._defined: set[int] = set()
        self._wanted: set[int] = set()
        self._unused: set[tuple[int, int]] = set()

    @property
    def are_used(self) -> bool:
        return self._defined == self._wanted and not self._unused

    def accept(self, marker: int, content: bytes) -> bool:
        """False for a segment that has more than decoding needs. Raises IndexError for one that has less."""
        if marker == _QUANTISATION:
            return self._define_quantisation(content)
        if marker == _HUFFMAN:
            return self._define_huffman(content)
        if marker in _FRAMES:
            self._wanted = {content[at] for at in range(8, 6 + 3 * content[5], 3)}
            return len(content) == 6 + 3 * content[5]
        if marker == START_OF_SCAN:
            return self._use(content)
        if marker in {_RESTARTS, _LINES}:
            return len(content) == _NUMBER_BYTES
        return True

    def _define_quantisation(self, content: bytes) -> bool:
        at = 0
        while at < len(content):
            number, size = content[at] & 15, 64 << (content[at] >> 4)
            if number in self._defined:
                return False
            self._defined.add(number)
            at += 1 + size
        return at == len(content)

    def _define_huffman(self, content: bytes) -> bool:
        at = 0
        while at < len(content):
            table = content[at] >> 4, content[at] & 15
            if table in self._unused:
                return False
            self._unused.add(table)
            at += _HUFFMAN_HEAD + sum(content[at + 1 : at + _HUFFMAN_HEAD])
        return at == len(content)

    def _use(self, content: bytes) -> bool:
        count = content[0]
        first, last, bits = content[1 + 2 * count : 4 + 2 * count]
        for at in range(2, 2 + 2 * count, 2):
            # The first pass over the mean brightness has codes, those that refine it have bare bits.
            if first == 0 and bits >> 4 == 0:
                self._unused.discard((0, content[at] >> 4))
            if last > 0:
                self._unused.discard((1, content[at] & 15))
        return len(content) == 4 + 2 * count
