"""What the optional packages hand over: the header as it was seen, and the pixels as a picture."""

from __future__ import annotations

import pyvips
from msgspec import Struct


class PixelLayout(Struct, frozen=True):
    """What a header says of the pixels as they will come: the size of the upright picture, the
    bands of a pixel, libvips' name of a sample's format, and the bytes a pixel that decoding takes."""

    width: int
    height: int
    bands: int
    format: str
    held: float

    @property
    def alpha(self) -> bool:
        return self.bands in {2, 4}


def image_from_pixels(pixels: bytes | memoryview, seen: PixelLayout, profile: bytes | None) -> pyvips.Image:
    """Interleaved ``pixels``, without padding, as a picture that keeps them alive."""
    picture = pyvips.Image.new_from_memory(pixels, seen.width, seen.height, seen.bands, seen.format)
    colours = "srgb" if seen.bands > 2 else "b-w"
    deep = {"srgb": "rgb16", "b-w": "grey16"}
    picture = picture.copy(interpretation=deep[colours] if seen.format == "ushort" else colours)
    if profile:
        picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return picture
