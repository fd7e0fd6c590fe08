"""Render, steps 1 and 3: one rendition as a job, planned from the header alone, before decoding; then
composed from the frames of its level and encoded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import pyvips
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Anchor, Placement, Size, place, sizes_after
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import ImageMetadata, Limits
from image_processor.domain.transformation import AUTO, PARAMETERS, ColourSpace, Edge, Transformation

from .auto_quality import auto_quality
from .codecs.codec import EncodeOptions
from .codecs.decode import open_original
from .codecs.encode import AnimationTiming, EncodedImage, encode, encode_within, srgb_profile
from .codecs.registry import CODECS
from .operations.canvas import padded_canvas
from .operations.compose import CompositionContext, compose
from .operations.decode_plan import DecodePlan, SourceSelection
from .operations.overlay import OverlayImages
from .operations.pixels import from_profile, materialise, to_p3


class RenditionJob(Struct, frozen=True):
    """One image to compose and encode. Transformations with the same result are equal jobs.

    ``source`` and ``placement`` resolve the parameters of selection and size, ``anchor`` and ``edge`` those
    of position; ``remaining`` is the transformation without all of these.
    """

    source: DecodePlan
    placement: Placement
    animated: bool
    anchor: Anchor
    edge: Edge
    remaining: Transformation


class FinishedRendition(Struct, frozen=True):
    """An encoded rendition, and the seconds that its operations and its encoder took."""

    body: bytes
    metadata: ImageMetadata
    render_seconds: float
    encode_seconds: float


def plan_job(source: DecodePlan, transformation: Transformation, limits: Limits) -> RenditionJob:
    """Resolve ``transformation`` for this source. Raises Refused(OUTPUT_TOO_LARGE)."""
    if CODECS[source.header.format].vector:
        # Its natural size is no limit: it has detail at every size.
        transformation = replace(transformation, enlarge=True)
    placement = place(source.size, transformation)
    fits_exactly = placement.level == placement.output
    job = RenditionJob(
        source=source,
        placement=placement,
        animated=source.frames > 1 and FORMATS[transformation.format].animation,
        anchor=Anchor() if fits_exactly else _anchor(transformation),
        edge=transformation.edge,
        remaining=_remaining(source, placement, transformation),
    )
    _check_output(job, limits)
    return job


def encoder_bytes(job: RenditionJob) -> int:
    """About how much memory the encoder of ``job`` takes."""
    frames = job.source.frames if job.animated else 1
    return job.placement.output.area * frames * CODECS[job.remaining.format].encode_bytes


def run_job(
    job: RenditionJob,
    level: Sequence[pyvips.Image],
    images: OverlayImages,
    profile: bytes | None,
    data: bytes,
) -> FinishedRendition:
    """Compose one rendition of the original ``data`` from the frames of its level and encode it."""
    started = time.perf_counter()
    if job.source.colour is ColourSpace.P3:
        images = {key: materialise(to_p3(image)) for key, image in images.items()}
    context = CompositionContext(job.placement, job.anchor, job.edge, job.remaining, images)
    frames = _computed(compose(level if job.animated else level[:1], context), level)
    if profile is not None and not CODECS[job.remaining.format].carries_profile:
        is_srgb = profile == srgb_profile()
        frames = frames if is_srgb else [from_profile(frame, profile) for frame in frames]
        profile = None
    rendered = time.perf_counter()
    timing = AnimationTiming(job.source.delays, job.source.header.loop) if job.animated else AnimationTiming()
    encoded = _encoded(frames, job.remaining, profile, timing).body
    body, kept = encoded, None
    size = Size(frames[0].width, frames[0].height)
    if _is_like_original(len(frames), size, job):
        from .keep_smaller import EncodedFrames, smaller  # noqa: PLC0415 - not needed for most renditions

        whole = EncodedFrames(frames, timing, profile, encoded)
        body, kept = smaller(data, job.source.header, job.remaining, whole)
    metadata = ImageMetadata(
        width=size.width,
        height=size.height,
        format=job.remaining.format,
        frames=_frame_count(body, job),
        alpha=bool(frames[0].hasalpha()),
        bytes=len(body),
        sha256=sha256_hex(body),
        keep_smaller=kept,
    )
    return FinishedRendition(body, metadata, rendered - started, time.perf_counter() - rendered)


def _is_like_original(count: int, size: Size, job: RenditionJob) -> bool:
    """Whether `keep_smaller` applies: in format, size and number of frames the rendition is the original."""
    header, remaining = job.source.header, job.remaining
    # A format without animation shows the still that is there for programs that do not know animations.
    same_frames = count == header.frames or not FORMATS[header.format].animation
    same_kind = remaining.format == header.format and same_frames
    return remaining.keep_smaller and same_kind and size == header.upright


def _frame_count(body: bytes, job: RenditionJob) -> int:
    """How many frames ``body`` has: encoders join equal ones, even all into a still."""
    if not job.animated:
        return 1
    animation = CODECS[job.remaining.format].read_animation(body)
    if animation is not None:
        return len(animation.delays)
    opened = open_original(body, FORMATS[job.remaining.format], count=-1)
    return opened.get("n-pages") if opened.get_typeof("n-pages") else 1


_MAX_COMPUTED_PIXELS = 2_000_000
"""Finished frames of up to this many pixels are computed into memory; it takes a millisecond or two."""


def _computed(frames: Sequence[pyvips.Image], level: Sequence[pyvips.Image]) -> Sequence[pyvips.Image]:
    """The frames with their pixels computed: libvips is lazy, and would count operations as encoding."""
    if frames[0] is level[0] or frames[0].width * frames[0].height * len(frames) > _MAX_COMPUTED_PIXELS:
        return frames
    return [frame.copy_memory() for frame in frames]


def _encoded(
    frames: Sequence[pyvips.Image],
    remaining: Transformation,
    profile: bytes | None,
    timing: AnimationTiming,
) -> EncodedImage:
    options = EncodeOptions(
        quality=_quality(frames[0], remaining),
        progressive=remaining.progressive,
        subsampling=remaining.subsampling or "auto",
        optimise=remaining.optimise,
        effort=remaining.effort,
        lossless=remaining.lossless,
        colours=remaining.colours,
    )
    name, max_bytes = remaining.format, remaining.max_bytes
    if max_bytes is None:
        return encode(frames, name, options, profile=profile, timing=timing)
    strict = not remaining.soft_limit
    return encode_within(frames, name, options, max_bytes, profile=profile, timing=timing, strict=strict)


def _quality(frame: pyvips.Image, remaining: Transformation) -> int | None:
    """The requested quality; for `auto`, one chosen from the (first) ``frame``."""
    if remaining.quality != AUTO:
        return remaining.quality
    return auto_quality(frame.copy_memory(), remaining.format)


def _anchor(transformation: Transformation) -> Anchor:
    return Anchor(
        transformation.gravity,
        transformation.gravity_x,
        transformation.gravity_y,
        transformation.focal_point,
    )


_RESOLVED = frozenset({
    *SourceSelection.__struct_fields__,
    "width", "height", "fit", "min_width", "min_height", "zoom", "ratio", "enlarge", "dpr",
    "gravity", "gravity_x", "gravity_y", "focal_point", "edge",
})  # fmt: skip
"""Parameters that the source, the placement, the anchor and the edge have resolved."""

_REMAINING = tuple(row.field for row in PARAMETERS if row.field not in _RESOLVED)
_OPAQUE_PERCENT = 100


def _remaining(source: DecodePlan, placement: Placement, transformation: Transformation) -> Transformation:
    """The parameters that are not resolved yet, without a background that would be invisible."""
    has_bars = not placement.level.covers(placement.output)
    is_transparent = source.header.alpha or source.fine_rotation or transformation.opacity < _OPAQUE_PERCENT
    is_shaped = transformation.round or transformation.ellipse or transformation.padding
    is_visible = bool(has_bars or is_transparent or is_shaped or transformation.steps)
    return _unresolved(transformation, has_background=is_visible, in_p3=source.colour is ColourSpace.P3)


# The same few are rendered for every upload. To check all fields again takes longer than to plan the rest.
@lru_cache(maxsize=256)
def _unresolved(transformation: Transformation, *, has_background: bool, in_p3: bool) -> Transformation:
    fields = {field: getattr(transformation, field) for field in _REMAINING}
    if not has_background:
        fields["background"] = None
    if in_p3:
        from .operations.wide_colour import in_p3 as converted  # noqa: PLC0415 - few renditions need it

        fields = {field: converted(value) for field, value in fields.items()}
    return Transformation(**fields)


def _check_output(job: RenditionJob, limits: Limits) -> None:
    # An enlarged level counts too, even if little is cropped from it; one no larger than the source has
    # been accepted with the source.
    level, output = job.placement.level, job.placement.output
    if job.remaining.padding is not None:
        output = padded_canvas(output, job.remaining.padding).size
    enlarged = not job.source.size.covers(level)
    frames = job.source.frames if job.animated else 1
    area = max(output.area, _largest_step(output, job), level.area if enlarged else 0)
    pixels = area * frames
    if pixels > limits.max_output_pixels:
        raise Refused(
            Reason.OUTPUT_TOO_LARGE,
            f"expected at most {limits.max_output_pixels} pixels for a rendition, got {pixels}",
        )


def _largest_step(size: Size, job: RenditionJob) -> int:
    """The most pixels that a frame has after one of the steps. Raises Refused(REGION_OUTSIDE)."""
    sizes = list(sizes_after(size, job.remaining.steps))
    if None in sizes:
        step = job.remaining.steps[len(sizes) - 1]
        before = sizes[-2] if len(sizes) > 1 and sizes[-2] else size
        message = f"expected a crop within {before.width} x {before.height} pixels, got {step}"
        raise Refused(Reason.REGION_OUTSIDE, message)
    return max((after.area for after in sizes if after), default=0)
