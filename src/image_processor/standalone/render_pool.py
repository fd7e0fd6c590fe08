"""Renders what URLs ask for, in threads. There are more of them than renderers: while one stores what it has
rendered, another one renders.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

from image_processor.delivery.on_demand import OnDemandRenderer

from .task_pool import TaskPool

_Result = TypeVar("_Result")


class RenderPool(Generic[_Result]):
    """``count`` threads for at most ``max_tasks`` tasks, which get ``renderer``. Methods may be called from
    any thread."""

    def __init__(self, renderer: OnDemandRenderer, count: int, max_tasks: int) -> None:
        self._renderer = renderer
        self._tasks: TaskPool[_Result] = TaskPool("renditions in the making", count, max_tasks - count)

    def submit(
        self, name: str, task: Callable[[OnDemandRenderer], _Result], client: str | None = None
    ) -> Future[_Result]:
        """The future of ``task``, as `TaskPool.submit`. Raises Overloaded, ShareExceeded, Unavailable."""
        return self._tasks.submit(name, partial(task, self._renderer), client)

    def backlog(self, prefix: str = "") -> int:
        """Tasks that wait or run and whose names begin with ``prefix``."""
        return self._tasks.backlog(prefix)

    def close(self) -> None:
        """Finish running tasks and cancel waiting ones."""
        self._tasks.close()
