"""A queue of uploads and the threads that process them: on one machine, what SQS and Lambda are on AWS.

One worker at a time processes a key, events of the same key share a job, and transient errors are
retried with growing pauses. Clients take turns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError, Unavailable
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import Outcome, OutcomeStatus, Upload, UploadKind

from .fair_queue import FairQueue
from .progress import Event, EventType, Progress

MAX_ATTEMPTS = 8
"""Attempts after which a job fails; the next reconciliation finds its key again."""

RECONCILIATION = "the next reconciliation"

# Seconds between two attempts; each pause is twice the previous one.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0

WorkerContext = Callable[[], AbstractContextManager[Callable[[Upload], Outcome]]]
"""Opens what one thread works with (a renderer of its own) and yields Processor.process."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    upload: Upload
    due: float
    attempt: int = 1
    waiters: list[Future[Outcome]] = field(default_factory=list)

    def join(self, upload: Upload, waiter: Future[Outcome]) -> None:
        """Add another event of the same key. REPROCESS is kept, whichever event comes last."""
        if UploadKind.REPROCESS not in (self.upload.kind, upload.kind):
            self.upload = upload
        else:
            self.upload = replace(upload, kind=UploadKind.REPROCESS)
        self.waiters.append(waiter)

    def succeed(self, outcome: Outcome) -> None:
        for waiter in self.waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(outcome)

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_exception(error)


class Workers:
    """``count`` threads, each with its own worker context. Methods may be called from any thread.

    ``next_try`` says in messages what will try a failed upload again.
    """

    def __init__(
        self,
        worker_context: WorkerContext,
        count: int,
        progress: Progress,
        next_try: str = RECONCILIATION,
    ) -> None:
        self._next_try = next_try
        self._worker_context = worker_context
        self._progress = progress
        self._waiting: FairQueue[_Job] = FairQueue()
        self._running: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, name=f"worker-{n}") for n in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, upload: Upload) -> Future[Outcome]:
        """Queue an upload; the future is done when its key needs no more work.

        Raises InvalidKey for a key that no store can hold. The future fails with Unavailable if the
        server stops first; the next start finds the upload again.
        """
        check_key(upload.key)
        waiter: Future[Outcome] = Future()
        with self._changed:
            if self._stopping:
                waiter.set_exception(Unavailable("the server is stopping"))
                return waiter
            if job := self._waiting.get(upload.key):
                # A new event may solve what failed: try at once instead of after the pause.
                job.attempt, job.due = 1, time.monotonic()
                job.join(upload, waiter)
                self._changed.notify()
                return waiter
            self._waiting.add(upload.key, _Job(upload, time.monotonic(), waiters=[waiter]))
            # Published while the lock is held, so that QUEUED always precedes STARTED.
            self._publish(EventType.QUEUED, upload)
            self._changed.notify()
        return waiter

    def backlog(self) -> int:
        """Keys that wait or are being processed."""
        with self._changed:
            return len(self._waiting) + len(self._running)

    def wait_until_idle(self) -> None:
        """Return when no key waits or is being processed; retries count as waiting."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._running)

    def stop(self) -> None:
        """Finish running jobs, fail waiting ones, and end the threads."""
        with self._changed:
            self._stopping = True
            abandoned, self._waiting = [job for _, job in self._waiting.items()], FairQueue()
            self._changed.notify_all()
        for job in abandoned:
            job.fail(Unavailable("the server is stopping"))
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with self._worker_context() as process:
            while (job := self._take()) is not None:
                self._process(process, job)
                with self._changed:
                    self._running.discard(job.upload.key)
                    self._changed.notify_all()

    def _take(self) -> _Job | None:
        """The next job that is due and whose key no other worker has; None when stopping."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if ready := self._waiting.take(partial(self._is_ready, now)):
                    self._running.add(ready.upload.key)
                    return ready
                next_due = min((job.due for job in self._free()), default=None)
                self._changed.wait(None if next_due is None else next_due - now)
            return None

    def _is_ready(self, now: float, key: str, job: _Job) -> bool:
        return job.due <= now and key not in self._running

    def _free(self) -> Iterator[_Job]:
        return (job for key, job in self._waiting.items() if key not in self._running)

    def _process(self, process: Callable[[Upload], Outcome], job: _Job) -> None:
        self._publish(EventType.STARTED, job.upload)
        try:
            outcome = process(job.upload)
        except ImageProcessorError as error:
            if error.retryable and job.attempt < MAX_ATTEMPTS:
                self._retry(job, error)
            else:
                self._give_up(job, error)
        except Exception as error:  # noqa: BLE001 - a bug in one job must not end the worker
            _log.exception("processing %r failed; %s tries it again", job.upload.key, self._next_try)
            self._give_up(job, error)
        else:
            self._publish(_EVENTS[outcome.status], job.upload, **_detail(outcome))
            job.succeed(outcome)

    def _retry(self, job: _Job, error: ImageProcessorError) -> None:
        """Queue the job again after a pause, or at once if a newer event of its key has arrived."""
        delay = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**job.attempt)
        if job.attempt == 1:
            _log.warning("%r is tried again: %s", job.upload.key, error)
        with self._changed:
            if self._stopping:
                job.fail(Unavailable("the server is stopping"))
                return
            newer = self._waiting.pop(job.upload.key)
            job.attempt, job.due = job.attempt + 1, time.monotonic() + delay
            if newer is not None:
                job.attempt, job.due = 1, newer.due
                for waiter in newer.waiters:
                    job.join(newer.upload, waiter)
            self._waiting.add(job.upload.key, job)
            self._publish(EventType.RETRYING, job.upload, error=str(error), seconds=delay)

    def _give_up(self, job: _Job, error: Exception) -> None:
        _log.warning("%r is left to %s: %s", job.upload.key, self._next_try, error)
        self._publish(EventType.FAILED, job.upload, error=str(error))
        job.fail(error)

    def _publish(self, type_: EventType, upload: Upload, **detail: object) -> None:
        self._progress.publish(Event(type_, image_id(upload.bucket, upload.key), upload.key, detail))


_EVENTS = {
    OutcomeStatus.PROCESSED: EventType.PROCESSED,
    OutcomeStatus.REFUSED: EventType.REFUSED,
    OutcomeStatus.UNCHANGED: EventType.UNCHANGED,
    OutcomeStatus.DELETED: EventType.DELETED,
    OutcomeStatus.SKIPPED: EventType.SKIPPED,
}


def _detail(outcome: Outcome) -> dict[str, object]:
    record = outcome.record
    if record is None:
        return {"detail": outcome.detail} if outcome.detail else {}
    return {"revision": record.revision, "renditions": len(record.renditions), "reason": record.reason}
