"""Embedded: makes what URLs ask for, in threads with a renderer each. Who asks for what is being made
waits for that; who comes when too much is waiting is sent away at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, TypeVar

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.domain.errors import Overloaded, Unavailable

Desk = Callable[[], AbstractContextManager[OnDemandRenderer]]
"""Opens what one thread works with (its own renderer) and yields a Maker."""

_Made = TypeVar("_Made")


class Kitchen(Generic[_Made]):
    """``count`` cooks, each at a desk of its own, and at most ``most`` orders that wait.

    Methods may be called from any thread. Desks are opened when there is first something to do.
    """

    def __init__(self, desk: Desk, count: int, most: int) -> None:
        self._desk = desk
        self._most = most + count
        self._lock = threading.Lock()
        self._orders: dict[str, Future[_Made]] = {}
        self._here = threading.local()
        self._furnishing = threading.Lock()
        self._desks = ExitStack()
        self._cooks = ThreadPoolExecutor(count, "cook", self._sit_down)
        self._closed = False

    def order(self, name: str, work: Callable[[OnDemandRenderer], _Made]) -> Future[_Made]:
        """What ``work`` makes, or what somebody who has ordered ``name`` before is waiting for.

        Raises Overloaded where too many orders wait, Unavailable after `close`.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the server is stopping")
            if name in self._orders:
                return self._orders[name]
            if len(self._orders) >= self._most:
                raise Overloaded(f"expected at most {self._most} renditions in the making, got more")
            future = self._cooks.submit(lambda: work(self._maker()))
            self._orders[name] = future
        future.add_done_callback(lambda _: self._done(name))
        return future

    def waiting(self) -> int:
        """Orders that wait or are in work."""
        with self._lock:
            return len(self._orders)

    def close(self) -> None:
        """Finish what is in work, give up what waits, and close the desks."""
        with self._lock:
            self._closed = True
        self._cooks.shutdown(cancel_futures=True)
        self._desks.close()

    def _done(self, name: str) -> None:
        with self._lock:
            self._orders.pop(name, None)

    def _sit_down(self) -> None:
        self._here.maker = None

    def _maker(self) -> OnDemandRenderer:
        if self._here.maker is None:
            with self._furnishing:  # not under the lock of orders: a renderer takes a while to start
                self._here.maker = self._desks.enter_context(self._desk())
        maker: OnDemandRenderer = self._here.maker
        return maker
