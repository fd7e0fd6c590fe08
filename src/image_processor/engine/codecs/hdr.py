"""Tone mapping: images for high dynamic range (PQ and HLG) as sRGB.

Diffuse white is 203 cd/m2, as ITU-R BT.2408 recommends, and becomes a light grey, so that highlights have
room: the extended Reinhard operator (Reinhard et al., Photographic Tone Reproduction, 2002, equation 4)
scales each pixel by its largest component, and 1,000 cd/m2 become white.
"""

from __future__ import annotations

import pyvips

from .cicp import BT709, HLG, PQ, PRIMARIES, to_bt709

TRANSFERS = frozenset({PQ, HLG})

_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
_PEAK = _PEAK_NITS / _WHITE_NITS

# SMPTE ST 2084, 5 (also ITU-R BT.2100, table 4).
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

# ITU-R BT.2100, table 5: the inverse of HLG's OETF, and the exponent of its OOTF for 1,000 cd/m2.
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_SYSTEM_GAMMA = 1.2
_LUMA = (0.2627, 0.6780, 0.0593)


def to_sdr(image: pyvips.Image, primaries: int, transfer: int) -> pyvips.Image:
    """RGB of 8 or 16 bits, with or without alpha, as sRGB of 8 bits. ``transfer`` is one of TRANSFERS; both
    are numbers of ISO/IEC 23091-2."""
    colours = image[:3] if image.hasalpha() else image
    light = colours.maplut(_light(transfer, deep=image.format == "ushort"))
    if transfer == HLG:
        light = _displayed(light)
    red, green, blue = light.bandsplit()
    largest = (red > green).ifthenelse(red, green)
    largest = (largest > blue).ifthenelse(largest, blue)
    mapped = light * ((largest * (1 / _PEAK**2) + 1) / (largest + 1))
    matrix = to_bt709(PRIMARIES.get(primaries, BT709))
    srgb = mapped.recomb(pyvips.Image.new_from_array([list(row) for row in matrix]))
    shown = srgb.copy(interpretation="scrgb").colourspace("srgb")
    if not image.hasalpha():
        return shown
    alpha = image[image.bands - 1]
    return shown.bandjoin(alpha.msb() if alpha.format == "ushort" else alpha).copy(interpretation="srgb")


def _light(transfer: int, *, deep: bool) -> pyvips.Image:
    """The table from samples to light, with diffuse white as 1; for HLG to that of the scene, 0 to 1."""
    sample = pyvips.Image.identity(ushort=deep) / (65535 if deep else 255)
    if transfer == HLG:
        return (sample <= 0.5).ifthenelse(sample**2 / 3, (((sample - _C) / _A).exp() + _B) / 12)
    root = sample ** (1 / _M2)
    above = root - _C1
    nits = (((above > 0).ifthenelse(above, 0)) / (_C2 - root * _C3)) ** (1 / _M1) * 10_000
    return nits / _WHITE_NITS


def _displayed(scene: pyvips.Image) -> pyvips.Image:
    """HLG's light of the scene as that of a display of 1,000 cd/m2 (the OOTF)."""
    luminance = scene.recomb(pyvips.Image.new_from_array([list(_LUMA)]))
    return scene * luminance ** (_SYSTEM_GAMMA - 1) * _PEAK
