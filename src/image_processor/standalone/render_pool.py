"""Renders what URLs ask for, in threads that each have a renderer.

Requests for a rendition that is being rendered share its future; when too many wait, a request is
rejected at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from typing import Generic, TypeVar

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.domain.errors import Overloaded, Unavailable

WorkerContext = Callable[[], AbstractContextManager[OnDemandRenderer]]
"""Opens what one thread works with (a renderer of its own)."""

_Result = TypeVar("_Result")


class RenderPool(Generic[_Result]):
    """``count`` threads, and at most ``max_waiting`` tasks that wait for one.

    Methods may be called from any thread. A thread opens its worker context with its first task.
    """

    def __init__(self, worker_context: WorkerContext, count: int, max_waiting: int) -> None:
        self._worker_context = worker_context
        self._max_tasks = max_waiting + count
        self._lock = threading.Lock()
        self._tasks: dict[str, Future[_Result]] = {}
        self._local = threading.local()
        self._init_lock = threading.Lock()
        self._open_contexts = ExitStack()
        self._executor = ThreadPoolExecutor(count, "render", self._init_worker)
        self._closed = False

    def submit(self, name: str, task: Callable[[OnDemandRenderer], _Result]) -> Future[_Result]:
        """The future of ``task``, or of the task with the same ``name`` that is not done yet.

        Raises Overloaded if too many tasks wait, Unavailable after `close`.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the server is stopping")
            if name in self._tasks:
                return self._tasks[name]
            if len(self._tasks) >= self._max_tasks:
                raise Overloaded(f"expected at most {self._max_tasks} renditions in the making, got more")
            # The context of the request that began it: its id in the log, and its span.
            future = self._executor.submit(copy_context().run, lambda: task(self._renderer()))
            self._tasks[name] = future
        future.add_done_callback(lambda _: self._done(name))
        return future

    def backlog(self) -> int:
        """Tasks that wait or run."""
        with self._lock:
            return len(self._tasks)

    def close(self) -> None:
        """Finish running tasks, cancel waiting ones, and close the worker contexts."""
        with self._lock:
            self._closed = True
        self._executor.shutdown(cancel_futures=True)
        self._open_contexts.close()

    def _done(self, name: str) -> None:
        with self._lock:
            self._tasks.pop(name, None)

    def _init_worker(self) -> None:
        self._local.renderer = None

    def _renderer(self) -> OnDemandRenderer:
        if self._local.renderer is None:
            with self._init_lock:  # not the lock of tasks: a renderer takes a while to start
                self._local.renderer = self._open_contexts.enter_context(self._worker_context())
        renderer: OnDemandRenderer = self._local.renderer
        return renderer
