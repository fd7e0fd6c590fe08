"""One original to all its renditions: the engine's whole flow in one function.

The original is decoded once, to the largest size that any rendition needs. Levels (the whole
picture at one size) are made in a cascade, each from the nearest larger one; renditions are
cut from their level and encoded in threads, equal ones once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pyvips

from image_processor.errors import ImageProcessorError, Reason, Refused
from image_processor.formats import FORMATS
from image_processor.model import Facts, IccPolicy, Limits, Look
from image_processor.transformation import WHITE, Colour, Fit, Gravity, Transformation

from . import steps
from .decode import frames_of, open_original, refusing
from .encode import Timing, encode, srgb_profile
from .geometry import Placement, Size, Stage, cascade, needed_for, place, shrink_on_load
from .look import LOOK_SIDE, look_of
from .probe import Header, probe

Levels = Iterator[tuple[Size, list[pyvips.Image]]]
"""The whole picture at one size after the other: its frames in order, or the first alone."""


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """One rendition: what was asked for, the encoded bytes, and the facts about them."""

    transformation: Transformation
    body: bytes
    facts: Facts


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came of one original. ``look`` is None where it was not asked for."""

    original: Facts
    look: Look | None
    renditions: tuple[RenderedImage, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """One picture to encode. Transformations that come to the same picture are equal jobs.

    ``background`` is None where transparency stays, or where there is nothing to fill.
    """

    placement: Placement
    animated: bool
    format: str
    quality: int | None
    gravity: Gravity
    background: Colour | None


@dataclass(frozen=True, slots=True)
class _Source:
    """The original, opened: its frames are still to be decoded."""

    header: Header
    opened: pyvips.Image
    frames: int
    profile: bytes | None
    keeps_colours: bool


_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Here(Executor):
    """Runs what it is given at once, in the calling thread."""

    def submit(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        done: Future[_T] = Future()
        done.set_result(call(*args, **kwargs))
        return done


def render(
    data: bytes,
    transformations: Sequence[Transformation],
    limits: Limits,
    *,
    icc: IccPolicy = IccPolicy.STRIP,
    threads: int = 2,
    look: bool = True,
) -> Rendered:
    """Make every transformation of ``data``, in the order given; none at all is legal.

    ``threads`` encoders run at a time. Without transformations and ``look`` nothing is decoded.
    Raises Refused as `probe` does, and OUTPUT_TOO_LARGE (before decoding), TRUNCATED or CORRUPT.
    ``limits.cpu_seconds`` cannot be kept here: engine.isolation does.
    """
    header = probe(data, limits)
    jobs = [_job(header, transformation) for transformation in transformations]
    for job in jobs:
        _check_output(header, job, limits)
    try:
        with _executor(len(set(jobs)), threads) as pool:
            digest = pool.submit(_sha256, data)
            made, seen = _make_all(pool, data, header, jobs, icc=icc, look=look)
            original = _original(header, len(data), digest.result())
            finished = {job: future.result() for job, future in made.items()}
    except pyvips.Error as error:
        # Reading has its own translation; a failure after it is ours, not the upload's.
        raise ImageProcessorError(f"libvips failed while rendering: {error.message}") from error
    pairs = zip(transformations, jobs, strict=True)
    return Rendered(original, seen, tuple(RenderedImage(wanted, *finished[job]) for wanted, job in pairs))


def _executor(jobs: int, threads: int) -> Executor:
    # A thread for a single job has nothing to overlap with, and costs about a millisecond.
    return ThreadPoolExecutor(threads) if jobs > 1 else _Here()


def _job(header: Header, transformation: Transformation) -> _Job:
    format_ = FORMATS[transformation.format]
    placement = place(header.upright, transformation)
    whole = placement.level == placement.output
    padded = not placement.level.covers(placement.output)
    background = transformation.background or (None if format_.alpha else WHITE)
    return _Job(
        placement=placement,
        animated=header.frames > 1 and format_.animation,
        format=format_.name,
        quality=transformation.quality or format_.quality,
        gravity=Gravity.CENTRE if whole else transformation.gravity,
        background=background if padded or header.alpha else None,
    )


def _check_output(header: Header, job: _Job, limits: Limits) -> None:
    """A level may be as large as the original, which has been accepted, even if little is cut from it."""
    frames = header.frames if job.animated else 1
    level, output = job.placement.level, job.placement.output
    enlarged = not header.upright.covers(level)
    pixels = max(output.area, level.area if enlarged else 0) * frames
    if pixels > limits.max_output_pixels:
        raise Refused(
            Reason.OUTPUT_TOO_LARGE,
            f"expected at most {limits.max_output_pixels} pixels in a rendition, got {pixels}",
        )


def _make_all(
    pool: Executor, data: bytes, header: Header, jobs: Sequence[_Job], *, icc: IccPolicy, look: bool
) -> tuple[dict[_Job, Future[tuple[bytes, Facts]]], Look | None]:
    """Start an encoder for each job as soon as its level is there."""
    sizes = {job.placement.level for job in jobs}
    look_size = _look_size(header.upright)
    if look:
        sizes.add(look_size)
    made: dict[_Job, Future[tuple[bytes, Facts]]] = {}
    if not sizes:
        return made, None
    moving = {job.placement.level for job in jobs if job.animated}
    source = _open(data, header, cascade(header.upright, sizes)[0], icc, moving=bool(moving))
    seen: Look | None = None
    for size, frames in _levels(source, sizes, moving):
        for job in jobs:
            if job.placement.level == size and job not in made:
                made[job] = pool.submit(_finish, job, frames, source)
        if look and size == look_size:
            seen = look_of(frames[0])
    return made, seen


def _open(data: bytes, header: Header, base: Size, icc: IccPolicy, *, moving: bool) -> _Source:
    need = base.turned() if header.orientation >= 5 else base
    # The frames of an animation must keep their common grid of pixels.
    shrink = shrink_on_load(header.stored, need) if header.frames == 1 else 1
    opened = open_original(data, FORMATS[header.format], shrink=shrink, all_frames=moving)
    own = steps.rgb_profile(opened) if icc is IccPolicy.PRESERVE else None
    profile = None if icc is IccPolicy.STRIP else own or srgb_profile()
    return _Source(header, opened, header.frames if moving else 1, profile, own is not None)


def _levels(source: _Source, sizes: set[Size], moving: set[Size]) -> Levels:
    """Each of ``sizes``, largest first; those in ``moving`` with all frames of an animation.

    Frames go through the cascade one by one: their neighbours never bleed into them, and no
    more than one is held at its full size.
    """
    base, stages = cascade(source.header.upright, sizes)
    moving_stages = needed_for(stages, moving)
    levels: defaultdict[Size, list[pyvips.Image]] = defaultdict(list)
    for index, frame in enumerate(frames_of(source.opened, source.frames)):
        wanted = moving if index else sizes
        for size, picture in _descend(_base(frame, source, base), base, moving_stages if index else stages):
            if size not in wanted:
                continue
            levels[size].append(picture)
            if len(levels[size]) == (source.frames if size in moving else 1):
                yield size, levels.pop(size)


def _base(frame: pyvips.Image, source: _Source, base: Size) -> pyvips.Image:
    """Decode a frame to the base level: resized as it is stored, since all else is cheaper small."""
    orientation = source.header.orientation
    with refusing(FORMATS[source.header.format]):
        small = steps.resize(frame, base.turned() if orientation >= 5 else base)
        coloured = steps.to_eight_bits(small) if source.keeps_colours else steps.to_srgb(small)
        upright = steps.turn_upright(steps.plain(coloured), orientation)
    return steps.drop_idle_alpha(upright) if source.frames == 1 else upright


def _descend(
    picture: pyvips.Image, base: Size, stages: Sequence[Stage]
) -> Iterator[tuple[Size, pyvips.Image]]:
    pictures = {base: picture}
    yield base, picture
    for stage in stages:
        pictures[stage.size] = steps.plain(steps.resize(pictures[stage.source], stage.size))
        yield stage.size, pictures[stage.size]


def _finish(job: _Job, frames: Sequence[pyvips.Image], source: _Source) -> tuple[bytes, Facts]:
    """Cut one rendition from its level and encode it; runs in a thread of the pool."""
    finished = _compose(job, frames if job.animated else frames[:1])
    header = source.header
    timing = Timing(header.delays, header.loop) if job.animated else Timing()
    body = encode(finished, job.format, quality=job.quality, profile=source.profile, timing=timing)
    output = job.placement.output
    facts = Facts(
        width=output.width,
        height=output.height,
        format=job.format,
        frames=len(finished),
        alpha=bool(finished[0].hasalpha()),
        bytes=len(body),
        sha256=_sha256(body),
    )
    return body, facts


def _compose(job: _Job, frames: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    level, output = job.placement.level, job.placement.output
    pictures = list(frames)
    if job.background is not None:
        pictures = [steps.flatten(picture, job.background) for picture in pictures]
    if level == output:
        return pictures
    if not level.covers(output):
        return [steps.pad(picture, output, job.gravity, job.background) for picture in pictures]
    # One window for all frames, or the picture would jump.
    left, top = steps.crop_offset(pictures[0], job.placement, job.gravity)
    return [picture.crop(left, top, output.width, output.height) for picture in pictures]


def _look_size(natural: Size) -> Size:
    side = LOOK_SIDE
    return place(natural, Transformation(width=side, height=side, fit=Fit.INSIDE)).level


def _original(header: Header, length: int, sha256: str) -> Facts:
    return Facts(
        width=header.width,
        height=header.height,
        format=header.format,
        frames=header.frames,
        alpha=header.alpha,
        bytes=length,
        sha256=sha256,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
