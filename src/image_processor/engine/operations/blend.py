"""One layer on a picture: W3C's Compositing and Blending Level 1, in sRGB, in floats, rounded once.

libvips' composite is right only between opaque pictures: of a translucent layer all modes but
`over` use the alpha twice (libvips issue 4614), and whole numbers are cut off, not rounded.
"""

from __future__ import annotations

import pyvips

from image_processor.domain.transformation import Blend

_WHITE = 255


def blend(backdrop: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """``source`` over all of ``backdrop``, both of one size: uchar, the source with straight alpha,
    the backdrop with or without, and the result like the backdrop."""
    colours = source[:3] if mode is Blend.OVER else _mixed(backdrop, source[:3], mode)
    layer = _floats(colours.bandjoin(source[3]))
    laid = _floats(backdrop).composite2(layer, "over", compositing_space="srgb").rint().cast("uchar")
    return laid if backdrop.hasalpha() else laid[:3]


def _mixed(backdrop: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """The source's colours, mixed with those below it as far as there is something: 5.8.1, Cs."""
    below = backdrop[:3]
    mixed = _opaque(below, source, mode)
    if not backdrop.hasalpha():
        return mixed
    covered = backdrop[3] / _WHITE
    return source * (covered * -1 + 1) + mixed * covered


def _opaque(below: pyvips.Image, source: pyvips.Image, mode: Blend) -> pyvips.Image:
    """B(cb, cs) of chapter 9. libvips has the older rule for 0/0 in dodge and burn."""
    mixed = _floats(below).composite2(_floats(source), str(mode), compositing_space="srgb")[:3]
    if mode is Blend.COLOUR_DODGE:
        return (below == 0).ifthenelse(0, mixed)
    if mode is Blend.COLOUR_BURN:
        return (below == _WHITE).ifthenelse(_WHITE, mixed)
    return mixed


def _floats(picture: pyvips.Image) -> pyvips.Image:
    return picture.cast("float").copy(interpretation="srgb")
