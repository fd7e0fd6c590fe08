"""A worker killed at any of its I/O calls leaves old or new renditions, and later work converges."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import LeaseBusy, Unavailable
from image_processor.domain.models import UploadKind
from support.ingest import IngestFixture, upload


class Killed(BaseException):
    """A BaseException, so that no handler of the code catches it."""


class FaultyPort:
    """A port whose calls go through a shared counter, which may raise before or after a call."""

    def __init__(self, inner, counter):
        self._inner = inner
        self._counter = counter

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        def call(*args, **kwargs):
            return self._counter.around(lambda: method(*args, **kwargs))

        return call if callable(method) and name != "bodies" else method


class Counter:
    """Raises ``error`` at the given point; each call has two points, before and after it."""

    def __init__(self, point, error=Killed):
        self.points = 0
        self._lock = threading.Lock()  # renditions are written by several threads
        self._point = point
        self._error = error

    def around(self, call):
        self._pass_point()
        result = call()
        self._pass_point()
        return result

    def _pass_point(self):
        with self._lock:
            self.points += 1
            hit = self.points == self._point
        if hit:
            raise self._error


def faulty_worker(ingest, counter):
    """The fixture with faulty ports, as one worker sees it. A killed worker cannot release its lease."""
    view = IngestFixture(ingest.uploads, ingest.processed, ingest.catalog, ingest.recipe, now=ingest.now)
    for part in ("uploads", "processed", "catalog"):
        setattr(view, part, FaultyPort(getattr(ingest, part), counter))
    return view


def finishes(view, event, error):
    """Whether the worker with the faulty ports does all work, its messages included."""
    try:
        return not view.processor().process(event).unsent
    except error:
        return False


def prepare(scenario):
    """A fixture, and the event that the killed worker gets."""
    ingest = IngestFixture()
    if scenario == "created":
        ingest.put("cat.jpg", b"cat")
        return ingest, upload("cat.jpg")
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    if scenario == "overwritten":
        ingest.put("cat.jpg", b"dog")
        return ingest, upload("cat.jpg")
    if scenario == "refused":
        ingest.put("cat.jpg", b"bad")
        return ingest, upload("cat.jpg")
    ingest.uploads.delete("cat.jpg")
    return ingest, upload("cat.jpg", kind=UploadKind.DELETED)


def points_of(scenario):
    ingest, event = prepare(scenario)
    counter = Counter(point=None)
    faulty_worker(ingest, counter).processor().process(event)
    return counter.points


SCENARIOS = ["created", "overwritten", "refused", "deleted"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_point_converges_with_the_next_event_or_reconcile(scenario):
    total = points_of(scenario)
    assert total > 10
    for point in range(1, total + 1):
        for repaired_by in ("event", "reconcile"):
            ingest, event = prepare(scenario)
            with pytest.raises(Killed):
                faulty_worker(ingest, Counter(point)).processor().process(event)
            ingest.advance()
            if repaired_by == "event":
                ingest.processor().process(event)
            else:
                for finding in list(ingest.reconciler().findings()):
                    ingest.processor().process(finding.upload)
            ingest.assert_converged()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_failed_call_at_any_point_converges_by_retrying(scenario):
    for point in range(1, points_of(scenario) + 1):
        ingest, event = prepare(scenario)
        with pytest.raises(Unavailable):
            faulty_worker(ingest, Counter(point, Unavailable)).processor().process(event)
        ingest.advance()
        ingest.processor().process(event)
        ingest.assert_converged()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a.jpg", "a.jpg/b.jpg", "a"]),
        st.sampled_from([b"one", b"two", b"bad", None]),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=8,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_shuffled_duplicated_lost_events_and_crashes_converge(history, random):
    """Originals change; events come in any order, twice or never; workers are killed."""
    ingest = IngestFixture()
    events = []
    points = count()
    for key, body, kill in history:
        if body is None:
            ingest.uploads.delete(key)
        else:
            ingest.put(key, body)
        event = upload(
            key,
            kind=UploadKind.DELETED if body is None else UploadKind.CREATED,
            sequencer=f"{next(points):x}",
        )
        events += [(event, kill), (event, 0)]
    random.shuffle(events)
    for event, kill in events[: len(events) * 3 // 4]:
        try:
            faulty_worker(ingest, Counter(kill or None)).processor().process(event)
        except (Killed, LeaseBusy):
            ingest.advance(random.choice([1, 61]))
    ingest.advance()
    for finding in list(ingest.reconciler().findings()):
        ingest.processor().process(finding.upload)
    ingest.assert_converged()
    assert {record.key for record in ingest.catalog.scan()} == set(ingest.uploads.bodies())
