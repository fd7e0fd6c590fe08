"""Draws text with Pango, through libvips: wrapped, aligned, in colour, with its shadow.

Position, turning and opacity are the overlay's; here a text becomes RGBA, as large as its ink.
"""

from __future__ import annotations

import functools
import math

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.geometry import Size
from image_processor.domain.transformation import MAX_SHADOW, Align, Colour, Length, TextOverlay, in_pixels

_ALIGN = {Align.LEFT: "low", Align.CENTRE: "centre", Align.RIGHT: "high"}

_SMALL = 16
"""The size in pixels at which a text is measured: libvips cannot measure without drawing."""

_SLACK = 1.1
"""By how much a text that was measured small may be over the rendition and yet be drawn to see: glyphs
are fitted to whole pixels, so that a measure is a few percent off, and a line may break elsewhere."""

_STEP = 0.97
"""By how much a text that was drawn and does not fit becomes smaller at a time."""


class RasterText(Struct, frozen=True):
    """Something to lay, as RGBA with straight alpha. ``ink`` is the size of what has a place, in the
    middle of the picture; around it there is only a shadow."""

    picture: pyvips.Image
    ink: Size


def render_text(overlay: TextOverlay, size: Size) -> RasterText | None:
    """The text for a rendition of ``size``; None where it has no ink.

    A text that does not fit is made smaller until it does, but for its shadow: no text takes more
    memory than its rendition. Raises Refused(NO_FONT).
    """
    _require_font()
    box = Size(max(1, min(size.width, in_pixels(overlay.width, size.width))), size.height)
    wanted = max(1, in_pixels(overlay.size, size.height))
    pixels = _about(overlay, wanted, box)
    drawn = _draw(overlay, pixels, box.width)
    while drawn is not None and pixels > 1 and not _fits(drawn, box):
        pixels = max(1, min(pixels - 1, int(pixels * _STEP)))
        drawn = _draw(overlay, pixels, box.width)
    if drawn is None:
        return None
    shadowed = _shadowed(drawn, overlay, overlay.shadow, pixels) if overlay.shadow else drawn
    return RasterText(shadowed, Size(drawn.width, drawn.height))


def _about(overlay: TextOverlay, wanted: int, box: Size) -> int:
    """The largest size up to ``wanted`` at which the text fits ``box``, give or take _SLACK."""
    if _fits_about(overlay, wanted, box):
        return wanted
    fitting, too_large = 1, wanted
    while too_large - fitting > 1:
        middle = (fitting + too_large) // 2
        if _fits_about(overlay, middle, box):
            fitting = middle
        else:
            too_large = middle
    return fitting


def _fits_about(overlay: TextOverlay, pixels: int, box: Size) -> bool:
    small = min(pixels, _SMALL)
    ratio = pixels / small
    drawn = _draw(overlay, small, math.ceil(box.width / ratio * _SLACK))
    if drawn is None:
        return True
    over = max(drawn.width * ratio / box.width, drawn.height * ratio / box.height)
    return bool(over <= _SLACK)


def _fits(drawn: pyvips.Image, box: Size) -> bool:
    return bool(drawn.width <= box.width and drawn.height <= box.height)


def _draw(overlay: TextOverlay, pixels: int, width: int) -> pyvips.Image | None:
    """The text at a size, wrapped at ``width``, as large as its ink."""
    import html  # noqa: PLC0415 - a millisecond of a cold start, which seldom draws a text

    # libvips reads every text as Pango's markup; colour has no other way in.
    markup = f'<span foreground="#{overlay.colour}">{html.escape(overlay.text, quote=False)}</span>'
    try:
        return pyvips.Image.text(
            markup,
            font=f"{overlay.font} {pixels}",  # points, of which 72 dpi make pixels
            dpi=72,
            width=width,
            wrap="word-char",
            align=_ALIGN[overlay.align],
            spacing=round(overlay.spacing * pixels),
            rgba=True,
        )
    except pyvips.Error as error:
        if "no text to render" in error.detail:
            return None  # such as a text of invisible characters alone
        raise


def _shadowed(drawn: pyvips.Image, overlay: TextOverlay, colour: Colour, pixels: int) -> pyvips.Image:
    """The text over its shadow, in a box for both that has the text in its middle."""
    x, y = _distance(overlay.shadow_x, pixels), _distance(overlay.shadow_y, pixels)
    blur = _distance(overlay.shadow_blur, pixels)
    reach = math.ceil(1.5 * blur)  # three standard deviations
    left, top = reach + abs(x), reach + abs(y)
    width, height = drawn.width + 2 * left, drawn.height + 2 * top
    alpha = drawn[3].embed(left + x, top + y, width, height)
    # CSS Backgrounds and Borders 3, 6.1.1: the standard deviation is half the radius.
    soft = alpha.gaussblur(blur / 2, min_ampl=0.02) if blur else alpha
    shadow = soft.new_from_image([colour.red, colour.green, colour.blue]).bandjoin(soft)
    ground = shadow.cast("float").copy(interpretation="srgb")
    laid = ground.composite2(drawn.cast("float"), "over", x=left, y=top, compositing_space="srgb")
    return laid.rint().cast("uchar")


def _distance(length: Length, pixels: int) -> int:
    return max(-MAX_SHADOW, min(MAX_SHADOW, in_pixels(length, pixels)))


def _require_font() -> None:
    """Raise Refused(NO_FONT) where fontconfig has found no font at all."""
    if not _has_font():
        raise Refused(
            Reason.NO_FONT,
            "expected a font for text, got none: set IMAGE_PROCESSOR_FONTS to a directory of them",
        )


@functools.cache
def _has_font() -> bool:
    """Without a font Pango draws one and the same empty box for every character, and tells nobody."""
    one, other = (pyvips.Image.text(letter, font="sans 32") for letter in "Wi")
    size = one.width, one.height
    return size != (other.width, other.height) or bool((one != other).max())
