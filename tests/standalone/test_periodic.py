"""The thread that does one thing at intervals."""

from __future__ import annotations

import queue

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.standalone.periodic import Periodic


def test_an_error_is_logged_once_and_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    calls: queue.Queue[int] = queue.Queue()

    def act() -> None:
        calls.put(calls.qsize())
        raise Unavailable("the table does not respond")

    periodic = Periodic("the lease", 0.001, act)
    periodic.start()
    for _ in range(3):
        calls.get(timeout=30)
    periodic.stop()
    assert caplog.text.count("the lease failed, and is tried again in 0.001 s") == 1


def test_a_mistake_in_the_program_does_not_end_the_thread_either(caplog: pytest.LogCaptureFixture) -> None:
    calls: queue.Queue[int] = queue.Queue()

    def act() -> None:
        calls.put(calls.qsize())
        raise KeyError("claim_owner")

    periodic = Periodic("the lease", 0.001, act)
    periodic.start()
    for _ in range(3):
        calls.get(timeout=30)
    periodic.stop()
    assert caplog.text.count("the lease failed, and is tried again in 0.001 s: 'claim_owner'") == 1
    assert caplog.text.count("Traceback") == 1


def test_a_stop_ends_the_pause() -> None:
    called: queue.Queue[None] = queue.Queue()
    periodic = Periodic("nothing", 10_000, lambda: called.put(None))
    periodic.start()
    called.get(timeout=30)
    periodic.stop()
    assert called.empty()
