"""Render, between steps 2 and 3: the threads of the encoders of one original. The memory of encoders is
bounded as well as their number.

An AVIF encoder takes 22 bytes a pixel, so two large ones at a time double what a machine has to have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec import Struct

MAX_BYTES = 64 * 1024**2
"""What encoders that run at a time may take together. One that takes more runs alone."""


class _Task(Struct, frozen=True, eq=False):
    memory: int
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: Future[Any]


class Encoders(Protocol):
    """Runs the encoders of one original."""

    def submit(self, memory: int, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """The future of ``call``, which takes about ``memory`` bytes."""
        ...


class EncoderThreads:
    """At most ``count`` threads. Of the tasks that wait, the first one that has room runs, so a large encoder
    holds up no small one. As a context manager it ends when all tasks have. Only one thread may submit."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor = ThreadPoolExecutor(count)
        self._changed = threading.Condition()
        self._waiting: list[_Task] = []
        self._running: list[_Task] = []
        self._thread_count = 0
        self._is_complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()
        self._executor.shutdown()

    def submit(self, memory: int, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        task = _Task(memory, call, arguments, Future())
        with self._changed:
            self._waiting.append(task)
            self._changed.notify_all()
        if self._thread_count < self._count:
            self._executor.submit(self._work)
            self._thread_count += 1
        return task.future

    def _work(self) -> None:
        """Run tasks until all are done."""
        while (task := self._take()) is not None:
            try:
                task.future.set_result(task.call(*task.arguments))
            except BaseException as error:  # noqa: BLE001 - raised where the result is read
                task.future.set_exception(error)
            finally:
                with self._changed:
                    self._running.remove(task)
                    self._changed.notify_all()

    def _take(self) -> _Task | None:
        """The next task, once it has room. None when there will be no more."""
        with self._changed:
            while (task := self._next()) is None:
                if self._is_complete and not self._waiting:
                    return None
                self._changed.wait()
            self._waiting.remove(task)
            self._running.append(task)
            return task

    def _next(self) -> _Task | None:
        if not self._running:
            return self._waiting[0] if self._waiting else None
        room = MAX_BYTES - sum(task.memory for task in self._running)
        return next((task for task in self._waiting if task.memory <= room), None)


class InlineEncoder:
    """Runs each task at once, in the calling thread: a thread for a single one overlaps with nothing, and
    costs about a millisecond."""

    def submit(self, memory: int, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        del memory
        future: Future[Any] = Future()
        future.set_result(call(*arguments))
        return future
