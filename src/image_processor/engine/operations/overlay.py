"""Lays images and texts over a rendition's frames. What is laid is prepared once for a size of
rendition: scaled, turned, repeated and cut to what can be seen; then it is laid on each frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Size, shrink_on_load
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Blend, Gravity, ImageOverlay, Length, Overlay, in_pixels
from image_processor.engine.codecs.decode import open_original, refusing, without_bands
from image_processor.engine.codecs.probe import probe

from . import pixels as steps
from .blend import blend
from .text import RasterText, render_text

OverlayImages = Mapping[str, pyvips.Image]
"""The images to lay, by key: plain memory, with 3 or 4 bands."""

_LONGEST_MARK = 4096
"""Longer sides are scaled down to this when a mark is opened: it is held whole, for all renditions."""

_OPAQUE = 255


class Layer(Struct, frozen=True):
    """Something to lay: RGBA in memory, wholly inside the rendition, at ``left`` and ``top``."""

    picture: pyvips.Image
    left: int
    top: int
    blend: Blend


def decode_overlay_images(bodies: Mapping[str, bytes], limits: Limits) -> OverlayImages:
    """Decode the images that overlays name: sRGB, upright, the first frame, sides of at most 4096.

    Raises Refused(OVERLAY_REFUSED) that names the key and what `probe` or the decoder found.
    """
    return {key: _open(key, body, limits) for key, body in bodies.items()}


def prepare(overlays: Iterable[Overlay], size: Size, images: OverlayImages) -> tuple[Layer, ...]:
    """What ``overlays`` come to on renditions of ``size``, in order, without those that show nothing.

    Raises Refused: OVERLAY_MISSING where ``images`` lacks a key, NO_FONT where texts have none.
    """
    layers = (_layer(overlay, size, images) for overlay in overlays)
    return tuple(layer for layer in layers if layer)


def composite(frame: pyvips.Image, prepared: Sequence[Layer]) -> pyvips.Image:
    """``frame`` (uchar sRGB, 3 bands or 4 with straight alpha) with every layer; bands stay as they are."""
    for layer in prepared:
        picture = layer.picture
        below = frame.crop(layer.left, layer.top, picture.width, picture.height)
        frame = frame.insert(blend(below, picture, layer.blend), layer.left, layer.top)
    return frame


def _open(key: str, body: bytes, limits: Limits) -> pyvips.Image:
    try:
        return _decode(body, limits)
    except Refused as refused:
        raise Refused(Reason.OVERLAY_REFUSED, f"{refused.message} ({refused.reason}) in {key!r}") from None


def _decode(body: bytes, limits: Limits) -> pyvips.Image:
    header = probe(body, limits)
    format_ = FORMATS[header.format]
    size = _inside(header.stored, Size(_LONGEST_MARK, _LONGEST_MARK), enlarge=False)
    shrink = shrink_on_load(header.stored, size)
    opened = without_bands(open_original(body, format_, shrink=shrink), header.idle_bands)
    with refusing(format_):
        # Turning needs any line at any time, and the orientation, which `materialise` drops.
        upright = steps.to_srgb(steps.resize(opened, size)).copy_memory().autorot()
        return steps.drop_opaque_alpha(steps.materialise(upright))


def _layer(overlay: Overlay, size: Size, images: OverlayImages) -> Layer | None:
    if overlay.opacity == 0:
        return None
    drawn = _mark(overlay, size, images) if isinstance(overlay, ImageOverlay) else render_text(overlay, size)
    if drawn is None:
        return None
    turned = _turned(drawn.picture, overlay.rotate)
    left, top = _position(overlay, size, turned, _turned_size(drawn.ink, overlay.rotate))
    if overlay.tile:
        gaps = in_pixels(overlay.gap, size.width), in_pixels(overlay.gap, size.height)
        turned, left, top = _tiled(turned, (left, top), gaps, size), 0, 0
    return _visible(_faded(turned, overlay.opacity), (left, top), size, overlay.blend)


def _mark(overlay: ImageOverlay, size: Size, images: OverlayImages) -> RasterText:
    mark = images.get(overlay.image)
    if mark is None:
        raise Refused(Reason.OVERLAY_MISSING, f"expected an image to lay over, got none at {overlay.image!r}")
    given = overlay.width is not None or overlay.height is not None
    box = Size(_side(overlay.width, size.width), _side(overlay.height, size.height))
    scaled = steps.resize(mark, _inside(Size(mark.width, mark.height), box, enlarge=given))
    opaque = scaled if scaled.hasalpha() else scaled.bandjoin(_OPAQUE)
    return RasterText(opaque, Size(scaled.width, scaled.height))


def _side(length: Length | None, side: int) -> int:
    return side if length is None else max(1, min(side, in_pixels(length, side)))


def _inside(natural: Size, box: Size, *, enlarge: bool) -> Size:
    """``natural`` in its own proportions as large as ``box`` allows; sides rounded half up."""
    if not enlarge and box.covers(natural):
        return natural
    # Of a / b and c / d the smaller one, in whole numbers: exact, and the box's side is met.
    if box.width * natural.height <= box.height * natural.width:
        return Size(box.width, _share(natural.height, box.width, natural.width))
    return Size(_share(natural.width, box.height, natural.height), box.height)


def _share(side: int, part: int, whole: int) -> int:
    return max(1, (2 * side * part + whole) // (2 * whole))


def _turned(drawn: pyvips.Image, degrees: float) -> pyvips.Image:
    """Clockwise, in the box that it then needs. Quarters are exact."""
    if degrees % 90 == 0:
        return (
            (drawn, drawn.rot90(), drawn.rot180(), drawn.rot270())[int(degrees // 90)] if degrees else drawn
        )
    # libvips weights colours by alpha here itself. A transparent border, without which it cuts the
    # edge off hard; floats, since it cuts off what is behind the point.
    framed = drawn.embed(1, 1, drawn.width + 2, drawn.height + 2).cast("float").copy_memory()
    turned = framed.rotate(degrees, interpolate=pyvips.Interpolate.new("bicubic"), background=[0.0] * 4)
    return turned.rint().cast("uchar")


def _turned_size(size: Size, degrees: float) -> Size:
    """The box around a rectangle of ``size`` that is turned."""
    if degrees % 90 == 0:
        return size if degrees % 180 == 0 else size.turned()
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    return Size(
        math.ceil(size.width * cosine + size.height * sine),
        math.ceil(size.height * cosine + size.width * sine),
    )


def _position(overlay: Overlay, size: Size, turned: pyvips.Image, box: Size) -> tuple[int, int]:
    """Left and top of ``turned``, in whose middle ``box`` is what gravity and offsets speak of."""
    x, y = in_pixels(overlay.x, size.width), in_pixels(overlay.y, size.height)
    left = _along(size.width - box.width, x, overlay.gravity, ("west", "east"))
    top = _along(size.height - box.height, y, overlay.gravity, ("north", "south"))
    return left - (turned.width - box.width) // 2, top - (turned.height - box.height) // 2


def _along(free: int, offset: int, gravity: Gravity, ends: tuple[str, str]) -> int:
    start, end = ends
    if start in gravity:
        return offset
    return free - offset if end in gravity else free // 2 + offset


def _tiled(one: pyvips.Image, at: tuple[int, int], gaps: tuple[int, int], size: Size) -> pyvips.Image:
    """A picture of ``size`` full of ``one``, of which one lies ``at`` that place."""
    width, height = one.width + gaps[0], one.height + gaps[1]
    cell = one.embed(0, 0, width, height)
    left, top = -at[0] % width, -at[1] % height
    across, down = -(-(left + size.width) // width), -(-(top + size.height) // height)
    return cell.copy_memory().replicate(across, down).crop(left, top, size.width, size.height)


def _faded(picture: pyvips.Image, opacity: int) -> pyvips.Image:
    if opacity == 100:
        return picture
    return picture[:3].bandjoin((picture[3] * (opacity / 100)).rint().cast("uchar"))


def _visible(picture: pyvips.Image, at: tuple[int, int], size: Size, mode: Blend) -> Layer | None:
    """The part inside a rendition of ``size``, None where there is none."""
    left, top = max(0, at[0]), max(0, at[1])
    right, bottom = min(size.width, at[0] + picture.width), min(size.height, at[1] + picture.height)
    if left >= right or top >= bottom:
        return None
    seen = picture.crop(left - at[0], top - at[1], right - left, bottom - top)
    return Layer(steps.materialise(seen), left, top, mode)
