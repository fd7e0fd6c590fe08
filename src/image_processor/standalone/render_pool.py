"""Renders what URLs ask for, in threads that each have a renderer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, TypeVar

from image_processor.delivery.on_demand import OnDemandRenderer

from .task_pool import TaskPool

WorkerContext = Callable[[], AbstractContextManager[OnDemandRenderer]]
"""Opens what one thread works with (a renderer of its own)."""

_Result = TypeVar("_Result")


class RenderPool(Generic[_Result]):
    """``count`` threads, and at most ``max_waiting`` tasks that wait for one.

    Methods may be called from any thread. A thread opens its worker context with its first task.
    """

    def __init__(self, worker_context: WorkerContext, count: int, max_waiting: int) -> None:
        self._worker_context = worker_context
        self._local = threading.local()
        self._init_lock = threading.Lock()
        self._open_contexts = ExitStack()
        self._tasks: TaskPool[_Result] = TaskPool(
            "renditions in the making", count, max_waiting, self._init_worker
        )

    def submit(self, name: str, task: Callable[[OnDemandRenderer], _Result]) -> Future[_Result]:
        """The future of ``task``, as `TaskPool.submit`. Raises Overloaded, Unavailable."""
        return self._tasks.submit(name, lambda: task(self._renderer()))

    def backlog(self) -> int:
        """Tasks that wait or run."""
        return self._tasks.backlog()

    def close(self) -> None:
        """Finish running tasks, cancel waiting ones, and close the worker contexts."""
        self._tasks.close()
        self._open_contexts.close()

    def _init_worker(self) -> None:
        self._local.renderer = None

    def _renderer(self) -> OnDemandRenderer:
        if self._local.renderer is None:
            with self._init_lock:  # not the lock of tasks: a renderer takes a while to start
                self._local.renderer = self._open_contexts.enter_context(self._worker_context())
        renderer: OnDemandRenderer = self._local.renderer
        return renderer
