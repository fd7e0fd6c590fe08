"""The queue of one machine: one pair of hands per key, retries, duplicates, a graceful stop."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager

import pytest

from image_processor.domain.errors import InvalidKey, LeaseBusy, Unavailable
from image_processor.domain.models import Outcome, OutcomeStatus, Upload, UploadKind
from image_processor.standalone import workers as module
from image_processor.standalone.progress import EventType, Progress
from image_processor.standalone.workers import MAX_ATTEMPTS, Workers

WAIT = 30
"""Seconds until a test that waits for something that never comes fails; nothing is timed."""


class Log(Progress):
    """A Progress that remembers what was published."""

    def __init__(self):
        super().__init__()
        self.events = []

    def publish(self, event):
        self.events.append((event.type, event.key))
        return super().publish(event)


class Crew:
    """Workers over one function, with their log; opened desks are counted."""

    def __init__(self, work, count=2):
        self.log = Log()
        self.desks = []

        @contextmanager
        def desk():
            self.desks.append("open")
            yield work
            self.desks.append("closed")

        self.workers = Workers(desk, count, self.log)
        self.submit = self.workers.submit

    def __enter__(self):
        self.workers.start()
        return self

    def __exit__(self, *_):
        self.workers.stop()


def done(upload):
    return Outcome(upload.key, OutcomeStatus.PROCESSED)


def photo(key="cat.jpg", kind=UploadKind.CREATED):
    return Upload("uploads", key, kind)


def test_an_upload_is_worked_on_and_told_about():
    with Crew(done) as crew:
        assert crew.submit(photo()).result(WAIT) == Outcome("cat.jpg", OutcomeStatus.PROCESSED)
        crew.workers.wait_until_idle()
        assert crew.workers.backlog() == 0
    assert crew.log.events == [
        (EventType.QUEUED, "cat.jpg"),
        (EventType.STARTED, "cat.jpg"),
        (EventType.PROCESSED, "cat.jpg"),
    ]
    assert crew.desks == ["open", "open", "closed", "closed"]


def test_nobody_hears_of_a_start_before_the_wait():
    """Whoever publishes QUEUED dawdles, so that a worker that could go ahead would."""
    started = threading.Event()

    class Slow(Log):
        def publish(self, event):
            if event.type is EventType.QUEUED:
                started.wait(0.2)
            if event.type is EventType.STARTED:
                started.set()
            return super().publish(event)

    crew = Crew(done)
    crew.workers._progress = crew.log = Slow()
    with crew:
        crew.submit(photo()).result(WAIT)
    assert [type_ for type_, _ in crew.log.events][:2] == [EventType.QUEUED, EventType.STARTED]


def test_one_key_is_in_one_pair_of_hands_and_different_keys_are_not_held_up():
    at_work = defaultdict(int)
    most = []
    both = threading.Barrier(2)
    lock = threading.Lock()

    def work(upload):
        with lock:
            at_work[upload.key] += 1
            most.append(at_work[upload.key])
        if upload.kind is UploadKind.CREATED:
            both.wait(WAIT)
        with lock:
            at_work[upload.key] -= 1
        return done(upload)

    with Crew(work, count=4) as crew:
        first = [crew.submit(photo(key)) for key in ("a", "b")]
        again = [crew.submit(photo(key, UploadKind.REPROCESS)) for key in ("a", "b") for _ in range(5)]
        for wait in first + again:
            wait.result(WAIT)
    assert set(most) == {1}


def test_duplicates_of_a_waiting_key_become_one_job_and_the_wish_to_make_anew_survives():
    seen = []
    hold, held = threading.Event(), threading.Event()

    def work(upload):
        seen.append((upload.key, upload.kind))
        if upload.key == "first":
            held.set()
            hold.wait(WAIT)
        return done(upload)

    with Crew(work, count=1) as crew:
        crew.submit(photo("first"))
        held.wait(WAIT)
        kinds = (UploadKind.CREATED, UploadKind.REPROCESS, UploadKind.DELETED)
        waits = [crew.submit(photo("cat", kind)) for kind in kinds]
        assert crew.workers.backlog() == 2
        hold.set()
        assert {wait.result(WAIT) for wait in waits} == {Outcome("cat", OutcomeStatus.PROCESSED)}
    assert seen == [("first", UploadKind.CREATED), ("cat", UploadKind.REPROCESS)]


def test_an_event_that_comes_during_work_is_worked_on_afterwards():
    started, go_on = threading.Event(), threading.Event()
    runs = []

    def work(upload):
        runs.append(upload)
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    with Crew(work) as crew:
        first = crew.submit(photo())
        started.wait(WAIT)
        second = crew.submit(photo())
        assert not second.done()
        go_on.set()
        first.result(WAIT)
        second.result(WAIT)
    assert len(runs) == 2


@pytest.mark.parametrize("failures", [1, 3])
def test_a_transient_error_is_tried_again(failures, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    errors = [LeaseBusy("busy")] * failures

    def work(upload):
        if errors:
            raise errors.pop()
        return done(upload)

    with Crew(work) as crew:
        assert crew.submit(photo()).result(WAIT).status is OutcomeStatus.PROCESSED
    assert [type_ for type_, _ in crew.log.events].count(EventType.RETRYING) == failures


def test_a_job_that_never_succeeds_is_given_up_for_the_sweep(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0001)
    tries = []

    def work(upload):
        tries.append(upload)
        raise Unavailable("never")

    with Crew(work) as crew:
        with pytest.raises(Unavailable, match="never"):
            crew.submit(photo()).result(WAIT)
        crew.workers.wait_until_idle()
    assert len(tries) == MAX_ATTEMPTS
    assert crew.log.events[-1] == (EventType.FAILED, "cat.jpg")


def test_news_of_a_pausing_key_is_worth_a_try_at_once(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 1000.0)
    space = threading.Event()

    def work(upload):
        if not space.is_set():
            raise Unavailable("the disk is full")
        return done(upload)

    with Crew(work) as crew:
        first = crew.submit(photo())
        while (EventType.RETRYING, "cat.jpg") not in crew.log.events:
            threading.Event().wait(0.001)
        space.set()
        assert crew.submit(photo(kind=UploadKind.DELETED)).result(WAIT).status is OutcomeStatus.PROCESSED
        assert first.result(WAIT).status is OutcomeStatus.PROCESSED


def test_a_bug_in_one_job_does_not_end_the_worker(caplog):
    def work(upload):
        if upload.key == "bug":
            raise ZeroDivisionError
        return done(upload)

    with Crew(work, count=1) as crew:
        with pytest.raises(ZeroDivisionError):
            crew.submit(photo("bug")).result(WAIT)
        assert crew.submit(photo("fine")).result(WAIT).status is OutcomeStatus.PROCESSED
    assert "work on 'bug' failed" in caplog.text


def test_a_key_that_no_store_holds_is_an_error_at_once():
    with Crew(done) as crew, pytest.raises(InvalidKey):
        crew.submit(photo("../cat.jpg"))


def test_a_stop_finishes_what_is_in_work_and_gives_up_what_waits():
    started, go_on = threading.Event(), threading.Event()

    def work(upload):
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    crew = Crew(work, count=1)
    with crew:
        in_work = crew.submit(photo("in-work"))
        started.wait(WAIT)
        waiting = crew.submit(photo("waiting"))
        stopper = threading.Thread(target=crew.workers.stop)
        stopper.start()
        with pytest.raises(Unavailable, match="stopping"):
            waiting.result(WAIT)
        go_on.set()
        stopper.join()
        assert in_work.result(0).status is OutcomeStatus.PROCESSED
        with pytest.raises(Unavailable):
            crew.submit(photo("late")).result(WAIT)
    assert crew.desks == ["open", "closed"]


def test_a_waiter_that_gave_up_waiting_harms_nobody():
    started, go_on = threading.Event(), threading.Event()

    def work(upload):
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    with Crew(work) as crew:
        first, second = crew.submit(photo("a")), None
        started.wait(WAIT)
        second = crew.submit(photo("a"))
        assert second.cancel()
        go_on.set()
        assert first.result(WAIT).status is OutcomeStatus.PROCESSED
        crew.workers.wait_until_idle()
