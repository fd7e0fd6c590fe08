"""Embedded: a queue of keys and the threads that work on them, on one machine.

It is to one machine what SQS and Lambda's concurrency are to AWS: a key is in one pair of hands
at a time, duplicates meet on one job, what may succeed later is tried again later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError, Unavailable
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import Outcome, OutcomeStatus, Upload, UploadKind

from .progress import Event, EventType, Progress

MAX_ATTEMPTS = 8
"""After so many, a job is given up until the next sweep finds its key again."""

# Seconds between two attempts; each pause is twice the one before.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0

Desk = Callable[[], AbstractContextManager[Callable[[Upload], Outcome]]]
"""Opens what one thread works with (its own renderer) and yields Processor.process."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    upload: Upload
    due: float
    attempt: int = 1
    waiters: list[Future[Outcome]] = field(default_factory=list)

    def join(self, upload: Upload, waiter: Future[Outcome]) -> None:
        """Let a further event of the same key ride along. A wish to make all anew outlives it."""
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
    """``count`` threads, each at a desk of its own. Methods may be called from any thread."""

    def __init__(self, desk: Desk, count: int, progress: Progress) -> None:
        self._desk = desk
        self._progress = progress
        self._waiting: dict[str, _Job] = {}
        self._in_work: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, name=f"worker-{n}") for n in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, upload: Upload) -> Future[Outcome]:
        """Queue work on the upload's key; the future is done when nothing is left to do for it.

        Raises InvalidKey for a key that no store can hold. The future fails with Unavailable when
        the server stops first; the next start finds the work again.
        """
        check_key(upload.key)
        waiter: Future[Outcome] = Future()
        with self._changed:
            if self._stopping:
                waiter.set_exception(Unavailable("the server is stopping"))
                return waiter
            if job := self._waiting.get(upload.key):
                # News is worth a try at once, however long the job was to pause.
                job.attempt, job.due = 1, time.monotonic()
                job.join(upload, waiter)
                self._changed.notify()
                return waiter
            self._waiting[upload.key] = _Job(upload, time.monotonic(), waiters=[waiter])
            # Before anybody can take it, or a reader would hear of its start, and then of its wait.
            self._publish(EventType.QUEUED, upload)
            self._changed.notify()
        return waiter

    def backlog(self) -> int:
        """Keys waiting or in work."""
        with self._changed:
            return len(self._waiting) + len(self._in_work)

    def wait_until_idle(self) -> None:
        """Return when no key is waiting or in work; retries count as waiting."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._in_work)

    def stop(self) -> None:
        """Finish what is in work, give up what waits, and end the threads."""
        with self._changed:
            self._stopping = True
            given_up, self._waiting = list(self._waiting.values()), {}
            self._changed.notify_all()
        for job in given_up:
            job.fail(Unavailable("the server is stopping"))
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with self._desk() as process:
            while (job := self._take()) is not None:
                self._work(process, job)
                with self._changed:
                    self._in_work.discard(job.upload.key)
                    self._changed.notify_all()

    def _take(self) -> _Job | None:
        """The first job that is due and whose key is in nobody's hands; None at the end."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if ready := next((job for job in self._free() if job.due <= now), None):
                    self._in_work.add(ready.upload.key)
                    return self._waiting.pop(ready.upload.key)
                next_due = min((job.due for job in self._free()), default=None)
                self._changed.wait(None if next_due is None else next_due - now)
            return None

    def _free(self) -> Iterator[_Job]:
        return (job for key, job in self._waiting.items() if key not in self._in_work)

    def _work(self, process: Callable[[Upload], Outcome], job: _Job) -> None:
        self._publish(EventType.STARTED, job.upload)
        try:
            outcome = process(job.upload)
        except ImageProcessorError as error:
            if error.retryable and job.attempt < MAX_ATTEMPTS:
                self._try_again(job, error)
            else:
                self._give_up(job, error)
        except Exception as error:  # noqa: BLE001 - a bug in one job must not end the worker
            _log.exception("work on %r failed; the next sweep tries it again", job.upload.key)
            self._give_up(job, error)
        else:
            self._publish(_EVENTS[outcome.status], job.upload, **_detail(outcome))
            job.succeed(outcome)

    def _try_again(self, job: _Job, error: ImageProcessorError) -> None:
        """Queue the job again after a pause; at once if a newer event of its key has come."""
        delay = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**job.attempt)
        with self._changed:
            if self._stopping:
                job.fail(Unavailable("the server is stopping"))
                return
            newer = self._waiting.pop(job.upload.key, None)
            job.attempt, job.due = job.attempt + 1, time.monotonic() + delay
            if newer is not None:
                job.attempt, job.due = 1, newer.due
                for waiter in newer.waiters:
                    job.join(newer.upload, waiter)
            self._waiting[job.upload.key] = job
            self._publish(EventType.RETRYING, job.upload, error=str(error), seconds=delay)

    def _give_up(self, job: _Job, error: Exception) -> None:
        """Leave the key to the next sweep."""
        _log.warning("%r is left to the next sweep: %s", job.upload.key, error)
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
