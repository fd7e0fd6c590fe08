"""The coded parts of a WebP's images, each of which could have a tail that no decoder reads (RFC 9649 for the
container, RFC 6386 for the partitions of lossy images).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_CUT = 4
"""Bytes. An encoder pads the end of a part with less; as many at the end hold something of a pixel."""

_LOSSY_HEAD = 10
"""Frame tag, start code and sides (RFC 6386, 9.1), before the first partition."""
_ALPHA_FLAG = 0x10
_Chunk = tuple[bytes, bytes]


def shortened(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each image of the WebP ``data`` as a file of its own, with each file that lacks the end of one part."""
    found = list(riff_chunks(data[12:]))
    frames = [content for name, content in found if name == b"ANMF"]
    images = [
        (content[6:12], [sub for sub in riff_chunks(content[16:]) if sub[0] in _CODED]) for content in frames
    ]
    if not frames:
        canvas = next((content[4:10] for name, content in found if name == b"VP8X"), bytes(6))
        images = [(canvas, [chunk for chunk in found if chunk[0] in _CODED])]
    for sides, chunks in images:
        whole = _file(sides, chunks)
        for index, (name, content) in enumerate(chunks):
            for shorter in _cut(name, content):
                yield whole, _file(sides, [*chunks[:index], (name, shorter), *chunks[index + 1 :]])


_CODED = frozenset({b"VP8 ", b"VP8L", b"ALPH"})


def riff_chunks(data: bytes) -> Iterator[_Chunk]:
    """Name and content of each chunk (RFC 9649, 2.3)."""
    at = 0
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : end]
        at = end + end % 2


def riff_chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def riff_file(chunks: Sequence[bytes]) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _file(sides: bytes, chunks: Sequence[_Chunk]) -> bytes:
    """A still of these chunks. ``sides`` are width and height, less one, in 3 bytes each."""
    coded = [riff_chunk(*chunk) for chunk in chunks]
    if chunks and chunks[0][0] == b"ALPH":
        coded.insert(0, riff_chunk(b"VP8X", bytes([_ALPHA_FLAG, 0, 0, 0]) + sides))
    return riff_file(coded)


def _cut(name: bytes, content: bytes) -> Iterator[bytes]:
    if name != b"VP8 ":
        yield content[:-_CUT]
        return
    first = int.from_bytes(content[:3], "little") >> 5
    count = _partitions(content[_LOSSY_HEAD : _LOSSY_HEAD + first])
    tag = (int.from_bytes(content[:3], "little") - (_CUT << 5)) & 0xFFFFFF
    end = _LOSSY_HEAD + first
    yield tag.to_bytes(3, "little") + content[3 : end - _CUT] + content[end:]
    at = end + 3 * (count - 1)
    for sizes in range(end, end + 3 * (count - 1), 3):
        size = int.from_bytes(content[sizes : sizes + 3], "little")
        lower = max(0, size - _CUT).to_bytes(3, "little")
        at += size
        yield content[:sizes] + lower + content[sizes + 3 : at - _CUT] + content[at:]
    yield content[:-_CUT]


def _partitions(header: bytes) -> int:
    """How many partitions of coefficients there are (RFC 6386, 9.2 to 9.5)."""
    bits = _BoolDecoder(header)
    bits.take(2)  # colour space, clamping
    if bits.take(1):
        _skip_segments(bits)
    bits.take(10)  # filter
    if bits.take(1) and bits.take(1):
        _skip_optional(bits, 8, 7)
    return 1 << bits.take(2)


def _skip_segments(bits: _BoolDecoder) -> None:
    has_map, has_data = bits.take(1), bits.take(1)
    if has_data:
        bits.take(1)
        _skip_optional(bits, 4, 8)
        _skip_optional(bits, 4, 7)
    if has_map:
        _skip_optional(bits, 3, 8)


def _skip_optional(bits: _BoolDecoder, count: int, size: int) -> None:
    for _ in range(count):
        if bits.take(1):
            bits.take(size)


class _BoolDecoder:
    """Reads bits of even probability (RFC 6386, 7.3). Behind the end are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value, self._range, self._left = int.from_bytes(data[:64].ljust(64, b"\0"), "big"), 255, 504

    def take(self, count: int) -> int:
        number = 0
        for _ in range(count):
            split = 1 + (((self._range - 1) * 128) >> 8)
            threshold = split << self._left
            bit = self._value >= threshold
            self._value -= threshold if bit else 0
            self._range = self._range - split if bit else split
            while self._range < 128:
                self._range <<= 1
                self._left -= 1
            number = number << 1 | bit
        return number
