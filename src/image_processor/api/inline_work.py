"""HTTP edge on AWS: work that a request wants is done in the request."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi.concurrency import run_in_threadpool

from image_processor.bootstrap.delivery import Reads
from image_processor.delivery.on_demand import RenderResult
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import LeaseBusy
from image_processor.domain.models import Outcome, Upload, UploadKind

from .prefer import MAX_PATIENCE

MAX_WAIT = 15.0
"""So many seconds at most somebody else's claim is waited for. API Gateway gives up after 29, and
the work itself needs the rest."""
_PAUSE = 0.5


class InlineWork:
    """Work done here and now. If somebody else is at it (the process function, as a rule, which
    the same upload has called) this waits for them as long as the request may."""

    def __init__(
        self,
        bucket: str,
        process: Callable[[Upload], Outcome],
        reads: Reads,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = bucket
        self._process = process
        self._reads = reads
        self._pause = pause
        self._clock = clock

    async def outcome(self, kind: UploadKind, key: str, patience: float = MAX_PATIENCE) -> Outcome | None:
        return await run_in_threadpool(self._outcome, Upload(self._bucket, key, kind), patience)

    async def made(self, wanted: RenditionRef) -> RenderResult:
        found = await run_in_threadpool(self.delivery.kept.look, wanted)
        return RenderResult(found, {}) if found else await run_in_threadpool(self._reads.make, wanted)

    @property
    def delivery(self) -> Delivery:
        return self._reads.delivery

    def pending_key(self, _id: str) -> None:
        """None: what waits, waits in a queue that cannot be looked into."""

    def _outcome(self, upload: Upload, patience: float) -> Outcome | None:
        end = self._clock() + min(patience, MAX_WAIT)
        while True:
            try:
                return self._process(upload)
            except LeaseBusy:
                if self._clock() + _PAUSE > end:
                    return None
            self._pause(_PAUSE)
