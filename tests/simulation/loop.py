"""Simulated time and threads that take turns: threads switch only at calls.

Each thread is a greenlet. It runs until it sleeps or waits; then the thread that is due next runs.
All sleeps are drawn from the seed, so one seed has one order of all calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

_CALLBACK = -1


class Killed(BaseException):
    """The process was killed. A BaseException, so that no handler of the code catches it."""


class Process:
    """An operating system process: its threads are killed together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.threads: list[Thread] = []
        self.wrote_at = 0.0
        """When it last wrote a record, and when it last acquired a lease."""
        self.acquired_at = -1.0
        self.unsure = False
        """Whether it cannot know if it has a lease: a call to acquire or release one has failed."""
        self.deletes_orphan = False
        """Whether it is reconcile, which deletes some renditions without a lease."""
        self.holds: set[str] = set()
        """The ids of originals whose lease it has acquired and not given back; it may have expired."""
        self.conflicts: set[str] = set()
        """The renditions of which it has met another version than the one that it expected."""

    def check(self) -> None:
        """Raise Killed if the process is dead, so that no thread of it does anything more."""
        if not self.alive:
            raise Killed


class Thread(greenlet):  # type: ignore[misc]  # greenlet has no types
    """One thread of a process. Its errors propagate to the loop unless the process is dead."""

    process: Process
    ended: Promise
    turn = 0
    """The number of times it has run. A wake-up for an earlier turn is void."""


class Promise:
    """A value that one thread sets and others wait for."""

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiting: list[Thread] = []
        self.cancelled = False


class Loop:
    """The clock, in seconds, and the scheduler of threads and callbacks."""

    running: Loop

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Any, int]] = []
        self._pushed = 0
        self.scheduled = 0
        """The number of callbacks of `at` that have not run yet."""
        self._main = getcurrent()
        Loop.running = self

    def start(self, process: Process, work: Callable[[], object], after: float = 0.0) -> Thread:
        """Start a thread of ``process`` that runs ``work``, after so many seconds."""

        def run() -> None:
            try:
                work()
            except Killed:
                process.alive = False
            finally:
                self.resolve(thread.ended)

        thread = Thread(run, self._main)
        thread.process, thread.ended = process, Promise()
        process.threads.append(thread)
        self._push(self.now + after, thread)
        return thread

    def at(self, at: float, happen: Callable[[], object]) -> None:
        """Call ``happen`` at a time, outside any thread: it cannot sleep."""
        self.scheduled += 1
        self._pushed += 1
        heappush(self._due, (max(self.now, at), self._pushed, happen, _CALLBACK))

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread; others run meanwhile."""
        thread, at = self.thread(), self.now + seconds
        if self._due and self._due[0][0] <= at:
            self._push(at, thread)
            self._main.switch()
        else:  # nothing else is due before: it would run next
            self.now = at
            thread.turn += 1
        thread.process.check()

    def wake(self, thread: Thread) -> None:
        """Resume a sleeping thread now."""
        self._push(self.now, thread)

    def wait(self, promise: Promise) -> Any:
        """Suspend the calling thread until ``promise`` is set; returns its value or raises its error."""
        thread = self.thread()
        while not promise.done:
            promise.waiting.append(thread)
            self._main.switch()
            thread.process.check()
        if promise.error is not None:
            raise promise.error
        return promise.value

    def resolve(self, promise: Promise, value: object = None, error: BaseException | None = None) -> None:
        promise.done, promise.value, promise.error = True, value, error
        for thread in promise.waiting:
            self._push(self.now, thread)
        promise.waiting.clear()

    def thread(self) -> Thread:
        current = getcurrent()
        assert isinstance(current, Thread), "only a simulated thread can rest"
        return current

    def run(self) -> None:
        """Run until no thread and no callback is due any more."""
        while self._due:
            at, _, thread, turn = heappop(self._due)
            if turn == _CALLBACK:
                self.now, self.scheduled = max(self.now, at), self.scheduled - 1
                thread()
                continue
            if thread.dead or thread.turn != turn:
                continue
            self.now = max(self.now, at)
            thread.turn += 1
            thread.switch()
            if not thread.process.alive:
                self.kill(thread.process)

    def kill(self, process: Process) -> None:
        """Kill a process as kill -9 does: none of its code has any further effect."""
        process.alive = False
        for thread in process.threads:
            if not thread.dead:
                with suppress(Killed):  # raised here by a thread that has not begun
                    thread.throw(Killed)
        process.threads.clear()

    def _push(self, at: float, thread: Thread) -> None:
        self._pushed += 1
        heappush(self._due, (at, self._pushed, thread, thread.turn))


class SimulatedFuture:
    """A concurrent.futures.Future, as far as the package uses it."""

    def __init__(self, promise: Promise) -> None:
        self._promise = promise

    def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - as Future's
        return Loop.running.wait(self._promise)

    def cancel(self) -> bool:
        self._promise.cancelled = True
        return not self._promise.done


class SimulatedExecutor(Executor):
    """A ThreadPoolExecutor whose threads are threads of the loop."""

    def __init__(self, max_workers: int = 8) -> None:
        self._loop = Loop.running
        self._process = self._loop.thread().process
        self._idle = max_workers
        self._jobs: deque[tuple[Promise, Callable[[], Any]]] = deque()
        self._working: list[Promise] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        promise = Promise()
        self._jobs.append((promise, lambda: fn(*args, **kwargs)))
        if self._idle:
            self._idle -= 1
            ended = Promise()
            self._working.append(ended)
            self._loop.start(self._process, lambda: self._work(ended))
        return SimulatedFuture(promise)

    def _work(self, ended: Promise) -> None:
        while self._jobs:
            promise, job = self._jobs.popleft()
            if promise.cancelled:
                continue
            try:
                self._loop.resolve(promise, job())
            except Killed:
                raise
            except BaseException as error:  # noqa: BLE001 - as a Future, which keeps any error
                self._loop.resolve(promise, error=error)
        self._idle += 1
        self._loop.resolve(ended)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        if self._process.alive:
            for ended in self._working:
                self._loop.wait(ended)
