"""One original to all its renditions: the engine's whole flow in one function.

Judge the header, plan the jobs, decode once into a cascade of levels, and hand each job to an
encoder thread as soon as its level is there; equal jobs are done once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import pyvips

from image_processor.errors import ImageProcessorError
from image_processor.model import Exif, ExifField, Facts, IccPolicy, Limits, Look, Rendered, RenderedImage
from image_processor.transformation import Fit, Transformation

from .decode import is_out_of_memory
from .geometry import Size, place
from .job import Job, finish, plan_job
from .levels import Opened, Wanted, levels, open_for
from .look import LOOK_SIDE, look_of
from .probe import Header, probe


def render(
    data: bytes,
    transformations: Sequence[Transformation],
    limits: Limits,
    *,
    icc: IccPolicy = IccPolicy.STRIP,
    threads: int = 2,
    look: bool = True,
    exif: Collection[ExifField] = (),
) -> Rendered:
    """Make every transformation of ``data``, in the order given; none at all is legal.

    ``threads`` encoders run at a time. Without transformations and ``look`` nothing is decoded.
    ``exif`` names what is kept of the original's EXIF.
    Raises Refused as `probe` does, and OUTPUT_TOO_LARGE (before decoding), TRUNCATED or CORRUPT.
    Raises MemoryError where an encoder gets no memory.
    ``limits.cpu_seconds`` cannot be kept here: engine.isolation does.
    """
    header = probe(data, limits)
    jobs = [plan_job(header, transformation, limits) for transformation in transformations]
    look_size = _look_size(header) if look else None
    try:
        with _executor(len(set(jobs)), threads) as executor:
            digest = executor.submit(_sha256, data)
            made, seen = _make(executor, _open(data, header, jobs, look_size, icc), jobs, look_size)
            finished = {job: future.result() for job, future in made.items()}
    except pyvips.Error as error:
        if is_out_of_memory(error):
            raise MemoryError(error.detail) from error
        # Reading has its own translation; a failure after it is ours, not the upload's.
        raise ImageProcessorError(f"libvips failed while rendering: {error.message}") from error
    pairs = zip(transformations, jobs, strict=True)
    return Rendered(
        original=_original(header, len(data), digest.result()),
        look=seen,
        renditions=tuple(RenderedImage(wanted, *finished[job]) for wanted, job in pairs),
        exif=_exif(data, header, exif) if exif else (),
    )


def _open(
    data: bytes, header: Header, jobs: Sequence[Job], look_size: Size | None, icc: IccPolicy
) -> Opened | None:
    """The original, opened for its levels; None where nothing needs one."""
    sizes = {job.placement.level for job in jobs} | ({look_size} if look_size else set())
    moving = {job.placement.level for job in jobs if job.animated}
    return open_for(data, header, Wanted(sizes, moving), icc) if sizes else None


def _make(
    executor: Executor, opened: Opened | None, jobs: Sequence[Job], look_size: Size | None
) -> tuple[dict[Job, Future[tuple[bytes, Facts]]], Look | None]:
    """Decode, and start an encoder for each job as soon as its level is there."""
    made: dict[Job, Future[tuple[bytes, Facts]]] = {}
    seen: Look | None = None
    if opened is None:
        return made, seen
    waiting: defaultdict[Size, list[Job]] = defaultdict(list)
    for job in dict.fromkeys(jobs):
        waiting[job.placement.level].append(job)
    for size, frames in levels(opened):
        for job in waiting[size]:
            made[job] = executor.submit(finish, job, frames, opened.header, opened.profile)
        if size == look_size:
            seen = look_of(frames[0])
    return made, seen


_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Here(Executor):
    """Runs what it is given at once, in the calling thread."""

    def submit(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        done: Future[_T] = Future()
        done.set_result(call(*args, **kwargs))
        return done


def _executor(jobs: int, threads: int) -> Executor:
    # A thread for a single job has nothing to overlap with, and costs about a millisecond.
    return ThreadPoolExecutor(threads) if jobs > 1 else _Here()


def _look_size(header: Header) -> Size:
    return place(header.upright, Transformation(width=LOOK_SIDE, height=LOOK_SIDE, fit=Fit.INSIDE)).level


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


def _exif(data: bytes, header: Header, wanted: Collection[ExifField]) -> Exif:
    from .exif import exif_of  # noqa: PLC0415 - few ask for it, and a cold start would pay for it

    return exif_of(data, header.format, wanted)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
