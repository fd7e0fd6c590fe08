"""Render: one original to all its renditions; `render` is the engine's whole flow.

Probe the header, plan the jobs, decode each source once (there is nearly always one) into a pyramid of
levels, and submit each job to an encoder thread as soon as its level is there. Equal jobs run once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import pyvips
from msgspec import Struct
from msgspec.structs import replace

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
from .codecs.probe import ImageHeader, decode_tolerantly, probe
from .decoded_originals import DecodedOriginals
from .encoder_threads import Encoders, EncoderThreads, InlineEncoder
from .job import FinishedRendition, RenditionJob, encoder_bytes, plan_job, run_job
from .operations.decode_plan import WHOLE_IMAGE, DecodePlan, plan_decode, source_selection
from .operations.overlay import OverlayImages, decode_overlay_images
from .operations.source_crop import crop_source
from .pyramid import PyramidPlan, build_pyramid, open_source


def render(  # noqa: PLR0913 - each is a separate decision of the caller
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
    kept: DecodedOriginals | None = None,
) -> Rendered:
    """Make every transformation of ``data``, in the order given; an empty sequence is allowed.

    At most ``threads`` encoders run at a time, large ones alone. ``summary`` computes the visual summary and
    the original's digest, which take as long as many a rendition; without it the digest is empty. Without
    ``transformations`` and ``summary`` nothing is decoded. ``exif`` names the EXIF fields to keep.
    ``overlay_sources`` holds the encoded overlay images by key. ``on_rendition`` is called with each
    rendition as soon as it is made, in the thread that made it; an error raised later does not revoke it.
    ``kept`` keeps the pixels of the decoded original, which may be there already.

    Raises Refused as `probe` does, OUTPUT_TOO_LARGE or REGION_OUTSIDE before decoding, TRUNCATED or
    CORRUPT while decoding, and what overlays are refused for; MemoryError where an encoder gets no memory.
    ``limits.cpu_seconds`` is not enforced here but by engine.worker.
    """
    started = time.perf_counter()
    header = probe(data, limits)
    with _translate_encoder_errors():
        jobs = _plan_jobs(data, header, transformations, limits, summary=summary)
        summary_source = plan_decode(data, header, WHOLE_IMAGE, limits) if summary else None
        images = decode_overlay_images(overlay_sources or {}, limits)
        emitter = _RenditionEmitter(transformations, jobs, on_rendition)
        with _open_encoders(len(set(jobs)), threads) as encoders:
            planned = time.perf_counter() - started
            decoding = _Decoding(data, jobs, summary_source, limits, icc, images, emitter, encoders, kept)
            decoded = decoding.run()
            digest = sha256_hex(data) if summary else ""
            finished = {job: future.result() for job, future in decoded.futures.items()}
    return Rendered(
        original=replace(
            _original_metadata(header, len(data), digest, alpha=decoded.alpha),
            truncated=header.truncated or decoded.truncated,
        ),
        summary=decoded.summary,
        renditions=tuple(
            _rendered_image(transformation, finished[job])
            for transformation, job in zip(transformations, jobs, strict=True)
        ),
        exif=_read_exif(data, header, exif) if exif else (),
        timings=Timings(
            planned + decoded.seconds,
            sum(rendition.render_seconds for rendition in finished.values()),
            sum(rendition.encode_seconds for rendition in finished.values()),
        ),
    )


SUMMARY_SIDE = 64
"""The longest side, in pixels, of the level that the visual summary is computed from."""


def _plan_jobs(
    data: bytes,
    header: ImageHeader,
    transformations: Sequence[Transformation],
    limits: Limits,
    *,
    summary: bool,
) -> list[RenditionJob]:
    """A job for each transformation. Each distinct selection of the source is resolved once."""
    selections = [source_selection(transformation) for transformation in transformations]
    plans = {
        selection: plan_decode(data, header, selection, limits) for selection in dict.fromkeys(selections)
    }
    sources = [plans[selection] for selection in selections]
    if len(transformations) == 1 and not summary:
        # A single rendition shares its decode with nothing, so only the part that it shows is decoded.
        sources = [crop_source(sources[0], transformations[0])]
    return [
        plan_job(source, transformation, limits)
        for source, transformation in zip(sources, transformations, strict=True)
    ]


class _RenditionEmitter(Struct, frozen=True):
    """Calls ``on_rendition`` for every transformation that one job makes."""

    transformations: Sequence[Transformation]
    jobs: Sequence[RenditionJob]
    on_rendition: Callable[[RenderedImage], None]

    def emit(self, finished_job: RenditionJob, finished: FinishedRendition) -> None:
        for transformation, job in zip(self.transformations, self.jobs, strict=True):
            if job == finished_job:
                self.on_rendition(_rendered_image(transformation, finished))


def _rendered_image(transformation: Transformation, finished: FinishedRendition) -> RenderedImage:
    return RenderedImage(transformation, finished.body, finished.metadata)


class _Decoded(Struct):
    """What decoding has started and found so far; ``seconds`` is the time it took. ``alpha`` says whether any
    pixel is transparent, None where not all pixels of a still were decoded; ``truncated`` whether damage was
    accepted."""

    futures: dict[RenditionJob, Future[FinishedRendition]]
    alpha: bool | None = None
    truncated: bool = False
    summary: VisualSummary | None = None
    seconds: float = 0.0


class _Decoding(Struct, frozen=True):
    """Decodes the sources of one original. ``summary_source`` is None where no summary is requested."""

    data: bytes
    jobs: Sequence[RenditionJob]
    summary_source: DecodePlan | None
    limits: Limits
    icc: IccPolicy
    images: OverlayImages
    emitter: _RenditionEmitter
    encoders: Encoders
    kept: DecodedOriginals | None

    def run(self) -> _Decoded:
        """Decode each source, and submit each job as soon as its level is there."""
        sources = dict.fromkeys(job.source for job in self.jobs)
        if self.summary_source is not None:
            sources[self.summary_source] = None
        decoded = _Decoded({})
        for source in sources:
            decode_tolerantly(
                source.header, self.limits, partial(self._decode, source=source, decoded=decoded)
            )
        return decoded

    def _decode(self, header: ImageHeader, source: DecodePlan, decoded: _Decoded) -> None:
        """Decode ``source`` as ``header`` says. Where that fails for a still, nothing has been submitted."""
        by_level: defaultdict[Size, list[RenditionJob]] = defaultdict(list)
        for job in dict.fromkeys(job for job in self.jobs if job.source == source):
            by_level[job.placement.level].append(job)
        summary_size = _summary_size(source) if source == self.summary_source else None
        sizes = {*by_level, *([summary_size] if summary_size else [])}
        animated = {size for size, jobs in by_level.items() if any(job.animated for job in jobs)}
        since = time.perf_counter()
        plan = PyramidPlan(sizes, animated)
        opened = open_source(self.data, replace(source, header=header), plan, self.icc, self.kept)
        for size, frames in build_pyramid(opened):
            decoded.seconds += time.perf_counter() - since
            decoded.truncated |= header.truncated
            if source.is_whole and source.header.frames == 1:
                # All levels have the alpha of the largest, which is none where every pixel is opaque.
                decoded.alpha = bool(frames[0].hasalpha()) and source.header.alpha
            for job in by_level[size]:
                decoded.futures[job] = self.encoders.submit(
                    encoder_bytes(job), self._finish, job, frames, opened.profile
                )
            if size == summary_size:
                from .summary.visual import summarise  # noqa: PLC0415 - 2 ms, not used on demand

                decoded.summary = summarise(frames[0])
            since = time.perf_counter()

    def _finish(
        self, job: RenditionJob, frames: Sequence[pyvips.Image], profile: bytes | None
    ) -> FinishedRendition:
        finished = run_job(job, frames, self.images, profile, self.data)
        self.emitter.emit(job, finished)
        return finished


def _summary_size(source: DecodePlan) -> Size:
    return place(source.size, Transformation(width=SUMMARY_SIDE, height=SUMMARY_SIDE, fit=Fit.INSIDE)).level


@contextmanager
def _translate_encoder_errors() -> Iterator[None]:
    """Errors of the decoder have been translated before; what libvips raises after it is a fault of this
    program or of the machine, not of the upload."""
    try:
        yield
    except pyvips.Error as error:
        if is_out_of_memory(error):
            raise MemoryError(error.detail) from error
        raise ImageProcessorError(f"libvips failed while rendering: {error.message}") from error


def _open_encoders(jobs: int, threads: int) -> AbstractContextManager[Encoders]:
    return EncoderThreads(threads) if jobs > 1 else nullcontext(InlineEncoder())


def _original_metadata(header: ImageHeader, length: int, sha256: str, *, alpha: bool | None) -> ImageMetadata:
    return ImageMetadata(
        width=header.width,
        height=header.height,
        format=header.format,
        frames=header.frames,
        alpha=header.alpha if alpha is None else alpha,
        bytes=length,
        sha256=sha256,
        file_frames=header.file_frames,
    )


def _read_exif(data: bytes, header: ImageHeader, fields: Collection[ExifField]) -> Exif:
    from .codecs.exif import read_exif  # noqa: PLC0415 - 1 ms, few requests need it

    return read_exif(data, header.format, fields)
