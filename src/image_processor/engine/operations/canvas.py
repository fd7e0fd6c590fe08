"""What is round a picture: the window that a crop leaves, the bars of `contain`, and padding."""

from __future__ import annotations

import pyvips

from image_processor.domain.geometry import Anchor, Box, Placement, Size, offset
from image_processor.domain.transformation import SMART, Blend, Colour, Edge, Length, in_pixels

from .blend import blend
from .filters import blur
from .pixels import flatten, resize
from .smart import window

_OPAQUE = 255
_BLUR_SHRINK = 8
_BLUR_PART = 0.03  # of the longest side: so much that only colours are left
_VIPS_EXTEND = {Edge.COPY: "copy", Edge.REPEAT: "repeat", Edge.MIRROR: "mirror"}


def crop_box(picture: pyvips.Image, placement: Placement, anchor: Anchor) -> Box:
    """What is cut out of a level, judged by ``picture``, its first frame."""
    level, output = placement.level, placement.output
    smart = anchor.gravity in SMART and level != output
    left, top = window(picture, output, anchor.gravity) if smart else offset(level, output, anchor)
    return Box(left, top, output.width, output.height)


def pad_to(
    picture: pyvips.Image, size: Size, anchor: Anchor, edge: Edge, background: Colour | None
) -> pyvips.Image:
    """In a canvas of ``size`` that covers it; bars are transparent where ``background`` is None."""
    left, top = offset(size, Size(picture.width, picture.height), anchor)
    return extend(picture, Box(left, top, size.width, size.height), edge, background)


def padded(size: Size, padding: tuple[Length, Length, Length, Length]) -> Box:
    """The canvas round a picture of ``size``, and where in it the picture stands. ``padding`` is top,
    right, bottom and left; shares are of the picture's own sides."""
    top, bottom = (in_pixels(length, size.height) for length in padding[::2])
    right, left = (in_pixels(length, size.width) for length in padding[1::2])
    return Box(left, top, left + size.width + right, top + size.height + bottom)


def extend(picture: pyvips.Image, canvas: Box, edge: Edge, background: Colour | None) -> pyvips.Image:
    """A canvas with the picture at ``canvas.left`` and ``canvas.top`` of it."""
    if edge is Edge.BLUR:
        return _over_itself(picture, canvas, background)
    if edge is not Edge.BACKGROUND:
        return picture.embed(canvas.left, canvas.top, canvas.width, canvas.height, extend=_VIPS_EXTEND[edge])
    if background is None and not picture.hasalpha():
        picture = picture.bandjoin(_OPAQUE)
    ink = [background.red, background.green, background.blue] if background else [0, 0, 0]
    ink += [_OPAQUE if background else 0] if picture.hasalpha() else []
    return picture.embed(
        canvas.left, canvas.top, canvas.width, canvas.height, extend="background", background=ink
    )


def _over_itself(picture: pyvips.Image, canvas: Box, background: Colour | None) -> pyvips.Image:
    """The picture over an enlarged and blurred copy of itself that covers the canvas."""
    # Blurred while it is small: nobody can tell, and the cost grows with the radius.
    across, down = (max(1, side // _BLUR_SHRINK) for side in (canvas.width, canvas.height))
    small = picture.thumbnail_image(across, height=down, crop="centre", size="both")
    blurred = blur(flatten(small, background), _BLUR_PART * max(across, down))
    behind = resize(blurred, canvas.size)
    if not picture.hasalpha():
        return behind.insert(picture, canvas.left, canvas.top)
    placed = picture.embed(canvas.left, canvas.top, canvas.width, canvas.height)
    return blend(behind, placed, Blend.OVER)
