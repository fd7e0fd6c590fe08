"""How requests get their work done, and wait for it: inside the request on AWS, where a Lambda function is
frozen once it has answered; queued for the workers and the render pool on one machine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Annotated, Any, Protocol, TypeVar

from anyio import CapacityLimiter, Lock, to_thread
from fastapi import Depends, Request

from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import RenderResult
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import LeaseBusy, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Outcome, Status, Upload, UploadKind
from image_processor.standalone.remote_originals import OriginalPending

from .dependencies import MAX_WAIT_SECONDS, StandaloneContext
from .fair_slots import FairSlots
from .response_models import UploadStatus

MAX_LEASE_WAIT_SECONDS = 15.0
"""The longest wait for a lease that another worker holds. API Gateway gives up after 29 seconds, and
the work itself needs the rest."""
_PAUSE_SECONDS = 0.5
_T = TypeVar("_T")

MAX_UPLOADS = 32
"""Uploads received at the same time; others wait. Each holds a thread outside the pool of the other
routes, so that slow clients cannot exhaust it."""

UPLOAD_SLOT_SECONDS = 5.0
"""The longest time that an upload waits for one of the MAX_UPLOADS slots."""

_FETCHES = 8
"""How often a rendition waits for one of its originals from a remote source: it may have several overlays."""

RENDER_SECONDS = 30.0
"""The longest time that a request waits for a rendition."""

STOP_RENDER_SECONDS = 8.0
"""The same after a stop was requested."""


_ENDED: Mapping[Status, UploadStatus] = MappingProxyType(
    {Status.PROCESSED: "processed", Status.REFUSED: "refused"}
)


class Work(Protocol):
    """Processes uploads and renders renditions that a request asks for."""

    @property
    def delivery(self) -> Delivery:
        """Finds stored renditions and builds their URLs."""
        ...

    async def outcome(self, kind: UploadKind, key: str, wait: float = MAX_WAIT_SECONDS) -> Outcome | None:
        """Process ``key`` and return the outcome; None if there is none after ``wait`` seconds.

        Raises the error that processing ended with.
        """
        ...

    async def rendition(self, ref: RenditionRef, client: str | None = None) -> RenderResult:
        """Return the rendition, rendered first if it is not stored.

        Raises what rendering raises, Overloaded, and Unavailable if it takes too long. With a ``client`` also
        ShareExceeded, if as many renditions are being made for it as there may be for all others.
        """
        ...

    def pending_key(self, id_: str) -> str | None:
        """The key with this id if a request has submitted it and no worker has started on it."""
        ...


class InlineWork:
    """Processes and renders in the request's own thread.

    If another worker holds the lease (usually the process function, which the same upload has
    invoked), it waits and tries again.
    """

    def __init__(
        self,
        bucket: str,
        process: Callable[[Upload], Outcome],
        delivery: Delivery,
        make: Callable[[RenditionRef], RenderResult],
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = bucket
        self._process = process
        self._delivery = delivery
        self._make = make
        self._pause = pause
        self._clock = clock

    @property
    def delivery(self) -> Delivery:
        return self._delivery

    async def outcome(self, kind: UploadKind, key: str, wait: float = MAX_WAIT_SECONDS) -> Outcome | None:
        return await to_thread.run_sync(self._outcome, Upload(self._bucket, key, kind), wait)

    async def rendition(self, ref: RenditionRef, client: str | None = None) -> RenderResult:
        del client  # each function renders for one request at a time
        stored = await to_thread.run_sync(self._delivery.repository.find, ref)
        return RenderResult(stored, {}) if stored else await to_thread.run_sync(self._make, ref)

    def pending_key(self, _id: str) -> None:
        """None: uploads wait in SQS, which cannot be searched."""

    def _outcome(self, upload: Upload, wait: float) -> Outcome | None:
        end = self._clock() + min(wait, MAX_LEASE_WAIT_SECONDS)
        while True:
            try:
                return self._process(upload)
            except LeaseBusy:
                if self._clock() + _PAUSE_SECONDS > end:
                    return None
            self._pause(_PAUSE_SECONDS)


class QueuedWork:
    """Submits uploads for requests, and waits for their outcomes and for renditions.

    It remembers the keys it has submitted until they are done, so that an image can be shown by its id
    before a worker starts on it.
    """

    def __init__(self, context: StandaloneContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[str, int]] = {}
        self._stopping = asyncio.Event()
        self._abandoned = asyncio.Event()
        self._upload_slots = FairSlots("uploads", MAX_UPLOADS)
        self.dry_runs = FairSlots("dry runs", 1)
        """One at a time: each reads the listings of the whole library, and several would slow each other."""
        self.sample_lock = Lock()
        """Held while the sample image is drawn; waiting for it takes no thread."""

    @property
    def delivery(self) -> Delivery:
        return self._context.delivery

    def submit(self, kind: UploadKind, key: str, version: str | None = None) -> Future[Outcome]:
        """Queue ``key`` for the workers. Raises InvalidKey."""
        future = self._context.submit(Upload(self._context.bucket, key, kind, version))
        self._count(key, 1)
        future.add_done_callback(lambda _: self._count(key, -1))
        return future

    def pending_key(self, id_: str) -> str | None:
        """The key with this id if a request has submitted it and it is not done."""
        with self._lock:
            return self._pending.get(id_, (None, 0))[0]

    async def outcome(self, kind: UploadKind, key: str, wait: float = MAX_WAIT_SECONDS) -> Outcome | None:
        """Submit and wait; None if that takes longer than ``wait`` seconds or the server stops.

        Raises what processing ended with. Processing continues if the client disconnects.
        """
        done = asyncio.wrap_future(self.submit(kind, key))
        await _wait(done, wait, self._stopping)
        return done.result() if done.done() else None

    async def settled(self, kind: UploadKind, key: str, version: str, wait: float) -> UploadStatus:
        """Submit, wait for at most ``wait`` seconds, and say how it ended: "queued" if it has not, or failed
        and is tried again."""
        done = asyncio.wrap_future(self.submit(kind, key, version))
        if wait:
            await _wait(done, wait, self._stopping)
        if not done.done() or done.cancelled() or done.exception():
            return "queued"
        record = await to_thread.run_sync(self._context.catalog.get, image_id(self._context.bucket, key))
        return _ENDED.get(record.status, "queued") if record and record.version == version else "queued"

    async def rendition(self, ref: RenditionRef, client: str | None = None) -> RenderResult:
        """The rendition, rendered first if it is not stored. It is rendered and stored even if the
        client disconnects."""
        return await self._fetched(lambda: self._rendition(ref, client))

    async def missing_rendition(self, ref: RenditionRef) -> RenderResult:
        """As `rendition`, for one that the caller has just looked for: two thread calls less."""
        return await self._fetched(lambda: self._missing_rendition(ref, None))

    async def _fetched(self, make: Callable[[], Awaitable[RenderResult]]) -> RenderResult:
        """Call ``make`` again after each source that has to be fetched first."""
        for _ in range(_FETCHES):
            try:
                return await make()
            except OriginalPending as pending:
                await self.done(pending.future)
        raise Unavailable("its sources change too fast to be fetched")

    async def _rendition(self, ref: RenditionRef, client: str | None) -> RenderResult:
        stored = await to_thread.run_sync(self.delivery.repository.find, ref)
        return RenderResult(stored, {}) if stored else await self._missing_rendition(ref, client)

    async def _missing_rendition(self, ref: RenditionRef, client: str | None) -> RenderResult:
        coordinator = self._context.render_coordinator
        if not ref.is_eager:
            # Nothing of this waits: each thread call takes a tenth of a millisecond of CPU.
            made: RenderResult = await self.done(coordinator.request(ref, client))
            return made
        outcome = await self.done(await to_thread.run_sync(coordinator.request, ref, client))
        return await to_thread.run_sync(coordinator.resolve, ref, outcome)

    async def done(self, future: Future[Any], seconds: float = RENDER_SECONDS) -> Any:
        """The result of the render pool or the workers. Raises its error, and Unavailable after
        ``seconds``, or if the server stops and it takes STOP_RENDER_SECONDS from then."""
        done = asyncio.wrap_future(future)
        await _wait(done, seconds, self._abandoned)
        if future.cancelled() or (self._abandoned.is_set() and not done.done()):
            raise Unavailable("the server is stopping")
        if not done.done():
            expected = f"expected a rendition within {seconds:g} s"
            raise Unavailable(f"{expected}; it is still being made")
        return done.result()

    def upload_slot(self, client: str) -> AbstractAsyncContextManager[None]:
        """Holds an upload slot, for `in_own_thread`. Entering raises ShareExceeded or Overloaded if none gets
        free within UPLOAD_SLOT_SECONDS."""
        return self._upload_slots.take(client, UPLOAD_SLOT_SECONDS)

    def stop(self) -> None:
        """End what would delay a graceful stop: requests that wait, those for renditions after
        STOP_RENDER_SECONDS, and event streams. Call it in the event loop."""
        self._stopping.set()
        asyncio.get_running_loop().call_later(STOP_RENDER_SECONDS, self._abandoned.set)
        self._context.progress.close()

    def _count(self, key: str, change: int) -> None:
        id_ = image_id(self._context.bucket, key)
        with self._lock:
            _, count = self._pending.pop(id_, (key, 0))
            if count + change:
                self._pending[id_] = (key, count + change)


async def in_own_thread(store: Callable[[], _T]) -> _T:
    """Call ``store``, which receives an upload, in a thread outside the pool of the other routes. The caller
    holds an upload slot."""
    return await to_thread.run_sync(store, limiter=CapacityLimiter(1))


async def _wait(done: asyncio.Future[Any], seconds: float, abandoned: asyncio.Event) -> None:
    """Wait until ``done`` is done, ``seconds`` have passed or ``abandoned`` is set. Its work goes on.

    Raises RuntimeError if ``abandoned`` belongs to another event loop.
    """
    done.add_done_callback(_retrieve_error)
    end = asyncio.ensure_future(abandoned.wait())
    either: set[asyncio.Future[Any]] = {done, end}
    try:
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        end.cancel()
    if end.done() and not done.done():
        end.result()  # the waiting itself may have failed, which is not a late result


def _retrieve_error(future: asyncio.Future[Any]) -> None:
    """Read the error of a future that nobody awaits any more: asyncio would log it as never retrieved."""
    if not future.cancelled():
        future.exception()


async def _work(request: Request) -> Work:
    work: Work = request.app.state.work
    return work


async def _queued_work(request: Request) -> QueuedWork:
    work: QueuedWork = request.app.state.work
    return work


WorkOf = Annotated[Work, Depends(_work)]
QueuedWorkOf = Annotated[QueuedWork, Depends(_queued_work)]
