"""Spans of uploads and renditions, as OpenTelemetry's SDK gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import skimage
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from image_processor.bootstrap.standalone import open_server_context
from image_processor.config.settings import Settings
from image_processor.delivery.request import HttpRequest
from image_processor.domain.models import Upload
from image_processor.domain.ports import Attributes
from image_processor.standalone import tracing
from image_processor.standalone.logs import request_id
from image_processor.standalone.render_pool import RenderPool

COFFEE = (Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes()
RECIPE = '[presets.a]\nwidth = 32\nformats = ["jpeg", "webp"]\n[[rules]]\nmatch = "**"\npresets = ["a"]\n'
STAGES = {"fetch", "decode", "render", "encode", "store"}
WAIT = 120


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, list[ReadableSpan]]]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("tests"))

    def finished() -> dict[str, list[ReadableSpan]]:
        found: dict[str, list[ReadableSpan]] = {}
        for span in exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        exporter.clear()
        return found

    yield finished
    provider.shutdown()


def upload_span(found: dict[str, list[ReadableSpan]], key: str, outcome: str) -> ReadableSpan:
    """The span of an upload. The watcher may have reported the file too, which then needs no work."""
    for span in found["process upload"]:
        attributes = span.attributes or {}
        if (attributes["image_processor.key"], attributes.get("image_processor.outcome")) == (key, outcome):
            return span
    raise AssertionError(found)


def check_parts(whole: ReadableSpan, found: dict[str, list[ReadableSpan]]) -> None:
    """Every stage is a part of ``whole``, in its trace and its time."""
    assert whole.context is not None
    trace_id = whole.context.trace_id
    parts = [
        span
        for items in found.values()
        for span in items
        if span is not whole and span.context is not None and span.context.trace_id == trace_id
    ]
    assert {span.name for span in parts} == STAGES
    for span in parts:
        assert span.parent is not None
        assert (span.parent.span_id, span.parent.trace_id) == (whole.context.span_id, whole.context.trace_id)
        assert whole.start_time is not None
        assert whole.end_time is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert whole.start_time <= span.start_time <= span.end_time <= whole.end_time


def test_uploads_and_renditions_are_traced(
    tmp_path: Path, spans: Callable[[], dict[str, list[ReadableSpan]]]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    settings = Settings(data=tmp_path, recipe=str(tmp_path / "recipe.toml"), workers=1, allow_unsigned=True)
    with open_server_context(settings) as context:
        context.uploads.put("cat.png", COFFEE, Attributes("image/png"))
        context.submit(Upload(context.bucket, "cat.png")).result(WAIT)
        found = spans()
        whole = upload_span(found, "cat.png", "processed")
        check_parts(whole, found)
        assert whole.attributes is not None
        assert whole.attributes["image_processor.key"] == "cat.png"
        assert whole.attributes["image_processor.outcome"] == "processed"
        assert len(found["store"]) == 2  # one for each rendition

        context.uploads.put("bad.png", b"no image", Attributes("image/png"))
        context.submit(Upload(context.bucket, "bad.png")).result(WAIT)
        refused = upload_span(spans(), "bad.png", "refused")
        assert refused.attributes is not None
        assert refused.attributes["image_processor.reason"] == "not-an-image"
        assert refused.status.status_code is StatusCode.ERROR

        request = HttpRequest("GET", "cat.png", "w=48&fm=png", {})
        coordinator = context.render_coordinator
        coordinator.request(context.delivery.find(request).ref).result(WAIT)
        found = spans()
        (rendition,) = found["render rendition"]
        check_parts(rendition, found)
        assert rendition.attributes is not None
        assert rendition.attributes["image_processor.format"] == "png"


def test_without_an_sdk_nothing_happens() -> None:
    tracing.trace_rendition("jpeg", {"decode": 1.0}, 2.0)


def test_work_in_the_render_pool_has_the_context_of_its_request() -> None:
    pool: RenderPool[str | None] = RenderPool(None, 1, 4)  # type: ignore[arg-type]
    ids = []
    for id_ in ("a", "b"):
        token = request_id.set(id_)
        ids.append(pool.submit(id_, lambda _: request_id.get()).result(WAIT))
        request_id.reset(token)
    pool.close()
    assert ids == ["a", "b"]
