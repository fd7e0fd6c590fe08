"""How often, and when, work on one upload asks the stores: each request is some 20 ms on AWS."""

from __future__ import annotations

import threading

import pytest

from image_processor.model import Kind, Result
from support.ingest import Room, fake_render, upload


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
    room = Room()
    room.put("cat.jpg", b"cat")
    return room


def test_a_new_original_is_read_without_a_look_before(room):
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg"))
    assert room.uploads.calls == ["get", "head"]  # the last is the look whether it has changed since


def test_reprocessing_reads_without_a_look_before(room):
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    room.processor().process(upload("cat.jpg", kind=Kind.REPROCESS))
    assert room.uploads.calls == ["get", "head"]


def test_a_duplicate_does_not_read_the_original(room):
    room.processor().process(upload("cat.jpg"))
    room.uploads = Listening(room.uploads)
    assert room.processor().process(upload("cat.jpg")).result is Result.UNCHANGED
    assert set(room.uploads.calls) == {"head"}


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
    assert room.processor().process(upload("cat.jpg")).result is Result.PROCESSED
