"""Draws the text of an overlay with Pango, through libvips: wrapped, aligned, coloured, with a shadow.

The result is RGBA, as large as the text's ink; overlay.py positions, rotates and fades it.
"""

from __future__ import annotations

import functools
import math

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.geometry import Size
from image_processor.domain.transformation import (
    MAX_OUTLINE,
    MAX_SHADOW,
    Align,
    Colour,
    Length,
    TextOverlay,
    in_pixels,
)

_ALIGN = {Align.LEFT: "low", Align.CENTRE: "centre", Align.RIGHT: "high"}

_MEASURE_PIXELS = 16
"""The font size at which a text is measured: libvips cannot measure without drawing."""

_TOLERANCE = 1.1
"""How far the measured size may exceed the rendition for the text still to be drawn at full size: glyphs are
hinted to whole pixels, so a measurement is a few percent off, and a line may break elsewhere."""

_SHRINK_STEP = 0.97
"""The factor by which a text that does not fit is made smaller, repeatedly."""


class RasterText(Struct, frozen=True):
    """What an overlay draws, as RGBA with straight alpha. ``ink`` is the size of the part that is positioned,
    in the centre of the image; around it there is only a shadow."""

    image: pyvips.Image
    ink: Size


def render_text(overlay: TextOverlay, size: Size) -> RasterText | None:
    """The text for a rendition of ``size``; None where it has no ink.

    A text that does not fit is made smaller until it does, not counting its shadow: no text takes more
    memory than its rendition. Raises Refused(NO_FONT).
    """
    _require_font()
    box = Size(max(1, min(size.width, in_pixels(overlay.width, size.width))), size.height)
    requested = max(1, in_pixels(overlay.size, size.height))
    pixels = _estimate_pixels(overlay, requested, box)
    drawn = _draw(overlay, pixels, box.width)
    while drawn is not None and pixels > 1 and not _fits(drawn, box):
        pixels = max(1, min(pixels - 1, int(pixels * _SHRINK_STEP)))
        drawn = _draw(overlay, pixels, box.width)
    if drawn is None:
        return None
    if overlay.outline:
        drawn = _outlined(drawn, overlay, pixels)
    shadowed = _shadowed(drawn, overlay, overlay.shadow, pixels) if overlay.shadow else drawn
    return RasterText(shadowed, Size(drawn.width, drawn.height))


def _estimate_pixels(overlay: TextOverlay, requested: int, box: Size) -> int:
    """The largest font size up to ``requested`` at which the text fits ``box``, within _TOLERANCE."""
    if _seems_to_fit(overlay, requested, box):
        return requested
    fitting, too_large = 1, requested
    while too_large - fitting > 1:
        middle = (fitting + too_large) // 2
        if _seems_to_fit(overlay, middle, box):
            fitting = middle
        else:
            too_large = middle
    return fitting


def _seems_to_fit(overlay: TextOverlay, pixels: int, box: Size) -> bool:
    small = min(pixels, _MEASURE_PIXELS)
    ratio = pixels / small
    drawn = _draw(overlay, small, math.ceil(box.width / ratio * _TOLERANCE))
    if drawn is None:
        return True
    over = max(drawn.width * ratio / box.width, drawn.height * ratio / box.height)
    return bool(over <= _TOLERANCE)


def _fits(drawn: pyvips.Image, box: Size) -> bool:
    return bool(drawn.width <= box.width and drawn.height <= box.height)


def _draw(overlay: TextOverlay, pixels: int, width: int) -> pyvips.Image | None:
    """The text at a font size, wrapped at ``width``, as large as its ink; None where it has none."""
    # libvips parses every text as Pango markup, which is also the only way to set a colour.
    import html  # noqa: PLC0415 - 2 ms of process's cold start, for text overlays only

    markup = f'<span foreground="#{overlay.colour}">{html.escape(overlay.text, quote=False)}</span>'
    try:
        return pyvips.Image.text(
            markup,
            font=f"{overlay.font} {pixels}",  # points, which are pixels at 72 dpi
            dpi=72,
            width=width,
            wrap="word-char",
            align=_ALIGN[overlay.align],
            spacing=round(overlay.spacing * pixels),
            rgba=True,
        )
    except pyvips.Error as error:
        if "no text to render" in error.detail:
            return None  # such as a text of invisible characters only
        raise


def _outlined(drawn: pyvips.Image, overlay: TextOverlay, pixels: int) -> pyvips.Image:
    """The text over the area within ``outline`` of its letters, in the outline's colour."""
    reach = max(1, min(MAX_OUTLINE, in_pixels(overlay.outline, pixels)))
    framed = drawn.embed(reach, reach, drawn.width + 2 * reach, drawn.height + 2 * reach).copy_memory()
    colour = overlay.outline_colour
    solid = framed.new_from_image([colour.red, colour.green, colour.blue])
    around = solid.bandjoin(_dilated(framed[3].copy_memory(), reach)).cast("float")
    result = around.copy(interpretation="srgb").composite2(
        framed.cast("float"), "over", compositing_space="srgb"
    )
    return result.rint().cast("uchar").copy_memory()


def _dilated(alpha: pyvips.Image, reach: int) -> pyvips.Image:
    """The largest alpha within ``reach`` pixels: rows of a disc, each the maximum along a line."""
    framed = alpha.embed(reach, reach, alpha.width + 2 * reach, alpha.height + 2 * reach).copy_memory()
    found = alpha
    for down in range(-reach, reach + 1):
        half = math.isqrt(reach * reach - down * down)
        width = 2 * half + 1
        line = framed.crop(reach - half, reach + down, alpha.width + 2 * half, alpha.height)
        # `rank` keeps the size; its middle part sees whole lines.
        widest = line.rank(width, 1, width - 1).crop(half, 0, alpha.width, alpha.height)
        found = found.maxpair(widest)
    return found.cast("uchar")


def _shadowed(drawn: pyvips.Image, overlay: TextOverlay, colour: Colour, pixels: int) -> pyvips.Image:
    """The text over its shadow, in a box for both with the text in its centre."""
    x, y = _distance(overlay.shadow_x, pixels), _distance(overlay.shadow_y, pixels)
    blur = _distance(overlay.shadow_blur, pixels)
    reach = math.ceil(1.5 * blur)  # three standard deviations
    left, top = reach + abs(x), reach + abs(y)
    width, height = drawn.width + 2 * left, drawn.height + 2 * top
    alpha = drawn[3].embed(left + x, top + y, width, height)
    # CSS Backgrounds and Borders 3, 6.1.1: the standard deviation is half the radius.
    soft = alpha.gaussblur(blur / 2, min_ampl=0.02) if blur else alpha
    shadow = soft.new_from_image([colour.red, colour.green, colour.blue]).bandjoin(soft)
    backdrop = shadow.cast("float").copy(interpretation="srgb")
    result = backdrop.composite2(drawn.cast("float"), "over", x=left, y=top, compositing_space="srgb")
    return result.rint().cast("uchar")


def _distance(length: Length, pixels: int) -> int:
    return max(-MAX_SHADOW, min(MAX_SHADOW, in_pixels(length, pixels)))


def _require_font() -> None:
    """Raise Refused(NO_FONT) where fontconfig finds no font at all."""
    if not _has_font():
        raise Refused(
            Reason.NO_FONT,
            "expected a font for text, got none: set IMAGE_PROCESSOR_FONTS to a directory of them",
        )


@functools.cache
def _has_font() -> bool:
    """Without a font Pango draws the same empty box for every character, and reports no error."""
    narrow, wide = (pyvips.Image.text(letter, font="sans 32") for letter in "iW")
    size = narrow.width, narrow.height
    return size != (wide.width, wide.height) or bool((narrow != wide).max())
