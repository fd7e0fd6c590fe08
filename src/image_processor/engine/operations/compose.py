"""Render, step 3: the operations of one rendition between its level and its encoder, in order.

`PIXEL_OPERATIONS` is the registry: one row for each parameter that changes pixels. An operation whose
parameter has its default value does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyvips
from msgspec import Struct

from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Anchor, Placement, Size
from image_processor.domain.transformation import PARAMETERS, WHITE, Colour, Edge, Transformation, in_pixels

from . import canvas, filters, masks, tone
from .overlay import OverlayImages, composite, prepare
from .pixels import flatten
from .steps import apply_steps

Frames = list[pyvips.Image]


class CompositionContext(Struct, frozen=True):
    """What an operation may need in addition to its own parameter.

    ``remaining`` is the transformation without what the decode plan and ``placement`` have resolved;
    ``images`` are the decoded overlay images.
    """

    placement: Placement
    anchor: Anchor
    edge: Edge
    remaining: Transformation
    images: OverlayImages

    @property
    def background(self) -> Colour | None:
        """The colour behind the image; None where it stays transparent."""
        return self.remaining.background or (None if FORMATS[self.remaining.format].alpha else WHITE)


def compose(frames: Sequence[pyvips.Image], context: CompositionContext) -> Frames:
    """The finished frames, all of one size, with 3 bands, or 4 where the format has alpha."""
    composed = _crop(list(frames), context)
    for field, operation in PIXEL_OPERATIONS:
        value = getattr(context.remaining, field)
        if value != _DEFAULTS[field]:
            composed = operation(composed, value)
    for layout_operation in _LAYOUT_OPERATIONS:
        composed = layout_operation(composed, context)
    return composed


def _crop(frames: Frames, context: CompositionContext) -> Frames:
    """Crop to the output size: one window for all frames, or an animation would jump."""
    placement = context.placement
    if placement.level == placement.output or not placement.level.covers(placement.output):
        return frames
    box = canvas.crop_box(frames[0], placement, context.anchor)
    return [frame.crop(box.left, box.top, box.width, box.height) for frame in frames]


def _add_bars(frames: Frames, context: CompositionContext) -> Frames:
    """Pad to the output size where that is larger (fit=contain)."""
    output, background = context.placement.output, context.background
    if context.placement.level.covers(output):
        return frames
    return [canvas.pad_to(frame, output, context.anchor, context.edge, background) for frame in frames]


def _add_overlays(frames: Frames, context: CompositionContext) -> Frames:
    if not context.remaining.overlays:
        return frames
    size = Size(frames[0].width, frames[0].height)
    layers = prepare(context.remaining.overlays, size, context.images)
    return [composite(frame, layers) for frame in frames]


def _cut_outline(frames: Frames, context: CompositionContext) -> Frames:
    """Keep an ellipse, or round the corners."""
    if context.remaining.ellipse:
        return [masks.ellipse(frame) for frame in frames]
    if context.remaining.round is None:
        return frames
    shorter_side = min(frames[0].width, frames[0].height)
    first, second, third, fourth = (in_pixels(radius, shorter_side) for radius in context.remaining.round)
    return [masks.round_corners(frame, (first, second, third, fourth)) for frame in frames]


def _apply_opacity(frames: Frames, context: CompositionContext) -> Frames:
    percent = context.remaining.opacity
    return frames if percent == _DEFAULTS["opacity"] else [tone.opacity(frame, percent) for frame in frames]


def _add_padding(frames: Frames, context: CompositionContext) -> Frames:
    if context.remaining.padding is None:
        return frames
    size = Size(frames[0].width, frames[0].height)
    box = canvas.padded_canvas(size, context.remaining.padding)
    return [canvas.extend(frame, box, context.edge, context.background) for frame in frames]


def _apply_steps(frames: Frames, context: CompositionContext) -> Frames:
    return apply_steps(frames, context.remaining.steps, context.images)


def _flatten(frames: Frames, context: CompositionContext) -> Frames:
    if context.background is None:
        return frames
    return [flatten(frame, context.background) for frame in frames]


PixelOperation = Callable[[Frames, Any], Frames]
"""Takes all frames and the parameter's value; returns frames of the same size."""


def per_frame(operation: Callable[[pyvips.Image, Any], pyvips.Image]) -> PixelOperation:
    """For an operation on one frame and the parameter's value."""
    return lambda frames, value: [operation(frame, value) for frame in frames]


def on_or_off(operation: Callable[[pyvips.Image], pyvips.Image]) -> PixelOperation:
    """For an operation without a value: its parameter is on or off."""
    return lambda frames, _: [operation(frame) for frame in frames]


# In the order in which they are applied.
PIXEL_OPERATIONS: list[tuple[str, PixelOperation]] = [
    ("normalise", lambda frames, _: tone.normalise(frames)),
    ("equalise", lambda frames, _: tone.equalise(frames)),
    ("gamma", per_frame(tone.gamma)),
    ("brightness", per_frame(tone.brightness)),
    ("contrast", per_frame(tone.contrast)),
    ("saturation", per_frame(tone.saturation)),
    ("hue", per_frame(tone.hue)),
    ("grey", on_or_off(tone.grey)),
    ("sepia", per_frame(tone.sepia)),
    ("tint", per_frame(tone.tint)),
    ("duotone", per_frame(lambda frame, colours: tone.duotone(frame, *colours))),
    ("negate", on_or_off(tone.negate)),
    ("median", per_frame(filters.median)),
    ("blur", per_frame(filters.blur)),
    ("sharpen", per_frame(lambda frame, strength: filters.sharpen(frame, *strength))),
    ("convolve", per_frame(filters.convolve)),
    ("pixelate", per_frame(filters.pixelate)),
]

_LAYOUT_OPERATIONS = (
    _add_bars,
    _add_overlays,
    _cut_outline,
    _apply_opacity,
    _add_padding,
    _apply_steps,
    _flatten,
)

_DEFAULTS = {row.field: row.default for row in PARAMETERS}
