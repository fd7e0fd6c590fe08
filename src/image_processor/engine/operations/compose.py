"""The steps of one rendition between its level and its encoder, as a literal ordered list.

Each step has the field of the transformation that asks for it; where that says nothing, the step
costs nothing.
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

Frames = list[pyvips.Image]


class CompositionContext(Struct, frozen=True):
    """What a step may need to know beside its own field."""

    placement: Placement
    anchor: Anchor
    edge: Edge
    rest: Transformation
    images: OverlayImages

    @property
    def background(self) -> Colour | None:
        """What lies behind the picture; None where that stays transparent."""
        return self.rest.background or (None if FORMATS[self.rest.format].alpha else WHITE)


def compose(frames: Sequence[pyvips.Image], context: CompositionContext) -> Frames:
    """The finished frames, of one size, 3 or 4 bands; with alpha only where the format has it."""
    composed = list(frames)
    for step in _BEFORE:
        composed = step(composed, context)
    for field, run in _PIXEL_STEPS:
        value = getattr(context.rest, field)
        if value != _DEFAULTS[field]:
            composed = run(composed, value)
    for step in _AFTER:
        composed = step(composed, context)
    return composed


def _crop(frames: Frames, context: CompositionContext) -> Frames:
    """Cut out what the box leaves: one window for all frames, or the picture would jump."""
    placement = context.placement
    if placement.level == placement.output or not placement.level.covers(placement.output):
        return frames
    box = canvas.crop_box(frames[0], placement, context.anchor)
    return [frame.crop(box.left, box.top, box.width, box.height) for frame in frames]


def _bars(frames: Frames, context: CompositionContext) -> Frames:
    """Stand in the box where it is larger."""
    output, background = context.placement.output, context.background
    if context.placement.level.covers(output):
        return frames
    return [canvas.pad_to(frame, output, context.anchor, context.edge, background) for frame in frames]


def _overlays(frames: Frames, context: CompositionContext) -> Frames:
    if not context.rest.overlays:
        return frames
    size = Size(frames[0].width, frames[0].height)
    prepared = prepare(context.rest.overlays, size, context.images)
    return [composite(frame, prepared) for frame in frames]


def _corners(frames: Frames, context: CompositionContext) -> Frames:
    if context.rest.ellipse:
        return [masks.ellipse(frame) for frame in frames]
    if context.rest.round is None:
        return frames
    shorter = min(frames[0].width, frames[0].height)
    first, second, third, fourth = (in_pixels(radius, shorter) for radius in context.rest.round)
    return [masks.round_corners(frame, (first, second, third, fourth)) for frame in frames]


def _opacity(frames: Frames, context: CompositionContext) -> Frames:
    percent = context.rest.opacity
    return frames if percent == _DEFAULTS["opacity"] else [tone.opacity(frame, percent) for frame in frames]


def _padding(frames: Frames, context: CompositionContext) -> Frames:
    if context.rest.padding is None:
        return frames
    size = Size(frames[0].width, frames[0].height)
    around = canvas.padded(size, context.rest.padding)
    return [canvas.extend(frame, around, context.edge, context.background) for frame in frames]


def _flatten(frames: Frames, context: CompositionContext) -> Frames:
    if context.background is None:
        return frames
    return [flatten(frame, context.background) for frame in frames]


PixelStep = Callable[[Frames, Any], Frames]


def _each(step: Callable[[pyvips.Image, Any], pyvips.Image]) -> PixelStep:
    return lambda frames, value: [step(frame, value) for frame in frames]


def _plain(step: Callable[[pyvips.Image], pyvips.Image]) -> PixelStep:
    """A step that is on or off."""
    return lambda frames, _: [step(frame) for frame in frames]


_BEFORE = (_crop,)

_PIXEL_STEPS: tuple[tuple[str, PixelStep], ...] = (
    ("normalise", lambda frames, _: tone.normalise(frames)),
    ("equalise", lambda frames, _: tone.equalise(frames)),
    ("gamma", _each(tone.gamma)),
    ("brightness", _each(tone.brightness)),
    ("contrast", _each(tone.contrast)),
    ("saturation", _each(tone.saturation)),
    ("hue", _each(tone.hue)),
    ("grey", _plain(tone.grey)),
    ("sepia", _each(tone.sepia)),
    ("tint", _each(tone.tint)),
    ("duotone", _each(lambda frame, colours: tone.duotone(frame, *colours))),
    ("negate", _plain(tone.negate)),
    ("median", _each(filters.median)),
    ("blur", _each(filters.blur)),
    ("sharpen", _each(lambda frame, strength: filters.sharpen(frame, *strength))),
    ("convolve", _each(filters.convolve)),
    ("pixelate", _each(filters.pixelate)),
)

_AFTER = (
    _bars,
    _overlays,
    _corners,
    _opacity,
    _padding,
    _flatten,
)

_DEFAULTS = {row.field: row.default for row in PARAMETERS}
