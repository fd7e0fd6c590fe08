"""SVG, where Limits let it in: drawn by librsvg at the size that is wanted.

librsvg is given no address, so that nothing outside the file is found from it; it dials nobody, and
bounds entities, elements that are used again, and pictures within. What it draws costs memory.
"""

from __future__ import annotations

from math import sqrt

import pyvips

from image_processor.domain.geometry import Size

_MOST_DRAWN = 12_000_000
"""Pixels drawn at a time. Filters take up to 37 bytes of memory for each (librsvg in libvips 8.18);
what is wanted larger is enlarged."""


def open_svg(data: bytes, target: Size | None) -> pyvips.Image:
    """The drawing, opened, with 4 bands; as large as it says of itself, or so that it covers
    ``target`` as far as _MOST_DRAWN lets it. Raises what libvips raises."""
    natural = _open(data, 1.0)
    if 1 in {natural.width, natural.height}:
        # A side that no integer holds comes as one pixel, but not as a hundred: this refuses it.
        _open(data, 100.0)
    if target is None:
        return natural
    wanted = max(target.width / natural.width, target.height / natural.height)
    most = sqrt(_MOST_DRAWN / (natural.width * natural.height))
    scale = min(wanted, most)
    return natural if scale == 1.0 else _open(data, scale)


def _open(data: bytes, scale: float) -> pyvips.Image:
    source = pyvips.Source.new_from_memory(data)
    return pyvips.Operation.call("svgload_source", source, scale=scale, access="sequential", fail_on="error")
