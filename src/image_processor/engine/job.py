"""One rendition as a job: decided from the header alone, before decoding; then cut from its
level and encoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyvips

from image_processor.errors import Reason, Refused
from image_processor.formats import FORMATS
from image_processor.model import Facts, Limits
from image_processor.transformation import WHITE, Colour, Gravity, Transformation

from . import smart, steps
from .encode import Timing, encode
from .geometry import Placement, place
from .probe import Header


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to encode. Transformations that come to the same picture are equal jobs.

    ``background`` is None where transparency stays, or where there is nothing to fill.
    """

    placement: Placement
    animated: bool
    format: str
    quality: int | None
    gravity: Gravity
    background: Colour | None


def plan_job(header: Header, transformation: Transformation, limits: Limits) -> Job:
    """What ``transformation`` comes to for this original. Raises Refused(OUTPUT_TOO_LARGE)."""
    format_ = FORMATS[transformation.format]
    placement = place(header.upright, transformation)
    whole = placement.level == placement.output
    padded = not placement.level.covers(placement.output)
    background = transformation.background or (None if format_.alpha else WHITE)
    job = Job(
        placement=placement,
        animated=header.frames > 1 and format_.animation,
        format=format_.name,
        quality=transformation.quality or format_.quality,
        gravity=Gravity.CENTRE if whole else transformation.gravity,
        background=background if padded or header.alpha else None,
    )
    _check_output(header, job, limits)
    return job


def finish(
    job: Job, level: Sequence[pyvips.Image], header: Header, profile: bytes | None
) -> tuple[bytes, Facts]:
    """Cut one rendition from the frames of its level and encode it."""
    frames = _compose(job, level if job.animated else level[:1])
    timing = Timing(header.delays, header.loop) if job.animated else Timing()
    body = encode(frames, job.format, quality=job.quality, profile=profile, timing=timing)
    facts = Facts(
        width=job.placement.output.width,
        height=job.placement.output.height,
        format=job.format,
        frames=len(frames),
        alpha=bool(frames[0].hasalpha()),
        bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    )
    return body, facts


def _check_output(header: Header, job: Job, limits: Limits) -> None:
    # An enlarged level counts too, even if little is cut from it; one that is no larger than the
    # original has been accepted with it.
    level, output = job.placement.level, job.placement.output
    enlarged = not header.upright.covers(level)
    pixels = max(output.area, level.area if enlarged else 0) * (header.frames if job.animated else 1)
    if pixels > limits.max_output_pixels:
        raise Refused(
            Reason.OUTPUT_TOO_LARGE,
            f"expected at most {limits.max_output_pixels} pixels for a rendition, got {pixels}",
        )


def _compose(job: Job, level: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    placement = job.placement
    frames = list(level)
    if job.background is not None:
        frames = [steps.flatten(frame, job.background) for frame in frames]
    if placement.level == placement.output:
        return frames
    if not placement.level.covers(placement.output):
        return [steps.pad(frame, placement.output, job.gravity, job.background) for frame in frames]
    # One window for all frames, or the picture would jump.
    left, top = smart.crop_offset(frames[0], placement, job.gravity)
    return [frame.crop(left, top, placement.output.width, placement.output.height) for frame in frames]
