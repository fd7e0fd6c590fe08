"""One original to all its renditions: the engine's whole flow in one function.

Judge the header, plan the jobs, decode each scene once (nearly always there is one) into a cascade
of levels, and hand each job to an encoder thread as soon as its level is there; equal jobs are
done once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import pyvips
from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.geometry import Size, place
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import (
    Exif,
    ExifField,
    IccPolicy,
    ImageMetadata,
    Limits,
    Rendered,
    RenderedImage,
    Timings,
    VisualSummary,
)
from image_processor.domain.transformation import Fit, Transformation

from .codecs.decode import is_out_of_memory
from .codecs.probe import Header, probe
from .job import Finished, Job, finish, plan_job
from .operations.decode_plan import WHOLE_IMAGE, DecodePlan, plan_decode, source_selection
from .operations.overlay import OverlayImages, decode_overlay_images
from .pyramid import Wanted, levels, open_for


def render(  # noqa: PLR0913 - each is one thing to know of the work; a bag of them would hide it
    data: bytes,
    transformations: Sequence[Transformation],
    limits: Limits,
    *,
    icc: IccPolicy = IccPolicy.STRIP,
    threads: int = 2,
    summary: bool = True,
    exif: Collection[ExifField] = (),
    overlay_sources: Mapping[str, bytes] | None = None,
    on_rendition: Callable[[RenderedImage], None] = lambda _: None,
) -> Rendered:
    """Make every transformation of ``data``, in the order given; none at all is legal.

    ``threads`` encoders run at a time. Without ``summary``, which is for the record, the original's digest
    is left empty too: it takes as long as many a rendition. Without transformations and ``summary``
    nothing is decoded.
    ``exif`` names what is kept of the original's EXIF; ``overlay_sources`` holds the overlay images
    by their key. ``on_rendition`` is given each rendition as soon as it is made, by the thread that made it;
    what is raised later takes none of them back.
    Raises Refused as `probe` does, OUTPUT_TOO_LARGE or REGION_OUTSIDE before decoding, TRUNCATED or
    CORRUPT, and what overlays refuse. Raises MemoryError where an encoder gets no memory.
    ``limits.cpu_seconds`` cannot be kept here: engine.isolation does.
    """
    started = time.perf_counter()
    header = probe(data, limits)
    try:
        jobs = _plan(data, header, transformations, limits, alone=not summary and len(transformations) == 1)
        work = _Work(
            data,
            jobs,
            _look_scene(data, header, limits) if summary else None,
            icc,
            decode_overlay_images(overlay_sources or {}, limits),
            _Counter(transformations, jobs, on_rendition),
        )
        with _executor(len(set(jobs)), threads) as executor:
            planned = time.perf_counter() - started
            made, seen, decoded = work.start(executor)
            digest = sha256_hex(data) if summary else ""
            finished = {job: future.result() for job, future in made.items()}
    except pyvips.Error as error:
        if is_out_of_memory(error):
            raise MemoryError(error.detail) from error
        # Reading has its own translation; a failure after it is ours, not the upload's.
        raise ImageProcessorError(f"libvips failed while rendering: {error.message}") from error
    return Rendered(
        original=_original(header, len(data), digest),
        summary=seen,
        renditions=tuple(
            _image(wanted, finished[job]) for wanted, job in zip(transformations, jobs, strict=True)
        ),
        exif=_exif(data, header, exif) if exif else (),
        timings=Timings(
            planned + decoded,
            sum(one.render for one in finished.values()),
            sum(one.encode for one in finished.values()),
        ),
    )


def _plan(
    data: bytes, header: Header, transformations: Sequence[Transformation], limits: Limits, *, alone: bool
) -> list[Job]:
    """A job for each transformation; each view is resolved once. One that is ``alone`` shares its decode
    with nobody, which can then be of no more than it shows."""
    views = [source_selection(transformation) for transformation in transformations]
    scenes = {view: plan_decode(data, header, view, limits) for view in dict.fromkeys(views)}
    pairs = [(scenes[view], wanted) for view, wanted in zip(views, transformations, strict=True)]
    if alone:
        from .operations.source_crop import crop_source  # noqa: PLC0415 - no upload comes here

        pairs = [(crop_source(*pair), pair[1]) for pair in pairs]
    return [plan_job(scene, wanted, limits) for scene, wanted in pairs]


LOOK_SIDE = 64
"""The longest side, in pixels, of the level that a look is taken from."""

Made = dict[Job, Future[Finished]]


class _Counter(Struct, frozen=True):
    """Where renditions are handed out. One job may be several of them."""

    transformations: Sequence[Transformation]
    jobs: Sequence[Job]
    on_rendition: Callable[[RenderedImage], None]

    def pass_over(self, job: Job, finished: Finished) -> None:
        for wanted, its in zip(self.transformations, self.jobs, strict=True):
            if its == job:
                self.on_rendition(_image(wanted, finished))


def _image(wanted: Transformation, finished: Finished) -> RenderedImage:
    return RenderedImage(wanted, finished.body, finished.metadata)


class _Work(Struct, frozen=True):
    """What is made of one original. ``look_scene`` is None where no look is asked for."""

    data: bytes
    jobs: Sequence[Job]
    look_scene: DecodePlan | None
    icc: IccPolicy
    images: OverlayImages
    counter: _Counter

    def start(self, executor: Executor) -> tuple[Made, VisualSummary | None, float]:
        """Decode each scene, and start an encoder for each job as soon as its level is there. The last
        is how many seconds decoding took."""
        scenes = dict.fromkeys(job.scene for job in self.jobs)
        if self.look_scene is not None:
            scenes[self.look_scene] = None
        made: Made = {}
        seen: VisualSummary | None = None
        decoded = 0.0
        for scene in scenes:
            look, seconds = self._scene(scene, executor, made)
            seen, decoded = look or seen, decoded + seconds
        return made, seen, decoded

    def _scene(self, scene: DecodePlan, executor: Executor, made: Made) -> tuple[VisualSummary | None, float]:
        waiting: defaultdict[Size, list[Job]] = defaultdict(list)
        for job in dict.fromkeys(job for job in self.jobs if job.scene == scene):
            waiting[job.placement.level].append(job)
        look_size = _look_size(scene) if scene == self.look_scene else None
        sizes = {*waiting, *([look_size] if look_size else [])}
        moving = {size for size, jobs in waiting.items() if any(job.animated for job in jobs)}
        since = time.perf_counter()
        opened = open_for(self.data, scene, Wanted(sizes, moving), self.icc)
        seen: VisualSummary | None = None
        decoded = 0.0
        for size, frames in levels(opened):
            decoded += time.perf_counter() - since
            for job in waiting[size]:
                made[job] = executor.submit(self._finish, job, frames, opened.profile)
            if size == look_size:
                from .summary.visual import summarise  # noqa: PLC0415 - of a single rendition, that is made by now

                seen = summarise(frames[0])
            since = time.perf_counter()
        return seen, decoded

    def _finish(self, job: Job, frames: Sequence[pyvips.Image], profile: bytes | None) -> Finished:
        finished = finish(job, frames, self.images, profile)
        self.counter.pass_over(job, finished)
        return finished


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


def _look_scene(data: bytes, header: Header, limits: Limits) -> DecodePlan:
    return plan_decode(data, header, WHOLE_IMAGE, limits)


def _look_size(scene: DecodePlan) -> Size:
    return place(scene.natural, Transformation(width=LOOK_SIDE, height=LOOK_SIDE, fit=Fit.INSIDE)).level


def _original(header: Header, length: int, sha256: str) -> ImageMetadata:
    return ImageMetadata(
        width=header.width,
        height=header.height,
        format=header.format,
        frames=header.frames,
        alpha=header.alpha,
        bytes=length,
        sha256=sha256,
        truncated=header.truncated,
    )


def _exif(data: bytes, header: Header, wanted: Collection[ExifField]) -> Exif:
    from .codecs.exif import exif_of  # noqa: PLC0415 - few ask for it, and a cold start would pay for it

    return exif_of(data, header.format, wanted)
