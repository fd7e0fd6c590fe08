"""Exact palettes and low bit depths of PNG, written here: libvips only writes palettes that it has chosen
itself, with colours that it may change.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import pyvips

from .png_chunks import SIGNATURE, chunk

_MAX_COLOURS = 256
_CHUNK_PIXELS = 4096
"""Pixels between two checks of the number of colours: a photograph has too many after one or two."""

_GREY, _PALETTE = 0, 3  # colour types (PNG, 11.2.1)


def encode(image: pyvips.Image, level: int) -> bytes | None:
    """``image`` (uchar, 3 or 4 bands) with every pixel as it is, in at most 8 bits a pixel; None where it has
    more than 256 colours. ``level`` of zlib is 0-9. An ICC profile is kept."""
    rgba = image if image.hasalpha() else image.bandjoin(255)
    pixels = memoryview(rgba.write_to_memory()).cast("I")
    colours = _colours(pixels)
    if colours is None:
        return None
    # Transparent ones first, so that tRNS is short (PNG, 11.3.2.1).
    palette = sorted(colours, key=lambda colour: (struct.pack("=I", colour)[3] == 255, colour))
    samples = [struct.pack("=I", colour) for colour in palette]
    bits, kind, codes = _coding(samples)
    index = dict(zip(palette, codes, strict=True))
    rows = _packed(bytes(map(index.__getitem__, pixels)), image.width, bits)
    header = struct.pack(">IIBBBBB", image.width, image.height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *_profile(image), *(_palette_chunks(samples) if kind == _PALETTE else [])]
    chunks += [(b"IDAT", _deflated(rows, level)), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(name, content) for name, content in chunks)


def _colours(pixels: memoryview) -> set[int] | None:
    colours: set[int] = set()
    for start in range(0, len(pixels), _CHUNK_PIXELS):
        colours.update(pixels[start : start + _CHUNK_PIXELS])
        if len(colours) > _MAX_COLOURS:
            return None
    return colours


def _coding(samples: Sequence[bytes]) -> tuple[int, int, Sequence[int]]:
    """Bits a pixel, colour type, and the code of each colour: grey where its levels are those of a low bit
    depth, so that no palette is needed."""
    bits = next(bits for bits in (1, 2, 4, 8) if len(samples) <= 1 << bits)
    is_grey = all(red == green == blue and alpha == 255 for red, green, blue, alpha in samples)
    for depth in (1, 2, 4, 8) if is_grey else ():
        step = 255 // ((1 << depth) - 1)
        # A palette of fewer bits is smaller than grey of 8.
        if all(sample[0] % step == 0 for sample in samples) and (depth <= bits or bits == 8):
            return depth, _GREY, [sample[0] // step for sample in samples]
    return bits, _PALETTE, range(len(samples))


def _packed(codes: bytes, width: int, bits: int) -> bytes:
    """Rows of codes, each behind a byte for no filter, the leftmost pixel in the highest bits (PNG, 7.2)."""
    per_byte = 8 // bits
    padding = bytes(-width % per_byte)
    rows = b"".join(bytes(per_byte) + codes[at : at + width] + padding for at in range(0, len(codes), width))
    if per_byte == 1:
        return rows
    packed = 0
    for position in range(per_byte):
        shifted = rows[position::per_byte].translate(_shifts(bits * (per_byte - 1 - position)))
        packed |= int.from_bytes(shifted, "big")
    return packed.to_bytes(len(rows) // per_byte, "big")


def _shifts(bits: int) -> bytes:
    return bytes((value << bits) & 255 for value in range(256))


def _palette_chunks(samples: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    alphas = bytes(sample[3] for sample in samples if sample[3] < 255)
    chunks = [(b"PLTE", b"".join(sample[:3] for sample in samples))]
    return chunks + ([(b"tRNS", alphas)] if alphas else [])


def _profile(image: pyvips.Image) -> list[tuple[bytes, bytes]]:
    if not image.get_typeof("icc-profile-data"):
        return []
    return [(b"iCCP", b"icc\0\0" + zlib.compress(bytes(image.get("icc-profile-data"))))]


def _deflated(rows: bytes, level: int) -> bytes:
    # The largest tables, as libpng has them: 4 % fewer bytes.
    compressor = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1)
    return compressor.compress(rows) + compressor.flush()
