"""The formats that libvips does not decode: each by an optional package, and refused without it.

probe asks for the header, decode for the pixels; neither sees which package answers. A package is
imported when the first file of its format comes.
"""

from __future__ import annotations

from types import ModuleType

import pyvips

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import READABLE_TITLES, Format

from .image_header import PixelLayout

_PACKAGES = {"heic": "pillow_heif", "jxl": "pillow_jxl"}


def is_there(format_: Format) -> bool:
    """Whether the package that decodes ``format_`` is installed."""
    from importlib.util import find_spec  # noqa: PLC0415 - 2 ms of a cold start, for few files

    return find_spec(_PACKAGES[format_.name]) is not None


def check_there(format_: Format) -> None:
    """Raise Refused(UNSUPPORTED_FORMAT) with what to install, if the package is missing."""
    if is_there(format_):
        return
    raise Refused(
        Reason.UNSUPPORTED_FORMAT,
        f"expected {READABLE_TITLES}, got {format_.title}: to read it, install "
        f"image-processor[{format_.extra}]",
    )


def see(data: bytes, format_: Format) -> PixelLayout:
    """The header; nothing is decoded. Raises Refused."""
    seen: PixelLayout = _decoder(format_).see(data)
    return seen


def decode(data: bytes, format_: Format) -> pyvips.Image:
    """The pixels in memory, as `see` announced them, with their ICC profile attached. Raises Refused."""
    return _decoder(format_).decode(data)


def _decoder(format_: Format) -> ModuleType:
    if format_.name == "heic":
        from . import heic  # noqa: PLC0415 - only where such a file comes

        return heic
    from . import jxl  # noqa: PLC0415 - as above

    return jxl
