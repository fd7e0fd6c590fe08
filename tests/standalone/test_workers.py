"""The workers of one machine: one worker per key, retries, duplicates, a graceful stop."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from contextlib import contextmanager

import pytest

from image_processor.bootstrap.workers import open_workers
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InvalidKey, LeaseBusy, Unavailable, UnsafeRuntime
from image_processor.domain.models import Outcome, OutcomeStatus, Upload, UploadKind
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.engine.worker.renderer_group import RendererGroup
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


class Pool:
    """Workers over one function, with their log; opened worker contexts are counted."""

    def __init__(self, work, count=2):
        self.log = Log()
        self.contexts = []

        @contextmanager
        def worker_context():
            self.contexts.append("open")
            yield work
            self.contexts.append("closed")

        self.workers = Workers(worker_context, count, self.log)
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


def test_an_upload_is_processed_and_published():
    with Pool(done) as pool:
        assert pool.submit(photo()).result(WAIT) == Outcome("cat.jpg", OutcomeStatus.PROCESSED)
        pool.workers.wait_until_idle()
        assert pool.workers.backlog() == 0
    assert pool.log.events == [
        (EventType.QUEUED, "cat.jpg"),
        (EventType.STARTED, "cat.jpg"),
        (EventType.PROCESSED, "cat.jpg"),
    ]
    assert pool.contexts == ["open", "open", "closed", "closed"]


def test_queued_is_published_before_started():
    """Publishing QUEUED is slow here, so that a worker that could overtake it would."""
    started = threading.Event()

    class Slow(Log):
        def publish(self, event):
            if event.type is EventType.QUEUED:
                started.wait(0.2)
            if event.type is EventType.STARTED:
                started.set()
            return super().publish(event)

    pool = Pool(done)
    pool.workers._progress = pool.log = Slow()
    with pool:
        pool.submit(photo()).result(WAIT)
    assert [type_ for type_, _ in pool.log.events][:2] == [EventType.QUEUED, EventType.STARTED]


def test_one_worker_per_key_and_different_keys_in_parallel():
    running = defaultdict(int)
    counts = []
    both = threading.Barrier(2)
    lock = threading.Lock()

    def work(upload):
        with lock:
            running[upload.key] += 1
            counts.append(running[upload.key])
        if upload.kind is UploadKind.CREATED:
            both.wait(WAIT)
        with lock:
            running[upload.key] -= 1
        return done(upload)

    with Pool(work, count=4) as pool:
        first = [pool.submit(photo(key)) for key in ("a", "b")]
        again = [pool.submit(photo(key, UploadKind.REPROCESS)) for key in ("a", "b") for _ in range(5)]
        for wait in first + again:
            wait.result(WAIT)
    assert set(counts) == {1}


def test_duplicates_of_a_waiting_key_share_one_job_and_reprocess_is_kept():
    seen = []
    hold, held = threading.Event(), threading.Event()

    def work(upload):
        seen.append((upload.key, upload.kind))
        if upload.key == "first":
            held.set()
            hold.wait(WAIT)
        return done(upload)

    with Pool(work, count=1) as pool:
        pool.submit(photo("first"))
        held.wait(WAIT)
        kinds = (UploadKind.CREATED, UploadKind.REPROCESS, UploadKind.DELETED)
        waits = [pool.submit(photo("cat", kind)) for kind in kinds]
        assert pool.workers.backlog() == 2
        hold.set()
        assert {wait.result(WAIT) for wait in waits} == {Outcome("cat", OutcomeStatus.PROCESSED)}
    assert seen == [("first", UploadKind.CREATED), ("cat", UploadKind.REPROCESS)]


def test_an_event_during_processing_is_processed_afterwards():
    started, go_on = threading.Event(), threading.Event()
    runs = []

    def work(upload):
        runs.append(upload)
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    with Pool(work) as pool:
        first = pool.submit(photo())
        started.wait(WAIT)
        second = pool.submit(photo())
        assert not second.done()
        go_on.set()
        first.result(WAIT)
        second.result(WAIT)
    assert len(runs) == 2


@pytest.mark.parametrize("failures", [1, 3])
def test_a_transient_error_is_retried(failures, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    errors = [LeaseBusy("busy")] * failures

    def work(upload):
        if errors:
            raise errors.pop()
        return done(upload)

    with Pool(work) as pool:
        assert pool.submit(photo()).result(WAIT).status is OutcomeStatus.PROCESSED
    assert [type_ for type_, _ in pool.log.events].count(EventType.RETRYING) == failures


def test_a_job_that_never_succeeds_is_left_to_reconciliation(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0001)
    tries = []

    def work(upload):
        tries.append(upload)
        raise Unavailable("never")

    with Pool(work) as pool:
        with pytest.raises(Unavailable, match="never"):
            pool.submit(photo()).result(WAIT)
        pool.workers.wait_until_idle()
    assert len(tries) == MAX_ATTEMPTS
    assert pool.log.events[-1] == (EventType.FAILED, "cat.jpg")


def test_a_new_event_of_a_pausing_key_is_tried_at_once(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 1000.0)
    space = threading.Event()

    def work(upload):
        if not space.is_set():
            raise Unavailable("the disk is full")
        return done(upload)

    with Pool(work) as pool:
        first = pool.submit(photo())
        while (EventType.RETRYING, "cat.jpg") not in pool.log.events:
            threading.Event().wait(0.001)
        space.set()
        assert pool.submit(photo(kind=UploadKind.DELETED)).result(WAIT).status is OutcomeStatus.PROCESSED
        assert first.result(WAIT).status is OutcomeStatus.PROCESSED


def test_a_bug_in_one_job_does_not_end_the_worker(caplog):
    def work(upload):
        if upload.key == "bug":
            raise ZeroDivisionError
        return done(upload)

    with Pool(work, count=1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.submit(photo("bug")).result(WAIT)
        assert pool.submit(photo("fine")).result(WAIT).status is OutcomeStatus.PROCESSED
    assert "processing 'bug' failed" in caplog.text


def test_a_key_that_no_store_holds_is_rejected_at_once():
    with Pool(done) as pool, pytest.raises(InvalidKey):
        pool.submit(photo("../cat.jpg"))


def test_stop_finishes_running_jobs_and_fails_waiting_ones():
    started, go_on = threading.Event(), threading.Event()

    def work(upload):
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    pool = Pool(work, count=1)
    with pool:
        running = pool.submit(photo("running"))
        started.wait(WAIT)
        waiting = pool.submit(photo("waiting"))
        stopper = threading.Thread(target=pool.workers.stop)
        stopper.start()
        with pytest.raises(Unavailable, match="stopping"):
            waiting.result(WAIT)
        go_on.set()
        stopper.join()
        assert running.result(0).status is OutcomeStatus.PROCESSED
        with pytest.raises(Unavailable):
            pool.submit(photo("late")).result(WAIT)
    assert pool.contexts == ["open", "closed"]


def test_a_cancelled_waiter_does_not_disturb_the_others():
    started, go_on = threading.Event(), threading.Event()

    def work(upload):
        started.set()
        go_on.wait(WAIT)
        return done(upload)

    with Pool(work) as pool:
        first, second = pool.submit(photo("a")), None
        started.wait(WAIT)
        second = pool.submit(photo("a"))
        assert second.cancel()
        go_on.set()
        assert first.result(WAIT).status is OutcomeStatus.PROCESSED
        pool.workers.wait_until_idle()


def test_the_first_failure_and_the_last_are_logged_with_what_tries_again(monkeypatch, caplog):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "MAX_ATTEMPTS", 3)

    def work(_):
        raise Unavailable("no space left on device")

    pool = Pool(work)
    pool.workers._next_try = "another run"
    with pool, pytest.raises(Unavailable):
        pool.submit(photo()).result(WAIT)
    assert [record.message for record in caplog.records] == [
        "'cat.jpg' is tried again: no space left on device",
        "'cat.jpg' is left to another run: no space left on device",
    ]


def test_children_that_were_started_end_with_a_trial_that_fails(monkeypatch):
    group, started = RendererGroup(), []

    def unsafe(renderer):
        started.extend(other._child.pid for other in group._tried)
        renderer.close()
        raise UnsafeRuntime("expected a safe libvips")

    monkeypatch.setattr(IsolatedRenderer, "warm", unsafe)
    given = (Settings(workers=3), parse_recipe(DEFAULT_RECIPE), {}, "test:", Progress())
    with (
        pytest.raises(UnsafeRuntime),
        open_workers(*given, renderers=group, expected_uploads=3),
    ):
        pass
    (pid,) = started
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
