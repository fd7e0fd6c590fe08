"""Overlays: draws images and texts over a rendition's frames. Each overlay becomes a `Layer` once for a
size of rendition (scaled, rotated, repeated, cut to what is visible), and is then drawn on every frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Anchor, Size, offset, shrink_on_load
from image_processor.domain.models import Limits
from image_processor.domain.transformation import (
    Blend,
    Flip,
    Gravity,
    ImageOverlay,
    Length,
    Overlay,
    OverlayFit,
    in_pixels,
)
from image_processor.engine.codecs.codec import ShrinkOnLoad
from image_processor.engine.codecs.decode import (
    open_original,
    raise_late_warning,
    translate_errors,
    without_bands,
)
from image_processor.engine.codecs.probe import ImageHeader, decode_tolerantly, probe

from . import pixels
from .text import RasterText, render_text

OverlayImages = Mapping[str, pyvips.Image]
"""Decoded overlay images by key: in memory, with 3 or 4 bands."""

_MAX_IMAGE_SIDE = 4096
"""An overlay image with a longer side is scaled down to this: all renditions of a run share it in memory."""

_OPAQUE = 255


class Layer(Struct, frozen=True):
    """An RGBA image in memory, completely inside the rendition, drawn at ``left`` and ``top``."""

    image: pyvips.Image
    left: int
    top: int
    blend: Blend


def decode_overlay_images(bodies: Mapping[str, bytes], limits: Limits) -> OverlayImages:
    """Decode the images that overlays name: sRGB, upright, the first frame, sides of at most 4096 pixels.

    Raises Refused(OVERLAY_REFUSED) that names the key and the reason of `probe` or the decoder.
    """
    return {key: _decode_named(key, body, limits) for key, body in bodies.items()}


def prepare(overlays: Iterable[Overlay], size: Size, images: OverlayImages) -> tuple[Layer, ...]:
    """The layers of ``overlays`` for renditions of ``size``, in order, without invisible ones.

    Raises Refused: OVERLAY_MISSING where ``images`` lacks a key, NO_FONT where a text finds no font.
    """
    layers = (_layer(overlay, size, images) for overlay in overlays)
    return tuple(layer for layer in layers if layer)


def composite(frame: pyvips.Image, layers: Sequence[Layer]) -> pyvips.Image:
    """Draw ``layers`` on ``frame`` (uchar sRGB, 3 bands or 4 with straight alpha); its bands are kept, but a
    mask adds alpha."""
    for layer in layers:
        image = layer.image
        if layer.blend is Blend.MASK:
            placed = image.embed(layer.left, layer.top, frame.width, frame.height)
            frame = pixels.mask(frame, placed).copy_memory()
            continue
        below = frame.crop(layer.left, layer.top, image.width, image.height)
        frame = frame.insert(pixels.blend(below, image, layer.blend), layer.left, layer.top)
    return frame


def _decode_named(key: str, body: bytes, limits: Limits) -> pyvips.Image:
    try:
        return _decode(body, limits)
    except Refused as refused:
        raise Refused(Reason.OVERLAY_REFUSED, f"{refused.message} ({refused.reason}) in {key!r}") from None


def _decode(body: bytes, limits: Limits) -> pyvips.Image:
    header = probe(body, limits)
    format_ = FORMATS[header.format]
    size = _fit_inside(header.stored, Size(_MAX_IMAGE_SIDE, _MAX_IMAGE_SIDE), enlarge=False)
    is_shrinkable = header.shrink_on_load is not ShrinkOnLoad.NONE
    shrink = shrink_on_load(header.stored, size) if is_shrinkable else 1

    def decode(readable: ImageHeader) -> pyvips.Image:
        whole = open_original(body, format_, shrink=shrink, fail_on=readable.fail_on)
        opened = without_bands(whole, header.idle_bands)
        with translate_errors(format_, readable.fail_on):
            # autorot needs random access, and the orientation, which `materialise` drops.
            decoded = pixels.to_srgb(pixels.resize(opened, size)).copy_memory()
            raise_late_warning(format_, readable.fail_on)
            upright = decoded.autorot()
            return pixels.drop_opaque_alpha(pixels.materialise(upright))

    return decode_tolerantly(header, limits, decode)


def _layer(overlay: Overlay, size: Size, images: OverlayImages) -> Layer | None:
    if overlay.opacity == 0:
        return None
    if isinstance(overlay, ImageOverlay):
        drawn: RasterText | None = _scaled_image(overlay, size, images)
    else:
        drawn = render_text(overlay, size)
    if drawn is None:
        return None
    rotated = _rotated(drawn.image, overlay.rotate)
    left, top = _position(overlay, size, rotated, _rotated_size(drawn.ink, overlay.rotate))
    if overlay.tile:
        gaps = in_pixels(overlay.gap, size.width), in_pixels(overlay.gap, size.height)
        rotated, left, top = _tiled(rotated, (left, top), gaps, size), 0, 0
    if overlay.spread is not None:
        rotated, left, top = _spread(rotated, (left, top), overlay.spread, size)
    return _visible_layer(_faded(rotated, overlay.opacity), (left, top), size, overlay.blend)


def _scaled_image(overlay: ImageOverlay, size: Size, images: OverlayImages) -> RasterText:
    image = images.get(overlay.image)
    if image is None:
        raise Refused(Reason.OVERLAY_MISSING, f"expected an image to lay over, got none at {overlay.image!r}")
    has_size = overlay.width is not None or overlay.height is not None
    box = Size(_side(overlay.width, size.width), _side(overlay.height, size.height))
    scaled = _fitted(image, box, overlay, has_size=has_size)
    with_alpha = scaled if scaled.hasalpha() else scaled.bandjoin(_OPAQUE)
    return RasterText(with_alpha, Size(scaled.width, scaled.height))


def _fitted(image: pyvips.Image, box: Size, overlay: ImageOverlay, *, has_size: bool) -> pyvips.Image:
    natural = Size(*(max(1, round(side * overlay.zoom)) for side in (image.width, image.height)))
    if overlay.fit is OverlayFit.FILL:
        return pixels.resize(image, box)
    if overlay.fit is not OverlayFit.COVER:
        enlarge = has_size and overlay.fit is OverlayFit.INSIDE
        return pixels.resize(image, _fit_inside(natural, box, enlarge=enlarge))
    # The box in the image's scale, so that only the part that is kept is scaled.
    part = _fit_inside(box, natural, enlarge=True)
    left, top = offset(natural, part, Anchor(overlay.crop))
    return pixels.resize(image.crop(left, top, part.width, part.height), box)


def _side(length: Length | None, side: int) -> int:
    return side if length is None else max(1, min(side, in_pixels(length, side)))


def _fit_inside(natural: Size, box: Size, *, enlarge: bool) -> Size:
    """``natural`` in its own proportions as large as ``box`` allows; sides rounded half up."""
    if not enlarge and box.covers(natural):
        return natural
    # The smaller of a / b and c / d in integers: exact, so that one side of the box is met.
    if box.width * natural.height <= box.height * natural.width:
        return Size(box.width, _proportional(natural.height, box.width, natural.width))
    return Size(_proportional(natural.width, box.height, natural.height), box.height)


def _proportional(side: int, numerator: int, denominator: int) -> int:
    return max(1, (2 * side * numerator + denominator) // (2 * denominator))


def _rotated(image: pyvips.Image, degrees: float) -> pyvips.Image:
    """Rotated clockwise, in the box that it then needs. Multiples of 90 degrees are exact."""
    if degrees == 0:
        return image
    if degrees % 90 == 0:
        return (image, image.rot90(), image.rot180(), image.rot270())[int(degrees // 90)]
    # libvips premultiplies here itself. The transparent border antialiases the edge; floats, since libvips
    # truncates.
    framed = image.embed(1, 1, image.width + 2, image.height + 2).cast("float").copy_memory()
    rotated = framed.rotate(degrees, interpolate=pyvips.Interpolate.new("bicubic"), background=[0.0] * 4)
    return rotated.rint().cast("uchar")


def _rotated_size(size: Size, degrees: float) -> Size:
    """The bounding box of a rectangle of ``size`` that is rotated."""
    if degrees % 90 == 0:
        return size if degrees % 180 == 0 else size.turned()
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    return Size(
        math.ceil(size.width * cosine + size.height * sine),
        math.ceil(size.height * cosine + size.width * sine),
    )


def _position(overlay: Overlay, size: Size, rotated: pyvips.Image, box: Size) -> tuple[int, int]:
    """Left and top of ``rotated``. Gravity and offsets position ``box``, which is centred in it."""
    x, y = in_pixels(overlay.x, size.width), in_pixels(overlay.y, size.height)
    left = _along(size.width - box.width, x, overlay.gravity, ("west", "east"))
    top = _along(size.height - box.height, y, overlay.gravity, ("north", "south"))
    return left - (rotated.width - box.width) // 2, top - (rotated.height - box.height) // 2


def _along(free: int, offset: int, gravity: Gravity, ends: tuple[str, str]) -> int:
    start, end = ends
    if start in gravity:
        return offset
    return free - offset if end in gravity else free // 2 + offset


def _tiled(tile: pyvips.Image, at: tuple[int, int], gaps: tuple[int, int], size: Size) -> pyvips.Image:
    """An image of ``size`` filled with copies of ``tile``, one of them at the position ``at``."""
    width, height = tile.width + gaps[0], tile.height + gaps[1]
    cell = tile.embed(0, 0, width, height)
    left, top = -at[0] % width, -at[1] % height
    across, down = -(-(left + size.width) // width), -(-(top + size.height) // height)
    return cell.copy_memory().replicate(across, down).crop(left, top, size.width, size.height)


def _spread(
    image: pyvips.Image, at: tuple[int, int], axes: Flip, size: Size
) -> tuple[pyvips.Image, int, int]:
    """Whole copies along ``axes``, the first and the last at the edges of ``size``, with equal gaps (CSS
    Backgrounds and Borders Level 3, `background-repeat: space`); and where they begin."""
    left, top = at
    if "h" in axes:
        image, left = _in_row(image, size.width), 0
    if "v" in axes:
        image, top = _in_row(image.rot270(), size.height).rot90(), 0
    return image, left, top


def _in_row(image: pyvips.Image, width: int) -> pyvips.Image:
    count = max(1, width // image.width)
    gap = (width - count * image.width) // (count - 1) if count > 1 else 0
    cell = image.embed(0, 0, image.width + gap, image.height).copy_memory()
    return cell.replicate(count, 1).crop(0, 0, count * cell.width - gap, image.height)


def _faded(image: pyvips.Image, opacity: int) -> pyvips.Image:
    if opacity == 100:
        return image
    return image[:3].bandjoin((image[3] * (opacity / 100)).rint().cast("uchar"))


def _visible_layer(image: pyvips.Image, at: tuple[int, int], size: Size, mode: Blend) -> Layer | None:
    """The part inside a rendition of ``size``, None where there is none."""
    left, top = max(0, at[0]), max(0, at[1])
    right, bottom = min(size.width, at[0] + image.width), min(size.height, at[1] + image.height)
    if left >= right or top >= bottom:
        return None
    visible = image.crop(left - at[0], top - at[1], right - left, bottom - top)
    return Layer(pixels.materialise(visible), left, top, mode)
