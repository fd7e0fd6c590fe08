"""A directory without notifications: its listings are compared."""

from __future__ import annotations

import threading

import pytest

from image_processor.domain.ports import Attributes
from image_processor.standalone.polled_tree import MIN_PAUSE_SECONDS, PolledTree
from support.memory_store import MemoryStore


class Clock:
    """Time that passes only when a listing or a pause takes some."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class SlowStore(MemoryStore):
    def __init__(self, clock):
        super().__init__()
        self.clock, self.listings, self.cost = clock, 0, 0.0

    def list(self, *args, **options):
        self.listings += 1
        self.clock.now += self.cost
        return super().list(*args, **options)


class Pauses(threading.Event):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def wait(self, timeout=None):
        self.clock.now += timeout
        return self.is_set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    store = SlowStore(clock)
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        store.put(key, b"1", Attributes())
    return store


@pytest.fixture
def stop(clock):
    return Pauses(clock)


def test_created_changed_and_deleted_files_are_reported_once(store, stop, clock):
    tree = PolledTree(store, stop, clock)
    store.put("b.jpg", b"2", Attributes())
    store.put("new/d.jpg", b"1", Attributes())
    store.delete("c.jpg")
    assert tree.changes(60) == {"b.jpg", "c.jpg", "new/d.jpg"}
    assert tree.changes(60) == set()


def test_the_next_listing_waits_for_its_time(store, stop, clock):
    tree = PolledTree(store, stop, clock)
    store.put("d.jpg", b"1", Attributes())
    assert tree.changes(MIN_PAUSE_SECONDS / 2) == set()
    assert store.listings == 1
    assert tree.changes(MIN_PAUSE_SECONDS) == {"d.jpg"}


def test_a_slow_listing_is_repeated_more_rarely(store, stop, clock):
    store.cost = 3.0
    PolledTree(store, stop, clock).changes(1000)
    assert store.listings == 2
    assert clock.now == pytest.approx(3 + 60 + 3)


def test_a_listing_ended_by_the_stop_reports_no_deletions(store, stop, clock):
    tree = PolledTree(store, stop, clock)
    seen = []

    def listing():
        for entry in MemoryStore.list(store):
            seen.append(entry)
            stop.set()
            yield entry

    store.list = listing
    assert tree.changes(60) == set()
    assert len(seen) == 1
