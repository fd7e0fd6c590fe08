"""SVG, where Limits allow it: drawn by librsvg at the size that is needed.

librsvg gets no base address, so it finds nothing outside the file; it opens no network connection, and
bounds entities, reused elements and embedded images. What it draws costs memory.
"""

from __future__ import annotations

import re
from math import sqrt

import pyvips

from image_processor.domain.models import Limits

from . import svg_size
from .codec import Codec, DecodeOptions, load
from .memory import check_memory

_MAX_DRAWN_PIXELS = 12_000_000
"""Pixels drawn at a time. Filters take up to 37 bytes of memory for each (librsvg in libvips 8.18); a
larger size is scaled up from this."""

# librsvg's memory of a document (spans with a position of their own), and Pango's of the text that is
# laid out, per byte of it (single letters with spaces between). What looks like a tag is not text, except
# what begins with an exclamation mark, which may hold some.
_BYTES_PER_TAG = 3_000
_BYTES_PER_LETTER = 3_000
_TAG = re.compile(rb"<[^<>!][^<>]*>")


def is_truncated(data: bytes) -> bool:
    """Whether the last tag is cut; for a file that ends between two tags the parser decides."""
    return not data.rstrip(b" \t\r\n\0").endswith(b">")


def check_document(data: bytes, limits: Limits) -> None:
    """Raise Refused(TOO_MANY_PIXELS) where elements and text would take more memory than the limits allow,
    which they start to take as soon as the file is opened."""
    letters = len(_TAG.sub(b"", data)) if b"text" in data else 0
    expected = len(data) + _BYTES_PER_TAG * data.count(b"<") + _BYTES_PER_LETTER * letters
    check_memory(expected, limits, "svg")


def open_svg(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """The drawing, opened, with 4 bands; at its natural size, or large enough to cover
    ``options.target`` as far as _MAX_DRAWN_PIXELS allows. Raises pyvips.Error."""
    data = svg_size.normalised(data)
    natural = _open(data, 1.0)
    if 1 in {natural.width, natural.height}:
        # A side too large for an integer comes as one pixel, but not as a hundred: this raises then.
        _open(data, 100.0)
    if options.target is None:
        return natural
    covering = max(options.target.width / natural.width, options.target.height / natural.height)
    largest = sqrt(_MAX_DRAWN_PIXELS / (natural.width * natural.height))
    scale = min(covering, largest)
    return natural if scale == 1.0 else _open(data, scale)


def _open(data: bytes, scale: float) -> pyvips.Image:
    return load("svgload", data, scale=scale, access="sequential", fail_on="error")


CODEC = Codec(
    loader="svgload",
    open=open_svg,
    check=check_document,
    is_truncated=lambda data, _page: is_truncated(data),
    vector=True,
)
