"""The sweeper: it mends at its start, after each pause, when woken, and after errors."""

from __future__ import annotations

import queue
import threading

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Finding
from image_processor.standalone.reconcile_loop import Sweeper, mend
from support.ingest import BUCKET, Room
from support.memory import MemoryStore

WAIT = 30
NEVER = 10_000.0


class Scripted:
    """A Reconciler whose searches are given; an exception among the findings is raised."""

    def __init__(self, *searches):
        self.processed = MemoryStore()
        self.searches = list(searches)
        self.begun = queue.Queue()

    def findings(self):
        search = self.searches.pop(0) if self.searches else []
        self.begun.put(len(search))
        for found in search:
            if isinstance(found, Exception):
                raise found
            yield found


def finding(key):
    return Finding(key, Drift.MISSING, Upload(BUCKET, key, UploadKind.RECONCILE))


@pytest.fixture
def sweeping():
    """Starts a sweeper; gives the queue of what it submits. Stops it at the end."""
    started = []

    def start(reconciler, seconds):
        submitted = queue.Queue()
        sweeper = Sweeper(reconciler, submitted.put, seconds)
        sweeper.start()
        started.append(sweeper)
        return sweeper, submitted

    yield start
    for sweeper in started:
        sweeper.stop()


def test_a_sweep_at_the_start_submits_what_a_real_search_finds(sweeping):
    room = Room()
    room.put("lost.jpg", b"x")
    _, submitted = sweeping(room.reconciler(), NEVER)
    assert submitted.get(timeout=WAIT) == Upload(BUCKET, "lost.jpg", UploadKind.RECONCILE)


def test_the_next_sweep_comes_after_the_pause(sweeping):
    reconciler = Scripted([finding("a")], [finding("b")])
    _, submitted = sweeping(reconciler, 0.001)
    assert [submitted.get(timeout=WAIT).key for _ in range(2)] == ["a", "b"]


def test_soon_ends_the_pause(sweeping):
    reconciler = Scripted([finding("a")], [finding("b")])
    sweeper, submitted = sweeping(reconciler, NEVER)
    assert submitted.get(timeout=WAIT).key == "a"
    sweeper.soon()
    assert submitted.get(timeout=WAIT).key == "b"


def test_a_sweep_that_fails_is_not_the_last(sweeping, caplog):
    reconciler = Scripted([finding("a"), Unavailable("no disk"), finding("b")], [finding("c")])
    _, submitted = sweeping(reconciler, 0.001)
    assert [submitted.get(timeout=WAIT).key for _ in range(2)] == ["a", "c"]
    assert "sweep stopped early, the next one goes on: no disk" in caplog.text


def test_a_stop_does_not_wait_for_the_pause_or_the_rest_of_the_findings():
    held, go_on = threading.Event(), threading.Event()
    submitted = []

    def submit(upload):
        submitted.append(upload.key)
        held.set()
        go_on.wait(WAIT)

    sweeper = Sweeper(Scripted([finding("a"), finding("b")]), submit, NEVER)
    sweeper.start()
    assert held.wait(WAIT)
    stopper = threading.Thread(target=sweeper.stop)
    stopper.start()
    while not sweeper._stopping:
        threading.Event().wait(0.001)
    go_on.set()
    stopper.join(WAIT)
    assert not stopper.is_alive()
    assert submitted == ["a"]


def test_a_stray_object_is_deleted():
    store = MemoryStore()
    store.put("long~hash/w=1,fm=jpeg.jpg", b"x", Attributes())
    orphan = Finding("long~hash/w=1,fm=jpeg.jpg", Drift.ORPHANED, None, orphan="long~hash/w=1,fm=jpeg.jpg")
    mend(orphan, store, lambda upload: pytest.fail(f"submitted {upload}"))
    assert store.bodies() == {}
