"""Work of the application on AWS: done inside the request."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi.concurrency import run_in_threadpool

from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import RenderResult
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import LeaseBusy
from image_processor.domain.models import Outcome, Upload, UploadKind

from .dependencies import MAX_WAIT_SECONDS

MAX_LEASE_WAIT_SECONDS = 15.0
"""The longest wait for a lease that another worker holds. API Gateway gives up after 29 seconds, and
the work itself needs the rest."""
_PAUSE_SECONDS = 0.5


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
        return await run_in_threadpool(self._outcome, Upload(self._bucket, key, kind), wait)

    async def rendition(self, ref: RenditionRef) -> RenderResult:
        stored = await run_in_threadpool(self._delivery.repository.find, ref)
        return RenderResult(stored, {}) if stored else await run_in_threadpool(self._make, ref)

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
