"""What each value of `fit` means, with an example, for docs/transformations.md.

Parameters carry their own meaning and example (domain/transformation). Each example is drawn from one
of the originals of transformation_originals.py.
"""

from __future__ import annotations

from image_processor.domain.transformation import Example

FITS = {
    "cover": ("fill the size and crop the rest", Example("w=160,h=80,fm=webp")),
    "contain": (
        "fit inside the size; fill the rest with bars",
        Example("w=160,h=80,fit=contain,bg=223355,fm=webp"),
    ),
    "fill": ("stretch to the size", Example("w=160,h=80,fit=fill,fm=webp")),
    "inside": ("fit inside the size; no bars", Example("w=160,h=80,fit=inside,fm=webp")),
    "outside": ("cover the size; no crop", Example("w=160,h=80,fit=outside,fm=webp")),
    "fill-down": (
        "as `cover`, but an original smaller than the size is only cropped to its aspect ratio",
        Example("w=320,h=160,fit=fill-down,fm=webp", "tiny"),
    ),
}
