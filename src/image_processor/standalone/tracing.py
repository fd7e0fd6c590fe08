"""Spans of OpenTelemetry around the work on uploads and renditions. FastAPI itself has those of requests.

The API of OpenTelemetry comes with FastAPI and does nothing until a program such as
`opentelemetry-instrument` configures its SDK. A child process decodes, renders and encodes: its spans are
made from the seconds that it reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode

from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.domain.ports import ObjectStore, OpenOriginal, Original, Renderer
from image_processor.ingest.process import Processor
from image_processor.renditions.originals import read_original

_tracer = trace.get_tracer("image_processor")

_NANOSECONDS = 1_000_000_000


class UploadTracer:
    """The spans of one worker, which processes one upload at a time. Other threads call parts of its work."""

    def __init__(self) -> None:
        self._context: Context | None = None

    def process(self, process: Callable[[Upload], Outcome]) -> Callable[[Upload], Outcome]:
        """``process`` in a span of its own, of which the others are parts."""

        def traced(upload: Upload) -> Outcome:
            attributes = {"image_processor.key": upload.key, "image_processor.kind": upload.kind.value}
            with _tracer.start_as_current_span("process upload", attributes=attributes) as span:
                self._context = trace.set_span_in_context(span)
                outcome = process(upload)
                _describe(span, outcome)
                return outcome

        return traced

    def trace(self, processor: Processor) -> Processor:
        """``processor`` with a span for each part of its work."""
        return replace(
            processor,
            processed=cast("ObjectStore", _TracedPuts(processor.processed, self._span)),
            open_original=self._opener(processor.uploads, processor.open_original),
            render=self._render(processor.render),
        )

    def _opener(self, uploads: ObjectStore, opener: OpenOriginal | None) -> OpenOriginal:

        def opened(key: str, *, limit: int, version: str | None) -> Original:
            with self._span("fetch"):
                return read_original(uploads, key, limit=limit, version=version, open_original=opener)

        return opened

    def _render(self, render: Renderer) -> Renderer:
        def traced(*args: Any, **options: Any) -> Any:
            started = time.time_ns()
            rendered = render(*args, **options)
            timings = rendered.timings
            stages = {"decode": timings.decode, "render": timings.render, "encode": timings.encode}
            _add_stages(stages, started, self._context)
            return rendered

        return cast("Renderer", traced)

    @contextmanager
    def _span(self, name: str) -> Iterator[Span]:
        with _tracer.start_as_current_span(name, context=self._context) as span:
            yield span


def trace_rendition(format_: str, timings: Mapping[str, float], seconds: float) -> None:
    """Add the spans of a rendition that was made for a URL in the last ``seconds``, with its stages."""
    ended = time.time_ns()
    started = ended - int(seconds * _NANOSECONDS)
    attributes = {"image_processor.format": format_}
    span = _tracer.start_span("render rendition", start_time=started, attributes=attributes)
    _add_stages(timings, started, trace.set_span_in_context(span))
    span.end(ended)


def _add_stages(stages: Mapping[str, float], started: int, context: Context | None) -> None:
    """Add one span after the other. None ends later than now: encoders work side by side, and their seconds
    are added up."""
    now = time.time_ns()
    for name, seconds in stages.items():
        ended = min(now, started + int(seconds * _NANOSECONDS))
        attributes = {"image_processor.seconds": seconds}
        _tracer.start_span(name, context=context, start_time=started, attributes=attributes).end(ended)
        started = ended


def _describe(span: Span, outcome: Outcome) -> None:
    span.set_attribute("image_processor.outcome", outcome.status.value)
    record = outcome.record
    if outcome.status is OutcomeStatus.REFUSED and record is not None and record.reason is not None:
        span.set_attribute("image_processor.reason", record.reason.value)
        span.set_status(StatusCode.ERROR, record.reason.value)


class _TracedPuts:
    """A store with a span for each `put`."""

    def __init__(self, store: ObjectStore, span: Callable[[str], Any]) -> None:
        self._store = store
        self._span = span

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, *args: Any, **options: Any) -> Any:
        with self._span("store"):
            return self._store.put(*args, **options)
