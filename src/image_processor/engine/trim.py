"""Finds what a border leaves: the part of a picture that is to stay when its edges are trimmed."""

from __future__ import annotations

import pyvips

from image_processor.transformation import Colour

from .geometry import Box

_OPAQUE = 255


def find_trim(picture: pyvips.Image, tolerance: float, colour: Colour | None = None) -> Box:
    """The bounding box of all pixels that differ from the border; the whole picture if none does.

    ``picture`` is 8-bit sRGB of 3 bands or 4. It is read once, from top to bottom, so it may have
    been opened for sequential access, and be lazy. ``tolerance`` is 0-255.

    The border is ``colour``, or that of the top-left pixel where None. A pixel differs if any of
    its bands is more than ``tolerance`` away from it, once the picture lies over the border's
    colour: what is transparent is border. Where the top-left pixel is not opaque and ``colour``
    is None, transparency is the border, and a pixel differs if its alpha exceeds ``tolerance``.
    """
    whole = Box(0, 0, picture.width, picture.height)
    judged, border = _judged(picture, colour)
    # line_art switches a median filter off, to which a line of one pixel is noise.
    left, top, width, height = judged.find_trim(threshold=tolerance, background=border, line_art=True)
    return Box(left, top, width, height) if width and height else whole


def _judged(picture: pyvips.Image, colour: Colour | None) -> tuple[pyvips.Image, list[float]]:
    """What is compared with which border: the colours over it, or alpha alone."""
    border = [float(value) for value in (colour.red, colour.green, colour.blue)] if colour else []
    if colour is None:
        *border, alpha = [*picture.getpoint(0, 0), _OPAQUE][:4]
        if alpha < _OPAQUE:
            return picture[3], [0.0]
    if picture.hasalpha():
        # In floats, or rounding could carry a pixel over the threshold.
        picture = picture.cast("float").flatten(background=border)
    return picture, border
