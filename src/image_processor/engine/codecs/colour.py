"""Gives an opened image the colour space that its file gives by numbers."""

from __future__ import annotations

import pyvips

from . import hdr
from .cicp import coded_profile
from .codec import attach_profile

_PROFILE = "icc-profile-data"


def with_coded_colour(image: pyvips.Image, primaries: int, transfer: int) -> pyvips.Image:
    """``image`` with the profile of a colour space of ISO/IEC 23091-2 instead of its own. One of high dynamic
    range becomes sRGB."""
    image = _as_rgb(image)
    if transfer in hdr.TRANSFERS:
        return _without_profile(hdr.to_sdr(image, primaries, transfer))
    return with_rgb_profile(image, coded_profile(primaries, transfer))


def with_rgb_profile(image: pyvips.Image, profile: bytes | None) -> pyvips.Image:
    """``image``, grey or RGB, as RGB with ``profile``; None stands for sRGB."""
    if profile is None:
        return _without_profile(image)
    return attach_profile(_as_rgb(image), profile)


def _as_rgb(image: pyvips.Image) -> pyvips.Image:
    return image if image.bands > 2 else image.colourspace("rgb16" if image.format == "ushort" else "srgb")


def _without_profile(image: pyvips.Image) -> pyvips.Image:
    if not image.get_typeof(_PROFILE):
        return image
    plain = image.copy()
    plain.remove(_PROFILE)
    return plain
