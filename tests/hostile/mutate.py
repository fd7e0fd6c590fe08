"""Seeded mutations of valid files: each follows from its number, which replays it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from .originals import chunk_ends, originals

_NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 64, 127, 128, 255, 256, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
            0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)  # fmt: skip
_WORDS = (
    *(b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT"),
    *(b"RIFF", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP"),
    *(b"ftyp", b"meta", b"iloc", b"iinf", b"iprp", b"ipco", b"ipma", b"ispe", b"av1C", b"grid", b"iref"),
    *(b"mdat", b"hvcC", b"irot", b"imir", b"clap", b"auxC", b"jxlc", b"jxlp", b"jbrd", b"avis", b"moov"),
    *(b"II*\0", b"MM\0*", b"\x21\xff\x0b", b"\x21\xf9\x04", b"\x2c", b"\x3b"),
    *(b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\xff\xc4", b"\xff\xc9", b"\xff\xda", b"\xff\xdb", b"\xff\xdd"),
    *(b"\xff\xd9", b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"<svg", b"</g>", b"<use ", b"&a;", b"1e9"),
)


def mutation(number: int, *, only: str = "") -> tuple[str, bytes]:
    """The name of an original, and the mutation of that number. ``only`` is a prefix of the names of
    originals."""
    dice = random.Random(f"{only}:{number}")
    names = [name for name in originals() if name.startswith(only)]
    name = names[number % len(names)]
    data = bytearray(originals()[name])
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        if data:
            dice.choice(_WAYS)(data, dice, name)
    return name, bytes(data)


def _flip(data: bytearray, dice: random.Random, _: str) -> None:
    data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _byte(data: bytearray, dice: random.Random, _: str) -> None:
    data[_place(data, dice)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))


def _number(data: bytearray, dice: random.Random, _: str) -> None:
    packed = struct.pack(dice.choice("<>") + "I", dice.choice(_NUMBERS))
    packed = dice.choice((packed, packed[:2], packed[2:]))
    at = _place(data, dice)
    data[at : at + len(packed)] = packed


def _word(data: bytearray, dice: random.Random, _: str) -> None:
    word, at = dice.choice(_WORDS), _place(data, dice)
    data[at : at + dice.choice((0, len(word)))] = word


def _noise(data: bytearray, dice: random.Random, _: str) -> None:
    at, length = _place(data, dice), dice.choice((2, 8, 40))
    data[at : at + length] = dice.randbytes(length)


def _cut_out(data: bytearray, dice: random.Random, _: str) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 4, 12, 60))]


def _repeat(data: bytearray, dice: random.Random, _: str) -> None:
    at, length = _place(data, dice), dice.choice((1, 4, 16, 100))
    data[at:at] = data[at : at + length] * dice.choice((1, 2, 50))


def _end(data: bytearray, dice: random.Random, name: str) -> None:
    ends = chunk_ends(bytes(data), name)
    near = dice.choice(ends) + dice.choice((-1, 0, 1, 4)) if ends else 0
    del data[max(0, dice.choice((near, _place(data, dice), len(data) - dice.randrange(1, 9)))) :]


def _move_part(data: bytearray, dice: random.Random, name: str) -> None:
    """Move or copy a chunk or segment."""
    places = [*chunk_ends(bytes(data), name), len(data)]
    index = dice.randrange(len(places))
    start, stop = places[index - 1] if index else 0, places[index]
    part = data[start:stop]
    if dice.random() < 0.5:
        del data[start:stop]
    at = min(dice.choice(places), len(data))
    data[at:at] = part


def _splice(data: bytearray, dice: random.Random, _: str) -> None:
    """Overwrite with the bytes of another file."""
    other = originals()[dice.choice(list(originals()))]
    at = dice.randrange(min(len(data), len(other)))
    data[at : at + dice.choice((8, 60, len(data)))] = other[at : at + dice.choice((8, 60, len(other)))]


def _place(data: bytearray, dice: random.Random) -> int:
    """A position, most often in the header."""
    return dice.randrange(min(len(data), dice.choice((40, 200, len(data)))))


_WAYS: tuple[Callable[[bytearray, random.Random, str], None], ...] = (
    *(_flip, _byte, _byte, _number, _number, _word, _noise),
    *(_cut_out, _repeat, _end, _move_part, _splice),
)
