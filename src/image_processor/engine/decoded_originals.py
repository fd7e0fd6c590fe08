"""Render, beside step 2: decoded originals, kept for the renditions that are requested next.

A page offers a photograph in several widths and formats, each a request of its own, and three quarters of
what a small rendition of a JPEG costs is decoding. Only the child that renders on demand keeps originals,
and only while requests follow each other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import pyvips
from msgspec import Struct

from .codecs.codec import FailOn

MAX_BYTES = 32 * 1024**2
"""Bytes of the pixels of all kept originals: of fourteen photographs of 12 megapixels, decoded to a width of
1000, or of three, decoded to 2000."""


class DecodedOriginalKey(Struct, frozen=True):
    """What the pixels of a decoded original depend on: the version of its file, and the options of the
    decoder (as `codecs.decode.open_original`)."""

    version: Hashable
    shrink: int
    first: int
    fail_on: FailOn


class DecodedOriginals:
    """Whole, still, decoded originals in memory. The ones used least recently are dropped where there are
    more than ``max_bytes``. Not thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._images: OrderedDict[DecodedOriginalKey, pyvips.Image] = OrderedDict()

    def get(self, key: DecodedOriginalKey) -> pyvips.Image | None:
        """The image, with the header of its file."""
        image = self._images.get(key)
        if image is not None:
            self._images.move_to_end(key)
        return image

    def accepts(self, image: pyvips.Image) -> bool:
        """Whether ``image`` has 8 bits, and there is room for three like it: it must not drop all others."""
        return image.format == "uchar" and 3 * _pixel_bytes(image) <= self._max_bytes

    def put(self, key: DecodedOriginalKey, image: pyvips.Image) -> None:
        """Keep an accepted image, whose pixels are in memory."""
        self._bytes += _pixel_bytes(image)
        self._images[key] = image
        while self._bytes > self._max_bytes:
            _, dropped = self._images.popitem(last=False)
            self._bytes -= _pixel_bytes(dropped)

    def clear(self) -> None:
        """Drop all images."""
        self._images.clear()
        self._bytes = 0


class KeptOriginal(Struct, frozen=True):
    """One version of an original among those that are kept."""

    originals: DecodedOriginals
    version: Hashable


def _pixel_bytes(image: pyvips.Image) -> int:
    """How many bytes the pixels of an image of 8 bits take."""
    count: int = image.width * image.height * image.bands
    return count
