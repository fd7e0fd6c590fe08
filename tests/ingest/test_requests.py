"""How often, and when, work on one upload asks the stores: each request is some 20 ms on AWS."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import OutcomeStatus, UploadKind
from image_processor.ingest import process as process_module
from support.ingest import IngestFixture, fake_render, upload

MANY = f"""
[presets.many]
widths = {list(range(1, 21))}
formats = ["png"]
[[rules]]
match = "**"
presets = ["many"]
"""


class Listening:
    """A store that notes which of its methods were called."""

    def __init__(self, store):
        self._store = store
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append(name)
            return getattr(self._store, name)(*args, **kwargs)

        return call


@pytest.fixture
def room():
    room = IngestFixture()
    room.put("cat.jpg", b"cat")
    return room


def test_a_new_original_is_read_without_a_look_before(room):
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg"))
    assert room.uploads.calls == ["get", "head"]  # the last is the look whether it has changed since


def test_reprocessing_reads_without_a_look_before(room):
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert room.uploads.calls == ["get", "head"]


def test_a_duplicate_needs_no_look_beside_what_was_read_early(room):
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert room.uploads.calls == ["get", "head"]


def test_a_large_original_is_looked_at_before_it_is_read(room, monkeypatch):
    monkeypatch.setattr(process_module, "_EARLY_READ_BYTES", 2)
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg"))
    assert room.uploads.calls == ["get", "head", "head"], "a get that is refused reads nothing"
    room.uploads.calls.clear()
    room.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert room.uploads.calls == ["get", "head", "get", "head"]


def test_what_reconcile_wants_looked_at_is_not_read_early(room):
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg", kind=UploadKind.RECONCILE))
    assert set(room.uploads.calls) == {"head"}


def test_renditions_are_written_beside_each_other_and_recorded_in_order(room):
    together = threading.Barrier(4)
    really_put = room.processed.put

    def put(key, *args, **kwargs):
        together.wait(timeout=30)  # breaks unless all four are on their way at a time
        return really_put(key, *args, **kwargs)

    room.processed.put = put
    record = room.processor().process(upload("cat.jpg")).record
    texts = [rendition.transformation for rendition in record.renditions]
    assert texts == [str(each) for each in room.recipe.transformations_for("cat.jpg")]
    assert len(texts) == together.parties


def test_no_more_than_eight_renditions_are_written_at_a_time(room):
    room.recipe = parse_recipe(MANY)
    writing, most, lock = set(), [0], threading.Lock()
    really_put = room.processed.put

    def put(key, *args, **kwargs):
        with lock:
            writing.add(key)
            most.append(len(writing))
        try:
            return really_put(key, *args, **kwargs)
        finally:
            with lock:
                writing.discard(key)

    room.processed.put = put
    assert len(room.processor().process(upload("cat.jpg")).record.renditions) == 20
    assert 1 <= max(most) <= 8


def test_the_first_failed_write_is_told_after_those_beside_it_have_ended(room):
    begun, ended = [], []
    really_put = room.processed.put

    def put(key, *args, **kwargs):
        begun.append(key)
        try:
            if "w=20" in key:
                raise Unavailable("no answer")
            return really_put(key, *args, **kwargs)
        finally:
            ended.append(key)

    room.processed.put = put
    with pytest.raises(Unavailable, match="no answer"):
        room.processor().process(upload("cat.jpg"))
    assert sorted(begun) == sorted(ended)
    assert room.catalog.acquire(
        upload("cat.jpg"), owner="next", now=room.now, duration=timedelta(seconds=60)
    )  # the claim was given up


def test_the_renditions_are_listed_while_the_original_is_rendered(room):
    listed = threading.Event()
    really_list = room.processed.list

    def list_(*args, **kwargs):
        listed.set()
        return really_list(*args, **kwargs)

    def render(*args, **kwargs):
        assert listed.wait(timeout=30)
        return fake_render(*args, **kwargs)

    room.processed.list, room.render = list_, render
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
