"""Render, step 3: the steps of a rendition (`then`), each an operation on all frames, in the order given.

`STEP_OPERATIONS` is the registry: one row for each kind of step in domain/transformation/step.py, except
`smart`, which looks at all frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pyvips

from image_processor.domain.geometry import Size, region_box, tilted
from image_processor.domain.transformation import Backdrop, Blend, Colour, Flip, Step, in_pixels

from . import channels, filters, masks, pixels, smart, tone
from .overlay import OverlayImages, composite, prepare

Frames = list[pyvips.Image]
FrameOperation = Callable[[pyvips.Image, Any], pyvips.Image]
"""Takes one frame and the step's value."""

_OPAQUE = 255


def apply_steps(frames: Frames, steps: Iterable[Step], images: OverlayImages) -> Frames:
    """The frames after ``steps``: uchar sRGB with 3 bands, or 4 with straight alpha, all of one size.

    ``images`` are the decoded overlay images. Raises Refused as `overlay.prepare` does.
    """
    for step in steps:
        if step.overlay is not None:
            layers = prepare([step.overlay], Size(frames[0].width, frames[0].height), images)
            frames = [composite(frame, layers) for frame in frames]
            continue
        if step.name == "smart":
            frames = _smart(frames, step.value)
            continue
        operation = STEP_OPERATIONS[step.name]
        # Several steps read more than one pixel for each pixel: computed once, not for every reader.
        frames = [operation(frame.copy_memory(), step.value) for frame in frames]
    return frames


def _smart(frames: Frames, value: Any) -> Frames:
    """One window for all frames, or an animation would jump."""
    whole = Size(frames[0].width, frames[0].height)
    size = whole.within(Size(*value[:2]))
    left, top = smart.window(frames[0].copy_memory(), size, value[2])
    return [frame.crop(left, top, size.width, size.height) for frame in frames]


def _crop(frame: pyvips.Image, value: Any) -> pyvips.Image:
    box = region_box(value, Size(frame.width, frame.height))
    assert box is not None  # `plan_job` has checked it
    return frame.crop(box.left, box.top, box.width, box.height)


def _resize(frame: pyvips.Image, value: Any) -> pyvips.Image:
    return pixels.resize(frame, Size(*value))


def _canvas(frame: pyvips.Image, value: Any) -> pyvips.Image:
    width, height, left, top, *colour = value
    background = _with_alpha(frame, colour)
    fill = _pixel(colour[0] if colour else None, background.bands)
    return background.embed(left, top, width, height, extend="background", background=fill)


_BACKDROP_SIGMA = 27
"""thumbor's `fill(blur)`: a Gaussian of sigma 50 that is cut off at 50 pixels has this standard deviation."""


def _backdrop(frame: pyvips.Image, value: Any) -> pyvips.Image:
    width, height, left, top, kind = value
    size = Size(width, height)
    if kind is Backdrop.MEAN:
        mean = [int(frame[band].avg()) for band in range(3)]
        behind = (pyvips.Image.black(width, height, bands=3) + mean).cast("uchar").copy(interpretation="srgb")
    else:
        behind = pixels.resize(filters.blur(frame, _BACKDROP_SIGMA), size)
    placed = _canvas(frame, (width, height, left, top))
    return pixels.blend(behind, placed, Blend.OVER)


def _rotate(frame: pyvips.Image, value: Any) -> pyvips.Image:
    quarters, rest = divmod(value[0] % 360, 90)
    turned = (frame, frame.rot90(), frame.rot180(), frame.rot270())[int(quarters)]
    if not rest:
        return turned
    size = Size(turned.width, turned.height)
    rotated = pixels.fine_rotation(turned.copy_memory(), rest, tilted(size, rest), size)
    return pixels.flatten(rotated, value[1]) if len(value) > 1 else rotated


def _flip(frame: pyvips.Image, value: Flip) -> pyvips.Image:
    across = frame.fliphor() if "h" in value else frame
    return across.flipver() if "v" in value else across


def _median(frame: pyvips.Image, value: int) -> pyvips.Image:
    return filters.median(frame, value)


def _convolve(frame: pyvips.Image, value: Any) -> pyvips.Image:
    columns, divide, *numbers = value
    return filters.correlate(frame, numbers, columns, divide=divide)


def _round(frame: pyvips.Image, value: Any) -> pyvips.Image:
    side = min(frame.width, frame.height)
    first, second, third, fourth = (in_pixels(radius, side) for radius in value)
    return masks.round_corners(frame, (first, second, third, fourth))


def _along(frame: pyvips.Image, degrees: float) -> pyvips.Image:
    """How far each pixel lies in a direction, downwards at 0 degrees: -0.5 and 0.5 are the edges."""
    radians = math.radians(degrees)
    position = pyvips.Image.xyz(frame.width, frame.height)
    across, down = -math.sin(radians), math.cos(radians)
    reach = abs(across) * frame.width + abs(down) * frame.height
    along = (position[0] + 0.5 - frame.width / 2) * across + (position[1] + 0.5 - frame.height / 2) * down
    return along / reach


def _gradient(frame: pyvips.Image, value: Any) -> pyvips.Image:
    opacity, colour, degrees, start, stop = value
    share = (_along(frame, degrees) + 0.5 - start) / max(stop - start, 1e-6)
    strength = share.maxpair(0).minpair(1) * opacity
    plain = frame[:3]
    mixed = plain + (strength * -1 * plain) + strength * [colour.red, colour.green, colour.blue]
    return tone.with_alpha(mixed.rint().cast("uchar"), frame)


def _colour(frame: pyvips.Image, value: Any) -> pyvips.Image:
    colour, percent, mode = value
    return _over(frame, colour, (pyvips.Image.black(frame.width, frame.height) + 255 * percent / 100), mode)


def _border(frame: pyvips.Image, value: Any) -> pyvips.Image:
    *sides, colour, percent = value[:6]
    top, right, bottom, left = sides
    inner = masks.inner_area(frame.width, frame.height, (top, right, bottom, left), value[6:] or None)
    return _over(frame, colour, (inner * -1 + _OPAQUE) * (percent / 100), Blend.OVER)


def _pad(frame: pyvips.Image, value: Any) -> pyvips.Image:
    top, right, bottom, left, *colour = value
    size = (frame.width + left + right, frame.height + top + bottom)
    return _canvas(frame, (*size, left, top, *colour))


def _behind_translucent(frame: pyvips.Image, value: Any) -> pyvips.Image:
    if not frame.hasalpha():
        return frame
    colour, percent = value
    solid = frame[:3].new_from_image([colour.red, colour.green, colour.blue, round(_OPAQUE * percent / 100)])
    return pixels.blend(solid.cast("uchar").copy(interpretation="srgb"), frame, Blend.OVER)


def _over(frame: pyvips.Image, colour: Colour, alpha: pyvips.Image, mode: Blend) -> pyvips.Image:
    """``colour`` with this alpha, blended over the frame."""
    solid = frame.new_from_image([colour.red, colour.green, colour.blue])
    layer = solid.bandjoin(alpha.rint().cast("uchar")).copy(interpretation="srgb")
    return pixels.blend(frame, layer, mode)


def _on_linear(frame: pyvips.Image, value: Any) -> pyvips.Image:
    degrees, *ends = value
    return _behind(frame, _between(_along(frame, degrees) + 0.5, ends))


def _on_radial(frame: pyvips.Image, value: Any) -> pyvips.Image:
    x, y, inner, outer, *ends = value
    position = pyvips.Image.xyz(frame.width, frame.height) + 0.5
    across, down = position[0] - x * frame.width, position[1] - y * frame.height
    distance = (across * across + down * down) ** 0.5 / min(frame.width, frame.height)
    return _behind(frame, _between((distance - inner) / max(outer - inner, 1e-6), ends))


def _on_grid(frame: pyvips.Image, value: Any) -> pyvips.Image:
    side, *ends = value
    position = (pyvips.Image.xyz(frame.width, frame.height) / side).floor()
    return _behind(frame, _between((position[0] + position[1]) % 2, ends))


def _behind(frame: pyvips.Image, backdrop: pyvips.Image) -> pyvips.Image:
    return pixels.blend(backdrop, frame, Blend.OVER) if frame.hasalpha() else frame


def _between(share: pyvips.Image, ends: list[Colour]) -> pyvips.Image:
    """The colours from one of the ``ends`` at 0 to the other at 1."""
    first, last = ([end.red, end.green, end.blue] for end in ends)
    limited = share.maxpair(0).minpair(1)
    mixed = limited.bandjoin([limited, limited]).linear(
        [b - a for a, b in zip(first, last, strict=True)], first
    )
    return mixed.rint().cast("uchar").copy(interpretation="srgb")


def _with_alpha(frame: pyvips.Image, colour: list[Colour]) -> pyvips.Image:
    return frame if colour or frame.hasalpha() else frame.bandjoin(_OPAQUE)


def _pixel(colour: Colour | None, bands: int) -> list[int]:
    opaque = [colour.red, colour.green, colour.blue, _OPAQUE] if colour else [0, 0, 0, 0]
    return opaque[:bands]


def _plain(operation: Callable[[pyvips.Image], pyvips.Image]) -> FrameOperation:
    return lambda frame, _: operation(frame)


STEP_OPERATIONS: Mapping[str, FrameOperation] = MappingProxyType(
    {
        "crop": _crop,
        "resize": _resize,
        "canvas": _canvas,
        "backdrop": _backdrop,
        "rotate": _rotate,
        "flip": _flip,
        "linear": channels.linear,
        "matrix": channels.matrix,
        "lch": lambda frame, value: channels.lch(frame, *value),
        "saturate": channels.saturate,
        "vibrance": channels.vibrance,
        "tones": lambda frame, value: tone.tones(frame, *value),
        "grey": _plain(tone.grey),
        "equal": _plain(channels.equalise),
        "norm": lambda frame, value: channels.stretch_lightness(frame, *value),
        "neg": _plain(tone.negate),
        "tint": tone.tint,
        "threshold": channels.threshold,
        "noise": lambda frame, value: channels.noise(frame, *value),
        "gradient": _gradient,
        "colour": _colour,
        "blur": filters.blur,
        "sharp": lambda frame, value: filters.sharpen(frame, *value),
        "median": _median,
        "conv": _convolve,
        "px": filters.pixelate,
        "round": _round,
        "corners": lambda frame, value: masks.elliptic_corners(frame, *value),
        "ellipse": lambda frame, value: masks.ellipse_at(frame, *value),
        "op": tone.opacity,
        "border": _border,
        "pad": _pad,
        "behind": _behind_translucent,
        "bg": pixels.flatten,
        "bg-linear": _on_linear,
        "bg-radial": _on_radial,
        "bg-grid": _on_grid,
    }
)
