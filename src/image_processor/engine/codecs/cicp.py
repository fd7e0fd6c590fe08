"""Colour spaces that a file gives by numbers (CICP) or by gamma and chromaticities, as ICC profiles.

All else follows from the embedded profile, as if the file had carried one. ISO/IEC 23091-2 (ITU-T H.273)
defines the numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache

from msgspec import Struct

Chromaticity = tuple[float, float]

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_D50 = (0.9642, 1.0, 0.8249)
"""The white of all profiles as XYZ (ICC.1:2022, 7.2.16)."""

# Cone responses of the Bradford transform (ICC.1:2022, annex E.3).
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

_Matrix = Sequence[Sequence[float]]


class Primaries(Struct, frozen=True):
    """CIE 1931 x and y of red, green, blue and white."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity = _D65


BT709 = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
BT2020 = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))

# H.273, table 2. Number 2 means unspecified.
PRIMARIES = {
    1: BT709,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: BT2020,
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}

# H.273, table 3: exponents of pure powers. All other curves for standard range count as sRGB's, as in
# browsers: the camera curves of BT.709 and BT.2020 are not what displays undo.
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
PQ, HLG = 16, 18

# sRGB's curve as a parametric curve of type 3: g, a, b, c, d (ICC.1:2022, 10.18).
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of a colour space by its numbers; None for sRGB, and for numbers without a meaning."""
    return rgb_profile(PRIMARIES.get(primaries, BT709), _GAMMAS.get(transfer))


@cache
def rgb_profile(primaries: Primaries, gamma: float | None) -> bytes | None:
    """An ICC profile of version 4 for RGB with the exponent ``gamma``, or sRGB's curve where None.
    None for sRGB itself, and where ``primaries`` span no colours."""
    if primaries == BT709 and gamma is None:
        return None
    try:
        return _assembled(_tags(primaries, gamma))
    except (ArithmeticError, ValueError, struct.error):
        return None  # no inverse, or a number that the profile cannot hold


def _tags(primaries: Primaries, gamma: float | None) -> dict[bytes, bytes]:
    curve = struct.pack(">4s4xHxx", b"para", 0 if gamma else 3)
    curve += b"".join(map(_fixed, (gamma,) if gamma else _SRGB_CURVE))
    text = "RGB".encode("utf-16-be")
    # One record, in English, behind the type's head of 28 bytes (ICC.1:2022, 10.15).
    name = struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": name, b"cprt": name, b"wtpt": _xyz(_D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    colours = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _adapted(primaries), strict=True)
    return tags | {tag: _xyz(colour) for tag, colour in colours}


def to_bt709(primaries: Primaries) -> _Matrix:
    """The matrix from linear RGB of ``primaries`` to linear RGB of BT.709, both with white D65."""
    return _product(_inverse(_to_xyz(BT709)), _to_xyz(primaries))


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """Header, tag table and tags (ICC.1:2022, 7)."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", start + len(body), 0x04400000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    return (header + b"".join(map(_fixed, _D50))).ljust(128, b"\0") + table + body


def _fixed(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">i", round(value * 65536))


def _xyz(colour: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, colour))


def _adapted(primaries: Primaries) -> _Matrix:
    """XYZ of red, green and blue, relative to D50 by the Bradford transform."""
    white = _product(_BRADFORD, [[value] for value in _from_xy(primaries.white)])
    target = _product(_BRADFORD, [[value] for value in _D50])
    scale = [[target[i][0] / white[i][0] if i == j else 0.0 for j in range(3)] for i in range(3)]
    adaptation = _product(_inverse(_BRADFORD), _product(scale, _BRADFORD))
    return list(zip(*_product(adaptation, _to_xyz(primaries)), strict=True))


def _to_xyz(primaries: Primaries) -> _Matrix:
    """The matrix whose columns are XYZ of red, green and blue, which add up to white (SMPTE RP 177)."""
    columns = [_from_xy(xy) for xy in (primaries.red, primaries.green, primaries.blue)]
    matrix = list(zip(*columns, strict=True))
    amounts = _product(_inverse(matrix), [[value] for value in _from_xy(primaries.white)])
    return [[matrix[i][j] * amounts[j][0] for j in range(3)] for i in range(3)]


def _from_xy(xy: Chromaticity) -> tuple[float, float, float]:
    x, y = xy
    return x / y, 1.0, (1 - x - y) / y


def _product(left: _Matrix, right: _Matrix) -> _Matrix:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)]
        for row in left
    ]


def _inverse(matrix: _Matrix) -> _Matrix:
    """By cofactors, of 3 x 3. Raises ZeroDivisionError."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return [[value / determinant for value in row] for row in cofactors]
