"""Metrics of one machine for Prometheus: what is counted as it happens, and what is read at each scrape.

Everything but hits happens in the server's process, and hit servers send it what they have counted once a
second, so one registry has all. Labels have few values: none is chosen by a client.
"""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from image_processor import __version__
from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Outcome, OutcomeStatus, Status
from image_processor.domain.ports import Query
from image_processor.standalone.activity import REFUSED
from image_processor.standalone.resumable_uploads import Usage

from .hit_statistics import HIT_SECONDS, HitCounts
from .request_log import ServedRequest

if TYPE_CHECKING:
    from .dependencies import StandaloneContext

PREFIX = "image_processor_"

COUNT_SECONDS = 15.0
"""How long the number of records is remembered: counting a large catalog takes a while."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MetricSpec(Struct, frozen=True):
    """One metric. ``kind`` is that of Prometheus. A counter's samples have the suffix `_total`."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name as queries write it."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return PREFIX + self.name + suffix


_COUNTED = (
    MetricSpec(
        "http_requests",
        "counter",
        "requests that the application answered, so without hits",
        ("method", "route", "status"),
    ),
    MetricSpec("http_request_duration_seconds", "histogram", "time until their last byte", ("route",)),
    MetricSpec("http_response_bytes", "counter", "bytes of their bodies", ("route",)),
    MetricSpec("http_errors", "counter", "error responses by the code of their problem", ("reason",)),
    MetricSpec("upload_duration_seconds", "histogram", "time of attempts on uploads", ("outcome",)),
    MetricSpec(
        "renditions",
        "counter",
        "renditions made, of an upload (`upload`) or for a URL (`request`)",
        ("format", "source"),
    ),
    MetricSpec(
        "render_duration_seconds",
        "histogram",
        "time to fetch, render and store one for a URL, with the wait for a renderer",
        ("format",),
    ),
    MetricSpec(
        "render_stage_seconds",
        "counter",
        "the same by stage: `fetch`, `decode`, `render`, `encode`, `store`",
        ("stage",),
    ),
    MetricSpec(
        "remote_fetches",
        "counter",
        "requests to remote sources: `fetched`, `unchanged`, `missing`, `not-allowed` (URL or address),"
        " `refused` (size or content), `failed`",
        ("result",),
    ),
    MetricSpec("remote_fetch_duration_seconds", "histogram", "time of these requests", ("result",)),
)

_READ = (
    MetricSpec("uploads", "counter", "attempts on uploads by outcome", ("outcome",)),
    MetricSpec("refusals", "counter", "refused uploads", ("reason",)),
    MetricSpec("worker_busy_seconds", "counter", "time that workers worked on uploads"),
    MetricSpec("hits", "counter", "responses with a stored rendition from memory", ("status",)),
    MetricSpec("hit_duration_seconds", "histogram", "time to answer one, without the network"),
    MetricSpec("hit_bytes", "counter", "bytes of their bodies"),
    MetricSpec(
        "rendition_lookups",
        "counter",
        "requests for renditions that were stored (`hit`, those from memory too) or made (`miss`)",
        ("result",),
    ),
    MetricSpec("workers", "gauge", "images that can be processed at the same time"),
    MetricSpec("queue_uploads", "gauge", "uploads that wait or are being processed"),
    MetricSpec("queue_renders", "gauge", "renditions for URLs that wait or are being made"),
    MetricSpec("cache_bytes", "gauge", "bytes of undeclared renditions that are kept"),
    MetricSpec("cache_max_bytes", "gauge", "the most that are kept: `IMAGE_PROCESSOR_CACHE_BYTES`"),
    MetricSpec(
        "decoded_lookups",
        "counter",
        "renditions for URLs made of a decoded original that was kept (`hit`), or of one decoded for them"
        " (`miss`)",
        ("result",),
    ),
    MetricSpec("decoded_bytes", "gauge", "bytes of decoded originals that are kept"),
    MetricSpec("catalog_records", "gauge", "records of originals, counted every 15 s", ("status",)),
    MetricSpec("catalog_bytes", "gauge", "size of the catalog's files"),
    MetricSpec("disk_free_bytes", "gauge", "free space for data"),
    MetricSpec("resumable_uploads", "gauge", "resumable uploads that are not complete"),
    MetricSpec("resumable_bytes", "gauge", "bytes of them that have arrived"),
    MetricSpec("coordinator", "gauge", "1 if this server searches for lost work, 0 if another one does"),
    MetricSpec("events", "gauge", "events for the webhook, `waiting` or `dead`", ("state",)),
    MetricSpec("unreadable_keys", "gauge", "keys that the last reconcile passed over"),
    MetricSpec("held_deletions", "gauge", "deletions that wait to be accepted"),
    MetricSpec(
        "recipe_invalid", "gauge", "1 while a changed recipe is invalid and the previous one in force"
    ),
    MetricSpec("build", "info", "1, with the version of the server", ("version",)),
)

METRICS: tuple[MetricSpec, ...] = (*_COUNTED, *_READ)
"""Every metric of ours, in the order of the documentation. prometheus_client adds those of the process
(`process_cpu_seconds_total` and others)."""

_KINDS: Mapping[str, Any] = {"counter": Counter, "histogram": Histogram}
_FAMILIES: Mapping[str, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class Metrics:
    """Counts requests, uploads and renditions. Methods may be called from any thread."""

    def __init__(self) -> None:
        # Otherwise each series has a second sample, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._by_name = {spec.name: self._register(spec) for spec in _COUNTED}
        Info(PREFIX + "build", "1, with the version of the server", registry=self.registry).info(
            {"version": __version__}
        )
        ProcessCollector(registry=self.registry)
        self.hits = HitCounts()

    def _register(self, spec: MetricSpec) -> Any:
        options = {"buckets": _SECONDS} if spec.kind == "histogram" else {}
        name = PREFIX + spec.name
        return _KINDS[spec.kind](name, spec.meaning, spec.labels, registry=self.registry, **options)

    def watch(self, context: StandaloneContext) -> None:
        """Read the state of ``context`` at each scrape, too."""
        self.registry.register(_State(context, lambda: self.hits))

    def count_request(self, served: ServedRequest) -> None:
        route = served.route.replace(":key}", "}")
        method = served.method if served.method in _METHODS else "other"
        self._by_name["http_requests"].labels(method, route, served.status).inc()
        self._by_name["http_request_duration_seconds"].labels(route).observe(served.seconds)
        self._by_name["http_response_bytes"].labels(route).inc(served.bytes)
        if served.reason is not None:
            self._by_name["http_errors"].labels(served.reason).inc()

    def count_hits(self, counts: HitCounts) -> None:
        """Add what a process has counted. Call it in the event loop only."""
        self.hits = self.hits.plus(counts)

    def count_outcome(self, outcome: Outcome, seconds: float) -> None:
        status, record = outcome.status.value, outcome.record
        self._by_name["upload_duration_seconds"].labels(status).observe(seconds)
        if outcome.status is OutcomeStatus.PROCESSED and record is not None:
            for format_, number in Counted(item.metadata.format for item in record.renditions).items():
                self._by_name["renditions"].labels(format_, "upload").inc(number)

    def count_fetch(self, result: str, seconds: float) -> None:
        """Count a request to a remote source."""
        self._by_name["remote_fetches"].labels(result).inc()
        self._by_name["remote_fetch_duration_seconds"].labels(result).observe(seconds)

    def count_render(self, format_: str, timings: Mapping[str, float], seconds: float) -> None:
        """Count a rendition made for a URL. ``timings`` are seconds by stage."""
        self._by_name["renditions"].labels(format_, "request").inc()
        self._by_name["render_duration_seconds"].labels(format_).observe(seconds)
        for stage, spent in timings.items():
            self._by_name["render_stage_seconds"].labels(stage).inc(spent)


class _State(Collector):
    """Reads what `_READ` lists."""

    def __init__(self, context: StandaloneContext, hits: Callable[[], HitCounts]) -> None:
        self._context = context
        self._hits = hits
        self._counted_at: float | None = None
        self._records: dict[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        read = self._values()
        for spec in _READ:
            if spec.kind in _FAMILIES:
                family = _FAMILIES[spec.kind](PREFIX + spec.name, spec.meaning, labels=spec.labels)
                for labels, value in read[spec.name].items():
                    family.add_metric(labels, value)
                yield family
        yield self._hit_durations()

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are not looked up before the first scrape."""
        return iter(())

    def _values(self) -> dict[str, Mapping[tuple[str, ...], float]]:
        """The values by metric and labels. What cannot be read now is left out."""
        context, hits = self._context, self._hits()
        settings, report, disk = context.settings, context.reconcile_report(), context.disk_state()
        totals, resumable = context.activity.totals(), _resumable(context)
        decoded = context.decoded()
        return {
            "uploads": {(status,): totals[status] for status in OutcomeStatus if status in totals},
            "refusals": {
                (name.removeprefix(REFUSED),): number
                for name, number in totals.items()
                if name.startswith(REFUSED)
            },
            "worker_busy_seconds": {(): totals.get("busy", 0)},
            "hits": {(status,): number for status, number in sorted(hits.statuses.items())},
            "hit_bytes": {(): hits.bytes},
            "rendition_lookups": {("hit",): totals.get("hits", 0), ("miss",): totals.get("misses", 0)},
            "workers": {(): settings.worker_count},
            "queue_uploads": {(): context.backlog()},
            "queue_renders": {(): context.render_coordinator.backlog()},
            "cache_bytes": {(): context.render_coordinator.cached_bytes()},
            "cache_max_bytes": {(): settings.cache_bytes},
            "decoded_lookups": {("hit",): decoded.found, ("miss",): decoded.decoded},
            "decoded_bytes": {(): decoded.bytes},
            "catalog_records": {(status,): number for status, number in self._count_records().items()},
            "catalog_bytes": _size(context),
            "disk_free_bytes": {(): disk.free},
            "resumable_uploads": {(): resumable.uploads} if resumable else {},
            "resumable_bytes": {(): resumable.bytes} if resumable else {},
            "coordinator": {(): int(context.coordination().is_own)},
            "events": _events(context),
            "unreadable_keys": {(): report.unreadable},
            "held_deletions": {(): report.held},
            "recipe_invalid": {(): int(context.recipe_error is not None)},
        }

    def _hit_durations(self) -> Metric:
        hits, total, buckets = self._hits(), 0, []
        for bound, number in zip((*map(str, HIT_SECONDS), "+Inf"), hits.buckets, strict=True):
            total += number
            buckets.append((bound, total))
        spec = next(spec for spec in _READ if spec.kind == "histogram")
        return HistogramMetricFamily(
            PREFIX + spec.name, spec.meaning, buckets=buckets, sum_value=hits.seconds
        )

    def _count_records(self) -> Mapping[str, int]:
        now = time.monotonic()
        if self._counted_at is None or now - self._counted_at > COUNT_SECONDS:
            counts = {}
            try:
                for status in Status:
                    number = self._context.catalog.count(Query(status=status))
                    if number is not None:
                        counts[status.value] = number
            except ImageProcessorError:
                counts = {}
            self._records, self._counted_at = counts, now
        return self._records


def _size(context: StandaloneContext) -> Mapping[tuple[str, ...], float]:
    """The bytes of the catalog's files: SQLite keeps what is new in a file of its own."""
    files = (context.settings.data / f"catalog.sqlite{suffix}" for suffix in ("", "-wal"))
    sizes = [file.stat().st_size for file in files if file.exists()]
    return {(): sum(sizes)} if sizes else {}


def _resumable(context: StandaloneContext) -> Usage | None:
    """None if they cannot be read."""
    try:
        return context.resumable_uploads.usage()
    except ImageProcessorError:
        return None


def _events(context: StandaloneContext) -> Mapping[tuple[str, ...], float]:
    if context.events is None:
        return {}
    try:
        waiting, dead = context.events.count()
    except ImageProcessorError:
        return {}
    return {("waiting",): waiting, ("dead",): dead}
