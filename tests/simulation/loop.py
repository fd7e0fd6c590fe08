"""Simulated time, and threads that take turns: only at a call may another one go on.

Each thread is a greenlet. It runs until it sleeps or waits; then the one whose time is next goes
on. As all sleeps are drawn from the seed, one seed is one order of everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

_HAPPENS = -1


class Killed(BaseException):
    """The process is dead. Not an Exception: nothing may catch it and go on."""


class Process:
    """Threads that live and die together, as the operating system has it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.threads: list[Thread] = []
        self.wrote_at = 0.0
        """When it last changed a record, and when it last got a claim."""
        self.claimed_at = -1.0
        self.unsure = False
        """Whether it cannot know if a claim is its own: the call that took or gave it up failed."""

    def check(self) -> None:
        """Raise Killed if the process is dead: whatever still runs of it can do nothing more."""
        if not self.alive:
            raise Killed


class Thread(greenlet):
    """One thread of a process. What it raises reaches the loop, unless it is dead by then."""

    process: Process
    ended: Promise
    turn = 0
    """Grows whenever the thread goes on; a time set for an earlier turn has passed."""


class Promise:
    """A value that a thread will set; others wait for it."""

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiting: list[Thread] = []
        self.cancelled = False


class Loop:
    """The clock, in seconds, and who goes on when."""

    running: Loop

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Any, int]] = []
        self._pushed = 0
        self.coming = 0
        """Things that `at` was told of and that have not happened yet."""
        self._main = getcurrent()
        Loop.running = self

    def start(self, process: Process, work: Callable[[], object], after: float = 0.0) -> Thread:
        """Begin a thread of ``process`` that does ``work``, in so many seconds."""

        def run() -> None:
            try:
                work()
            except Killed:
                process.alive = False
            finally:
                self.keep(thread.ended)

        thread = Thread(run, self._main)
        thread.process, thread.ended = process, Promise()
        process.threads.append(thread)
        self._push(self.now + after, thread)
        return thread

    def at(self, at: float, happen: Callable[[], object]) -> None:
        """Let something happen at a time, in no thread: it cannot sleep."""
        self.coming += 1
        self._pushed += 1
        heappush(self._due, (max(self.now, at), self._pushed, happen, _HAPPENS))

    def sleep(self, seconds: float) -> None:
        """Let the calling thread rest, and others go on."""
        thread = self.thread()
        self._push(self.now + seconds, thread)
        self._main.switch()
        thread.process.check()

    def wake(self, thread: Thread) -> None:
        """Let a sleeping thread go on now."""
        self._push(self.now, thread)

    def wait(self, promise: Promise) -> Any:
        """What ``promise`` is kept with, or the error it ended by."""
        thread = self.thread()
        while not promise.done:
            promise.waiting.append(thread)
            self._main.switch()
            thread.process.check()
        if promise.error is not None:
            raise promise.error
        return promise.value

    def keep(self, promise: Promise, value: object = None, error: BaseException | None = None) -> None:
        promise.done, promise.value, promise.error = True, value, error
        for thread in promise.waiting:
            self._push(self.now, thread)
        promise.waiting.clear()

    def thread(self) -> Thread:
        current = getcurrent()
        assert isinstance(current, Thread), "only a simulated thread can rest"
        return current

    def run(self) -> None:
        """Go on until no thread is left that will ever go on."""
        while self._due:
            at, _, thread, turn = heappop(self._due)
            if turn == _HAPPENS:
                self.now, self.coming = max(self.now, at), self.coming - 1
                thread()
                continue
            if thread.dead or thread.turn != turn:
                continue
            self.now = max(self.now, at)
            thread.turn += 1
            thread.switch()
            if not thread.process.alive:
                self.bury(thread.process)

    def bury(self, process: Process) -> None:
        """End a process as kill -9 does: no line of it runs that could touch anything."""
        process.alive = False
        for thread in process.threads:
            if not thread.dead:
                with suppress(Killed):  # of a thread that has not begun, it ends up here
                    thread.throw(Killed)
        process.threads.clear()

    def _push(self, at: float, thread: Thread) -> None:
        self._pushed += 1
        heappush(self._due, (at, self._pushed, thread, thread.turn))


class Later:
    """What concurrent.futures.Future is to an Executor's map."""

    def __init__(self, promise: Promise) -> None:
        self._promise = promise

    def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - as Future's
        return Loop.running.wait(self._promise)

    def cancel(self) -> bool:
        self._promise.cancelled = True
        return not self._promise.done


class Pool(Executor):
    """ThreadPoolExecutor, with threads of the loop."""

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
        return Later(promise)

    def _work(self, ended: Promise) -> None:
        while self._jobs:
            promise, job = self._jobs.popleft()
            if promise.cancelled:
                continue
            try:
                self._loop.keep(promise, job())
            except Killed:
                raise
            except BaseException as error:  # noqa: BLE001 - as a Future, which hands on whatever it was
                self._loop.keep(promise, error=error)
        self._idle += 1
        self._loop.keep(ended)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        if self._process.alive:
            for ended in self._working:
                self._loop.wait(ended)
