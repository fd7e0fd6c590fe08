"""The colour space that a PNG gives in chunks other than iCCP (PNG, third edition, 11.3.2 and 4.3)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pyvips

from .cicp import BT709, Primaries, rgb_profile
from .colour import with_coded_colour, with_rgb_profile

_NAMES = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
_PER_UNIT = 100_000
_SRGB_GAMMA = 1 / 2.2
_CLOSE_GAMMA, _CLOSE_CHROMATICITY = 0.01, 0.005
_MIN_GAMMA, _MAX_GAMMA = 0.1, 10.0


def with_colour(image: pyvips.Image, data: bytes) -> pyvips.Image:
    """``image`` of the PNG ``data`` with the profile that its chunks describe. The first of cICP, iCCP, sRGB
    and gAMA with cHRM counts."""
    chunks = _colour_chunks(data)
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4 and coded[2] == 0 and coded[3] == 1:  # RGB, of full range
        return with_coded_colour(image, coded[0], coded[1])
    if b"iCCP" in chunks or b"sRGB" in chunks or len(chunks.get(b"gAMA", b"")) != 4:
        return image
    return with_rgb_profile(image, _measured_profile(chunks))


def _measured_profile(chunks: Mapping[bytes, bytes]) -> bytes | None:
    """The profile of gAMA, and of cHRM if it is there; None where they mean sRGB."""
    gamma = int.from_bytes(chunks[b"gAMA"], "big") / _PER_UNIT
    if not _MIN_GAMMA <= gamma <= _MAX_GAMMA:
        return None
    primaries = _primaries(chunks.get(b"cHRM", b""))
    # Many editors write sRGB's nearest exponent for sRGB's curve.
    is_srgb = primaries == BT709 and abs(gamma - _SRGB_GAMMA) < _CLOSE_GAMMA
    return None if is_srgb else rgb_profile(primaries, 1 / gamma)


def _primaries(content: bytes) -> Primaries:
    """cHRM: white, red, green and blue. BT.709 where it is missing, cannot be right, or is nearly that."""
    if len(content) != 32:
        return BT709
    numbers = [number / _PER_UNIT for number in struct.unpack(">8I", content)]
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    if not all(0 < x < 1 and 0 < y < 1 for x, y in (white, red, green, blue)):
        return BT709
    known = [BT709.white, BT709.red, BT709.green, BT709.blue]
    far = max(abs(got - wanted) for got, wanted in zip(numbers, sum(known, ()), strict=True))
    return BT709 if far < _CLOSE_CHROMATICITY else Primaries(red, green, blue, white)


def _colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """The colour chunks before the pixels, the first of each name."""
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name in _NAMES:
            chunks.setdefault(name, data[at + 8 : at + 8 + length] if name != b"iCCP" else b"")
        at += 12 + length
    return chunks
