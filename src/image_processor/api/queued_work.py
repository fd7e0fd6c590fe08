"""HTTP edge: requests that want work done by the machine's workers, and how long they wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any

from anyio import CapacityLimiter, Lock, Semaphore, fail_after, to_thread
from fastapi import Depends, Request

from image_processor.bootstrap.machine import Parts
from image_processor.delivery.on_demand import RenderResult
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Outcome, Upload, UploadKind
from image_processor.domain.ports import Entry

from .prefer import MAX_PATIENCE

MAX_UPLOADS = 32
"""Uploads received at the same time; others wait. Each holds a thread, which are its own so that
slow clients cannot take those of the rest of the API."""

PLACE_SECONDS = 5.0
"""How long an upload waits for its place at most: small ones come and go in less."""

MAKING_SECONDS = 30.0
"""How long a rendition in the making is waited for."""


class QueuedWork:
    """Submits uploads for requests. It knows the keys it has submitted until they are done, so
    that an original can be asked for by its id before anybody has begun with it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[str, int]] = {}
        self._stopping = asyncio.Event()
        self._places = Semaphore(MAX_UPLOADS)
        self.drawing = Lock()
        """Held by whoever draws the sample, without a thread for those who wait."""

    @property
    def delivery(self) -> Delivery:
        return self._parts.delivery

    def submit(self, kind: UploadKind, key: str, version: str | None = None) -> Future[Outcome]:
        """Queue work on ``key``. Raises InvalidKey."""
        future = self._parts.submit(Upload(self._parts.bucket, key, kind, version))
        self._count(key, 1)
        future.add_done_callback(lambda _: self._count(key, -1))
        return future

    def pending_key(self, id_: str) -> str | None:
        """The key with this id if a request has submitted it and it is not done."""
        with self._lock:
            return self._pending.get(id_, (None, 0))[0]

    async def outcome(self, kind: UploadKind, key: str, patience: float = MAX_PATIENCE) -> Outcome | None:
        """Submit and wait; None if that takes longer than ``patience`` seconds or the server stops.

        Raises what the work ended with. The work goes on even if nobody waits any more.
        """
        done = asyncio.wrap_future(self.submit(kind, key))
        # A late error that nobody asks for would be a complaint of asyncio in the log.
        done.add_done_callback(lambda late: late.cancelled() or late.exception())
        stopping = asyncio.ensure_future(self._stopping.wait())
        either: set[asyncio.Future[Any]] = {done, stopping}
        try:
            await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return done.result() if done.done() else None

    async def made(self, wanted: RenditionRef) -> RenderResult:
        """The rendition, made if it is not there. The work goes on, and is kept, even if nobody waits
        any more."""
        orders = self._parts.orders
        stored = await to_thread.run_sync(self.delivery.kept.look, wanted)
        if stored is not None:
            return RenderResult(stored, {})
        result = await self.done(await to_thread.run_sync(orders.place, wanted))
        return await to_thread.run_sync(orders.taken, wanted, result)

    async def done(self, order: Future[Any]) -> Any:
        """What was ordered of the kitchen or of ingest. Raises its error, and Unavailable where that
        takes too long."""
        waiting = asyncio.wrap_future(order)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), MAKING_SECONDS)
        except TimeoutError:
            # A late error that nobody asks for would be a complaint of asyncio in the log.
            waiting.add_done_callback(lambda late: late.cancelled() or late.exception())
            expected = f"expected a rendition within {MAKING_SECONDS:g} s"
            raise Unavailable(f"{expected}; it is still being made") from None
        except asyncio.CancelledError:
            if not order.cancelled():
                raise
            raise Unavailable("the server is stopping") from None

    async def receive(self, store: Callable[[], Entry]) -> Entry:
        """What ``store`` returns, called in a thread of its own as soon as there is a place for
        one more upload. Raises Unavailable if there is none for too long."""
        try:
            with fail_after(PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable(f"{MAX_UPLOADS} uploads come in already") from None
        try:
            return await to_thread.run_sync(store, limiter=CapacityLimiter(1))
        finally:
            self._places.release()

    def stop(self) -> None:
        """End what would hold up a graceful stop: requests that wait and streams of events."""
        self._stopping.set()
        self._parts.progress.close()

    def _count(self, key: str, change: int) -> None:
        id_ = image_id(self._parts.bucket, key)
        with self._lock:
            _, count = self._pending.pop(id_, (key, 0))
            if count + change:
                self._pending[id_] = (key, count + change)


async def _queued_work(request: Request) -> QueuedWork:
    work: QueuedWork = request.app.state.work
    return work


async def _machine_parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


QueuedWorkOf = Annotated[QueuedWork, Depends(_queued_work)]
MachinePartsOf = Annotated[Parts, Depends(_machine_parts)]
