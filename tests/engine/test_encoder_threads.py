"""The threads of the encoders: how many run at a time, and which."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from drawing import encoded, flat

from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine import render as render_module
from image_processor.engine.encoder_threads import MAX_BYTES, EncoderThreads
from support.waiting import wait_for

_HALF = MAX_BYTES // 2


class _Tasks:
    """Tasks that run until they are released."""

    def __init__(self, encoders: EncoderThreads) -> None:
        self._encoders = encoders
        self._may_end: dict[str, threading.Event] = {}
        self.running: list[str] = []

    def submit(self, name: str, memory: int) -> None:
        self._may_end[name] = threading.Event()
        self._encoders.submit(memory, self._run, name)

    def end(self, name: str) -> None:
        self._may_end[name].set()

    def _run(self, name: str) -> None:
        self.running.append(name)
        assert self._may_end[name].wait(20)
        self.running.remove(name)


def _runs(tasks: _Tasks, *names: str) -> Callable[[], bool]:
    return lambda: sorted(tasks.running) == sorted(names)


def test_encoders_run_together_as_far_as_their_memory_has_room() -> None:
    with EncoderThreads(2) as encoders:
        tasks = _Tasks(encoders)
        tasks.submit("large", _HALF + 1)
        tasks.submit("as large", _HALF + 1)
        tasks.submit("small", 1)
        tasks.submit("also small", 1)
        wait_for(_runs(tasks, "large", "small"), "the small one beside the first")
        tasks.end("small")
        wait_for(_runs(tasks, "large", "also small"), "the next that has room")
        tasks.end("large")
        wait_for(_runs(tasks, "as large", "also small"), "the other large one")
        tasks.end("as large")
        tasks.end("also small")
    assert tasks.running == []


def test_one_that_takes_more_than_all_may_runs_alone() -> None:
    with EncoderThreads(2) as encoders:
        tasks = _Tasks(encoders)
        tasks.submit("first", 1)
        wait_for(_runs(tasks, "first"), "the first")
        tasks.submit("huge", 2 * MAX_BYTES)
        tasks.submit("second", 1)
        wait_for(_runs(tasks, "first", "second"), "what has room")
        tasks.end("first")
        tasks.end("second")
        wait_for(_runs(tasks, "huge"), "the huge one, alone")
        tasks.submit("third", 1)
        assert tasks.running == ["huge"]
        tasks.end("huge")
        wait_for(_runs(tasks, "third"), "the third")
        tasks.end("third")


def test_an_error_is_raised_where_the_result_is_read_and_others_go_on() -> None:
    def fail() -> None:
        raise ValueError("no")

    with EncoderThreads(1) as encoders:
        failed = encoders.submit(MAX_BYTES, fail)
        finished = encoders.submit(MAX_BYTES, int, "7")
    with pytest.raises(ValueError, match="no"):
        failed.result()
    assert finished.result() == 7


def test_large_avif_renditions_are_not_encoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,500 x 1,100 pixels at 22 bytes each are more than half of what may run."""
    lock, running, together = threading.Lock(), [0], [0]
    run_job = render_module.run_job

    def counted(*arguments: object) -> object:
        with lock:
            running[0] += 1
            together[0] = max(together[0], running[0])
        try:
            return run_job(*arguments)  # type: ignore[arg-type]  # as it was called
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(render_module, "run_job", counted)
    transformations = [parse(f"w=1500,fm=avif,q={quality}") for quality in (30, 31, 32)]
    data = encoded(flat("red", size=(1600, 1200)))
    rendered = render_module.render(data, transformations, Limits(), summary=False)
    assert len(rendered.renditions) == 3
    assert together == [1]
