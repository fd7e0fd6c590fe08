"""The number and order of requests to the stores: each takes about 20 ms on AWS."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import OutcomeStatus, UploadKind
from image_processor.ingest import process as process_module
from support.ingest import IngestFixture, RecordingStore, fake_render, upload

MANY = f"""
[presets.many]
widths = {list(range(1, 21))}
formats = ["png"]
[[rules]]
match = "**"
presets = ["many"]
"""


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"cat")
    return ingest


def test_a_new_original_is_read_without_a_head_before(ingest):
    ingest.uploads = RecordingStore(ingest.uploads)
    ingest.processor().process(upload("cat.jpg"))
    assert ingest.uploads.calls == ["get", "head"]  # the head checks that it has not changed since


def test_reprocessing_reads_without_a_head_before(ingest):
    ingest.processor().process(upload("cat.jpg"))
    ingest.uploads = RecordingStore(ingest.uploads)
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert ingest.uploads.calls == ["get", "head"]


def test_a_duplicate_needs_no_head_before_the_early_read(ingest):
    ingest.processor().process(upload("cat.jpg"))
    ingest.uploads = RecordingStore(ingest.uploads)
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert ingest.uploads.calls == ["get", "head"]


def test_a_large_original_is_headed_before_it_is_read(ingest, monkeypatch):
    monkeypatch.setattr(process_module, "_EARLY_READ_BYTES", 2)
    ingest.processor().process(upload("cat.jpg"))
    ingest.uploads = RecordingStore(ingest.uploads)
    ingest.processor().process(upload("cat.jpg"))
    assert ingest.uploads.calls == ["get", "head", "head"], "a get that is refused reads nothing"
    ingest.uploads.calls.clear()
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert ingest.uploads.calls == ["get", "head", "get", "head"]


def test_a_reconcile_upload_is_not_read_early(ingest):
    ingest.processor().process(upload("cat.jpg"))
    ingest.uploads = RecordingStore(ingest.uploads)
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.RECONCILE))
    assert set(ingest.uploads.calls) == {"head"}


def test_a_skipped_original_is_not_read(ingest):
    """It has renditions of an earlier recipe, so that it needs a lease."""
    ingest.processor().process(upload("cat.jpg"))
    ingest.recipe = parse_recipe(MANY.replace('match = "**"', 'match = "dogs/**"'))
    ingest.uploads = RecordingStore(ingest.uploads)
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
    assert set(ingest.uploads.calls) == {"head"}


def test_renditions_are_written_concurrently_and_recorded_in_order(ingest):
    together = threading.Barrier(4)
    really_put = ingest.processed.put

    def put(key, *args, **kwargs):
        together.wait(timeout=30)  # breaks unless all four puts run at the same time
        return really_put(key, *args, **kwargs)

    ingest.processed.put = put
    record = ingest.processor().process(upload("cat.jpg")).record
    texts = [rendition.transformation for rendition in record.renditions]
    assert texts == [str(item) for item in ingest.recipe.transformations_for("cat.jpg")]
    assert len(texts) == together.parties


def test_at_most_eight_renditions_are_written_at_a_time(ingest):
    ingest.recipe = parse_recipe(MANY)
    writing, concurrency, lock = set(), [0], threading.Lock()
    really_put = ingest.processed.put

    def put(key, *args, **kwargs):
        with lock:
            writing.add(key)
            concurrency.append(len(writing))
        try:
            return really_put(key, *args, **kwargs)
        finally:
            with lock:
                writing.discard(key)

    ingest.processed.put = put
    assert len(ingest.processor().process(upload("cat.jpg")).record.renditions) == 20
    assert 1 <= max(concurrency) <= 8


def test_the_first_failed_write_is_raised_after_the_concurrent_ones_have_ended(ingest):
    begun, ended = [], []
    really_put = ingest.processed.put

    def put(key, *args, **kwargs):
        begun.append(key)
        try:
            if "w=20" in key:
                raise Unavailable("no answer")
            return really_put(key, *args, **kwargs)
        finally:
            ended.append(key)

    ingest.processed.put = put
    with pytest.raises(Unavailable, match="no answer"):
        ingest.processor().process(upload("cat.jpg"))
    assert sorted(begun) == sorted(ended)
    assert ingest.catalog.acquire(
        upload("cat.jpg"), owner="next", now=ingest.now, duration=timedelta(seconds=60)
    )  # the lease was released


def test_the_renditions_are_listed_while_the_original_is_rendered(ingest):
    listed = threading.Event()
    really_list = ingest.processed.list

    def list_(*args, **kwargs):
        listed.set()
        return really_list(*args, **kwargs)

    def render(*args, **kwargs):
        assert listed.wait(timeout=30)
        return fake_render(*args, **kwargs)

    ingest.processed.list, ingest.render = list_, render
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
