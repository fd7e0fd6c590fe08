"""A worker that dies at any one of its I/O calls leaves old or new, and what follows converges."""

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
    """Not an Exception: nothing may catch it and go on."""


class Faulty:
    """Every method call goes through a shared counter, which may kill before or after the call."""

    def __init__(self, inner, counter):
        self._inner = inner
        self._counter = counter

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        def call(*args, **kwargs):
            return self._counter.around(lambda: method(*args, **kwargs))

        return call if callable(method) and name != "bodies" else method


class Counter:
    """Kills at the given point: two points per call, one before it happens and one after."""

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


def faulty(room, counter):
    """The room as one worker sees it; a dead worker cannot give its claim back."""
    view = IngestFixture(room.uploads, room.processed, room.catalog, room.recipe, now=room.now)
    for part in ("uploads", "processed", "catalog"):
        setattr(view, part, Faulty(getattr(room, part), counter))
    return view


def prepare(story):
    """A room and the event that comes to the worker which will die."""
    room = IngestFixture()
    if story == "created":
        room.put("cat.jpg", b"cat")
        return room, upload("cat.jpg")
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    if story == "overwritten":
        room.put("cat.jpg", b"dog")
        return room, upload("cat.jpg")
    if story == "refused":
        room.put("cat.jpg", b"bad")
        return room, upload("cat.jpg")
    room.uploads.delete("cat.jpg")
    return room, upload("cat.jpg", kind=UploadKind.DELETED)


def points_of(story):
    room, event = prepare(story)
    counter = Counter(point=None)
    faulty(room, counter).processor().process(event)
    return counter.points


STORIES = ["created", "overwritten", "refused", "deleted"]


@pytest.mark.parametrize("story", STORIES)
def test_a_kill_at_any_point_converges_with_the_next_event_or_reconcile(story):
    total = points_of(story)
    assert total > 10
    for point in range(1, total + 1):
        for mended_by in ("event", "reconcile"):
            room, event = prepare(story)
            with pytest.raises(Killed):
                faulty(room, Counter(point)).processor().process(event)
            room.advance()
            if mended_by == "event":
                room.processor().process(event)
            else:
                for finding in list(room.reconciler().findings()):
                    room.processor().process(finding.upload)
            room.assert_converged()


@pytest.mark.parametrize("story", STORIES)
def test_a_failed_call_at_any_point_converges_by_retrying(story):
    for point in range(1, points_of(story) + 1):
        room, event = prepare(story)
        with pytest.raises(Unavailable):
            faulty(room, Counter(point, Unavailable)).processor().process(event)
        room.advance()
        room.processor().process(event)
        room.assert_converged()


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
    """The originals change; their events come in any order, twice or never; workers die."""
    room = IngestFixture()
    events = []
    points = count()
    for key, body, kill in history:
        if body is None:
            room.uploads.delete(key)
        else:
            room.put(key, body)
        event = upload(
            key,
            kind=UploadKind.DELETED if body is None else UploadKind.CREATED,
            sequencer=f"{next(points):x}",
        )
        events += [(event, kill), (event, 0)]
    random.shuffle(events)
    for event, kill in events[: len(events) * 3 // 4]:
        try:
            faulty(room, Counter(kill or None)).processor().process(event)
        except (Killed, LeaseBusy):
            room.advance(random.choice([1, 61]))
    room.advance()
    for finding in list(room.reconciler().findings()):
        room.processor().process(finding.upload)
    room.assert_converged()
    assert {record.key for record in room.catalog.scan()} == set(room.uploads.bodies())
