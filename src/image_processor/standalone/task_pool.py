"""Threads for named tasks: callers of a task that is waiting or running share its future, and when too many
wait, a task is rejected at once.

A client may have as many tasks as there is room left for others, so that it cannot keep them out. Of those
that wait, clients take turns; what is for the public is of one more client.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct

from image_processor.domain.errors import Overloaded, ShareExceeded, Unavailable

from .fair_queue import FairQueue, acting_for

_Result = TypeVar("_Result")


class _Task(Struct, Generic[_Result], frozen=True, eq=False):
    future: Future[_Result]
    call: Callable[[], _Result]


class TaskPool(Generic[_Result]):
    """``count`` threads, and at most ``max_waiting`` tasks that wait for one. ``what`` names the tasks in
    messages. Methods may be called from any thread."""

    def __init__(self, what: str, count: int, max_waiting: int) -> None:
        self._what = what
        self._max_tasks = max_waiting + count
        self._lock = threading.Lock()
        self._tasks: dict[str, Future[_Result]] = {}
        self._waiting: FairQueue[_Task[_Result]] = FairQueue()
        self._clients: Counter[str] = Counter()
        """How many of the tasks each client has begun."""
        self._executor = ThreadPoolExecutor(count, what.split(maxsplit=1)[0])
        self._closed = False

    def submit(self, name: str, task: Callable[[], _Result], client: str | None = None) -> Future[_Result]:
        """The future of ``task``, or of the task with the same ``name`` that is not done yet.

        Raises Overloaded if too many tasks wait, Unavailable after `close`, and ShareExceeded if a ``client``
        has begun as many as others may still begin. Without a ``client``, a task is for the public.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the server is stopping")
            if name in self._tasks:
                return self._tasks[name]
            if len(self._tasks) >= self._max_tasks:
                raise Overloaded(f"expected at most {self._max_tasks} {self._what}, got more")
            if client is not None:
                self._check_share(self._clients[client])
                self._clients[client] += 1
            future: Future[_Result] = Future()
            self._tasks[name] = future
            # The context of the request that began it: its id in the log, and its span.
            with acting_for(client or ""):
                self._waiting.add(name, _Task(future, partial(copy_context().run, task)))
            self._executor.submit(self._run_next)
        future.add_done_callback(lambda _: self._done(name, client))
        return future

    def backlog(self, prefix: str = "") -> int:
        """Tasks that wait or run and whose names begin with ``prefix``."""
        with self._lock:
            return sum(name.startswith(prefix) for name in self._tasks)

    def close(self) -> None:
        """Finish running tasks and cancel waiting ones."""
        with self._lock:
            self._closed = True
            waiting = [task for _, task in self._waiting.items()]
        for task in waiting:
            task.future.cancel()
        self._executor.shutdown()

    def _run_next(self) -> None:
        """Run the task whose turn it is."""
        with self._lock:
            task = self._waiting.take(lambda *_: True)
        if task is None or not task.future.set_running_or_notify_cancel():
            return
        try:
            result = task.call()
        except BaseException as error:  # noqa: BLE001 - raised where the result is read
            task.future.set_exception(error)
        else:
            task.future.set_result(result)

    def _check_share(self, own: int) -> None:
        if own >= self._max_tasks - len(self._tasks):
            expected = f"expected at most as many {self._what} of one client as there is room for of others"
            raise ShareExceeded(f"{expected}, got more than {own} of {self._max_tasks}; wait for some to end")

    def _done(self, name: str, client: str | None) -> None:
        with self._lock:
            self._tasks.pop(name, None)
            if client is not None:
                self._clients[client] -= 1
                self._clients += Counter()  # drops those that have none
