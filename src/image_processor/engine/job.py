"""One rendition as a job: decided from the header alone, before decoding; then composed from the
frames of its level and encoded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Anchor, Placement, place
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import ImageMetadata, Limits
from image_processor.domain.transformation import AUTO, Edge, Transformation

from .codecs.encode import Encoded, Encoding, Timing, encode, encode_within
from .operations.canvas import padded
from .operations.compose import CompositionContext, compose
from .operations.decode_plan import DecodePlan
from .operations.overlay import OverlayImages


class Job(Struct, frozen=True):
    """One picture to encode. Transformations that come to the same picture are equal jobs.

    ``rest`` is the transformation without what the scene and the placement have settled.
    """

    scene: DecodePlan
    placement: Placement
    animated: bool
    anchor: Anchor
    edge: Edge
    rest: Transformation


def plan_job(scene: DecodePlan, transformation: Transformation, limits: Limits) -> Job:
    """What ``transformation`` comes to in this scene. Raises Refused(OUTPUT_TOO_LARGE)."""
    placement = place(scene.natural, transformation)
    whole = placement.level == placement.output
    job = Job(
        scene=scene,
        placement=placement,
        animated=scene.frames > 1 and FORMATS[transformation.format].animation,
        anchor=Anchor() if whole else _anchor(transformation),
        edge=transformation.edge,
        rest=_rest(scene, placement, transformation),
    )
    _check_output(job, limits)
    return job


class Finished(Struct, frozen=True):
    """An encoded rendition, and the seconds that its steps and its encoder took."""

    body: bytes
    metadata: ImageMetadata
    render: float
    encode: float


def finish(job: Job, level: Sequence[pyvips.Image], images: OverlayImages, profile: bytes | None) -> Finished:
    """Compose one rendition from the frames of its level and encode it."""
    started = time.perf_counter()
    context = CompositionContext(job.placement, job.anchor, job.edge, job.rest, images)
    frames = _drawn(compose(level if job.animated else level[:1], context), level)
    rendered = time.perf_counter()
    timing = Timing(job.scene.delays, job.scene.header.loop) if job.animated else Timing()
    body = _encoded(frames, job.rest, profile, timing).body
    facts = ImageMetadata(
        width=frames[0].width,
        height=frames[0].height,
        format=job.rest.format,
        frames=len(frames),
        alpha=bool(frames[0].hasalpha()),
        bytes=len(body),
        sha256=sha256_hex(body),
    )
    return Finished(body, facts, rendered - started, time.perf_counter() - rendered)


_DRAWN_PIXELS = 2_000_000
"""Up to so many, finished frames are held in memory; it takes a millisecond or two."""


def _drawn(frames: Sequence[pyvips.Image], level: Sequence[pyvips.Image]) -> Sequence[pyvips.Image]:
    """The frames with their pixels: libvips works lazily, and the steps would be part of encoding."""
    if frames[0] is level[0] or frames[0].width * frames[0].height * len(frames) > _DRAWN_PIXELS:
        return frames
    return [frame.copy_memory() for frame in frames]


def _encoded(
    frames: Sequence[pyvips.Image], rest: Transformation, profile: bytes | None, timing: Timing
) -> Encoded:
    encoding = Encoding(
        quality=_quality(frames[0], rest),
        progressive=rest.progressive,
        subsampling=rest.subsampling or "auto",
        optimise=rest.optimise,
        effort=rest.effort,
        lossless=rest.lossless,
        colours=rest.colours,
    )
    if rest.max_bytes is None:
        return encode(frames, rest.format, encoding, profile=profile, timing=timing)
    return encode_within(frames, rest.format, encoding, rest.max_bytes, profile=profile, timing=timing)


def _quality(frame: pyvips.Image, rest: Transformation) -> int | None:
    """Of an animation the first frame stands for all."""
    if rest.quality != AUTO:
        return rest.quality
    from .auto_quality import auto_quality  # noqa: PLC0415 - only those who ask for it pay for it

    return auto_quality(frame.copy_memory(), rest.format)


def _anchor(transformation: Transformation) -> Anchor:
    return Anchor(
        transformation.gravity,
        transformation.gravity_x,
        transformation.gravity_y,
        transformation.focal_point,
    )


def _rest(scene: DecodePlan, placement: Placement, transformation: Transformation) -> Transformation:
    """Without a background that nobody would see."""
    kept = {field: getattr(transformation, field) for field in _REST}
    bars = not placement.level.covers(placement.output)
    seen_through = scene.header.alpha or scene.fine_rotation or kept["opacity"] < _OPAQUE
    shaped = kept["round"] or kept["ellipse"] or kept["padding"]
    if not (bars or seen_through or shaped):
        kept["background"] = None
    return Transformation(**kept)


_OPAQUE = 100
_REST = (
    "background",
    "normalise",
    "equalise",
    "gamma",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "grey",
    "sepia",
    "tint",
    "duotone",
    "negate",
    "median",
    "blur",
    "sharpen",
    "convolve",
    "pixelate",
    "overlays",
    "round",
    "ellipse",
    "opacity",
    "padding",
    "quality",
    "max_bytes",
    "progressive",
    "subsampling",
    "optimise",
    "effort",
    "lossless",
    "colours",
    "format",
)


def _check_output(job: Job, limits: Limits) -> None:
    # An enlarged level counts too, even if little is cut from it; one that is no larger than the
    # scene has been accepted with it.
    level, output = job.placement.level, job.placement.output
    if job.rest.padding is not None:
        output = padded(output, job.rest.padding).size
    enlarged = not job.scene.natural.covers(level)
    frames = job.scene.frames if job.animated else 1
    pixels = max(output.area, level.area if enlarged else 0) * frames
    if pixels > limits.max_output_pixels:
        raise Refused(
            Reason.OUTPUT_TOO_LARGE,
            f"expected at most {limits.max_output_pixels} pixels for a rendition, got {pixels}",
        )
