"""The least that a rendition costs with the libraries that the engine uses: libvips called by hand.

A JPEG is decoded once, as small as its decoder can, and each size is made from the next larger one, which is
held in memory. Nothing is checked, planned or reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyvips

from image_processor.domain.transformation import Transformation

_SHRINKS = (8, 4, 2, 1)
_SAVERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "jpeg": ("jpegsave_buffer", {"Q": 75, "optimize_coding": True}),
        "webp": ("webpsave_buffer", {"Q": 80, "effort": 4}),
    }
)
"""The engine's defaults."""


def render_by_hand(body: bytes, transformations: Sequence[Transformation]) -> list[bytes]:
    """The renditions of a JPEG: of a width, or a square cut from the centre, the largest first."""
    opened = _open(body)
    natural = opened.width, opened.height
    sizes = [_level(natural, transformation) for transformation in transformations]
    shrink = next(shrink for shrink in _SHRINKS if natural[0] // shrink >= sizes[0][0])
    image = _open(body, shrink=shrink) if shrink > 1 else opened
    renditions = []
    for transformation, (width, height) in zip(transformations, sizes, strict=True):
        image = _in_memory(image.resize(width / image.width, vscale=height / image.height))
        part = image
        if transformation.width and transformation.height:
            left, top = (width - transformation.width) // 2, (height - transformation.height) // 2
            part = image.crop(left, top, transformation.width, transformation.height)
        saver, options = _SAVERS[transformation.format]
        renditions.append(pyvips.Operation.call(saver, part, keep="none", **options))
    return renditions


def _open(body: bytes, **options: int) -> pyvips.Image:
    # The engine has closed libvips' other loaders.
    source = pyvips.Source.new_from_memory(body)
    image = pyvips.Operation.call("jpegload_source", source, access="sequential", **options)
    image._references.append(source)  # noqa: SLF001 - as pyvips does where it chooses the loader itself
    return image


def _level(natural: tuple[int, int], transformation: Transformation) -> tuple[int, int]:
    """The size of the whole image from which the rendition is cut."""
    assert transformation.width is not None
    across = transformation.width / natural[0]
    scale = max(across, transformation.height / natural[1]) if transformation.height else across
    return round(natural[0] * scale), round(natural[1] * scale)


def _in_memory(image: pyvips.Image) -> pyvips.Image:
    pixels = image.write_to_memory()
    return pyvips.Image.new_from_memory(pixels, image.width, image.height, image.bands, "uchar").copy(
        interpretation="srgb"
    )
