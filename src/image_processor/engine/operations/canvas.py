"""The area around an image: the window of a crop, the bars of `contain`, and padding."""

from __future__ import annotations

import pyvips

from image_processor.domain.geometry import Anchor, Box, Placement, Size, offset
from image_processor.domain.transformation import SMART, Blend, Colour, Edge, Length, in_pixels

from .filters import blur
from .pixels import blend, flatten, resize
from .smart import window

_OPAQUE = 255
_BLUR_SHRINK = 8
_BLUR_SIGMA = 0.03  # of the longest side: only colours remain
_VIPS_EXTEND = {Edge.COPY: "copy", Edge.REPEAT: "repeat", Edge.MIRROR: "mirror"}


def crop_box(image: pyvips.Image, placement: Placement, anchor: Anchor) -> Box:
    """The window to crop from a level. A smart gravity chooses it by ``image``, the first frame."""
    level, output = placement.level, placement.output
    smart = anchor.gravity in SMART and level != output
    left, top = window(image, output, anchor.gravity) if smart else offset(level, output, anchor)
    return Box(left, top, output.width, output.height)


def pad_to(
    image: pyvips.Image, size: Size, anchor: Anchor, edge: Edge, background: Colour | None
) -> pyvips.Image:
    """``image`` in a canvas of ``size``, which covers it; bars are transparent where ``background`` is
    None."""
    left, top = offset(size, Size(image.width, image.height), anchor)
    return extend(image, Box(left, top, size.width, size.height), edge, background)


def padded_canvas(size: Size, padding: tuple[Length, Length, Length, Length]) -> Box:
    """The canvas around an image of ``size``; left and top are the image's offset in it. ``padding`` is top,
    right, bottom and left; relative lengths are parts of the image's own sides."""
    top, bottom = (in_pixels(length, size.height) for length in padding[::2])
    right, left = (in_pixels(length, size.width) for length in padding[1::2])
    return Box(left, top, left + size.width + right, top + size.height + bottom)


def extend(image: pyvips.Image, canvas: Box, edge: Edge, background: Colour | None) -> pyvips.Image:
    """``image`` in a canvas of the box's size, at its ``left`` and ``top``."""
    if edge is Edge.BLUR:
        return _over_itself(image, canvas, background)
    if edge is not Edge.BACKGROUND:
        return image.embed(canvas.left, canvas.top, canvas.width, canvas.height, extend=_VIPS_EXTEND[edge])
    if background is None and not image.hasalpha():
        image = image.bandjoin(_OPAQUE)
    fill = [background.red, background.green, background.blue] if background else [0, 0, 0]
    fill += [_OPAQUE if background else 0] if image.hasalpha() else []
    return image.embed(
        canvas.left, canvas.top, canvas.width, canvas.height, extend="background", background=fill
    )


def _over_itself(image: pyvips.Image, canvas: Box, background: Colour | None) -> pyvips.Image:
    """The image over an enlarged and blurred copy of itself that covers the canvas."""
    # Blurred at an eighth of the size: the difference is invisible, and the cost grows with the radius.
    across, down = (max(1, side // _BLUR_SHRINK) for side in (canvas.width, canvas.height))
    small = image.thumbnail_image(across, height=down, crop="centre", size="both")
    blurred = blur(flatten(small, background), _BLUR_SIGMA * max(across, down))
    behind = resize(blurred, canvas.size)
    if not image.hasalpha():
        return behind.insert(image, canvas.left, canvas.top)
    placed = image.embed(canvas.left, canvas.top, canvas.width, canvas.height)
    return blend(behind, placed, Blend.OVER)
