"""Pixel operations: the blend modes that mix a pixel's channels: hue, saturation, colour and luminosity.

W3C Compositing and Blending Level 1, chapter 10 ("Non-separable blend modes"), whose names the functions
have. Images are floats with three bands on a scale of 0-255.
"""

from __future__ import annotations

import pyvips

from image_processor.domain.transformation import Blend

_TOP = 255
_TINY = 1e-6

MODES = frozenset({Blend.HUE, Blend.SATURATION, Blend.COLOUR, Blend.LUMINOSITY})


def mix(below: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """B(Cb, Cs) for one of MODES: ``source`` over ``below``."""
    if mode is Blend.COLOUR:
        return _set_lum(source, _lum(below))
    if mode is Blend.LUMINOSITY:
        return _set_lum(below, _lum(source))
    if mode is Blend.HUE:
        return _set_lum(_set_sat(source, _sat(below)), _lum(below))
    return _set_lum(_set_sat(below, _sat(source)), _lum(below))


def _lum(colour: pyvips.Image) -> pyvips.Image:
    return colour.recomb(pyvips.Image.new_from_array([[0.3, 0.59, 0.11]]))


def _extremes(colour: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    red, green, blue = colour.bandsplit()
    return red.minpair(green).minpair(blue), red.maxpair(green).maxpair(blue)


def _sat(colour: pyvips.Image) -> pyvips.Image:
    least, most = _extremes(colour)
    return most - least


def _set_sat(colour: pyvips.Image, saturation: pyvips.Image) -> pyvips.Image:
    least, most = _extremes(colour)
    # Grey has no saturation to scale: the difference to its least channel is 0.
    return (colour - least) * (saturation / (most - least).maxpair(_TINY))


def _set_lum(colour: pyvips.Image, lum: pyvips.Image) -> pyvips.Image:
    return _clip_colour(colour + (lum - _lum(colour)))


def _clip_colour(colour: pyvips.Image) -> pyvips.Image:
    lum = _lum(colour)
    least, most = _extremes(colour)
    raised = (least < 0).ifthenelse(lum + (colour - lum) * (lum / (lum - least).maxpair(_TINY)), colour)
    room = (lum * -1 + _TOP) / (most - lum).maxpair(_TINY)
    return (most > _TOP).ifthenelse(lum + (raised - lum) * room, raised)
