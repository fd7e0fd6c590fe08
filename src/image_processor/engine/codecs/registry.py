"""Every format that the engine reads or writes, by its name in domain/formats.py.

To add one: a row in domain/formats.py, a module next to this one that ends in a `Codec`, and a line here.
"""

from __future__ import annotations

import importlib.util

from . import avif, gif, heic, jpeg, jxl, png, svg, tiff, webp
from .codec import Codec

CODECS: dict[str, Codec] = {
    "jpeg": jpeg.CODEC,
    "png": png.CODEC,
    "webp": webp.CODEC,
    "avif": avif.CODEC,
    "gif": gif.CODEC,
    "tiff": tiff.CODEC,
    "apng": png.ANIMATED,
    "avifs": avif.SEQUENCE,
    "heic": heic.CODEC,
    "jxl": jxl.CODEC,
    "svg": svg.CODEC,
}


def is_installed(codec: Codec) -> bool:
    """Whether the optional package of ``codec`` is there; True where libvips decodes the format."""
    if codec.package is None:
        return True
    return importlib.util.find_spec(codec.package) is not None
