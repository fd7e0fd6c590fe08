"""`reconcile` on AWS: sends what it finds to the stack's queue, whose functions do the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from image_processor.domain.errors import Invalid
from image_processor.domain.models import Upload
from image_processor.ingest.reconcile import Finding, Reconciler
from image_processor.ingest.reconcile_run import Checkpoint, Enqueue, decode, encode, run

_BATCH = 10
"""Messages that are sent at a time."""


class RateLimit:
    """Spreads messages over time, ``per_second`` of them on average; None for no limit."""

    def __init__(
        self,
        per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    def wait(self, count: int) -> None:
        """Wait until ``count`` more may be sent."""
        if self._per_second is None:
            return
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + count / self._per_second


class ResumeFile(Struct, frozen=True):
    """The file that keeps the checkpoint of a run that was interrupted. None: no file."""

    path: Path | None

    def load(self, bucket: str) -> Checkpoint:
        """The checkpoint in the file, or that of a new run. Raises Invalid."""
        new = Checkpoint(bucket, datetime.now(UTC))
        if self.path is None:
            return new
        try:
            checkpoint = decode("--resume", self.path.read_bytes())
        except FileNotFoundError:
            self.save(new)  # reports a file that cannot be written before the search begins
            return new
        except OSError as error:
            raise Invalid.one("--resume", "a readable file", f"{self.path}: {error.strerror}") from error
        if checkpoint.bucket != bucket:
            raise Invalid.one("--resume", f"a checkpoint of {bucket}", checkpoint.bucket)
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        if self.path is None:
            return
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            temporary.write_bytes(encode(checkpoint))
            temporary.replace(self.path)
        except OSError as error:
            raise Invalid.one("--resume", "a writable file", f"{self.path}: {error.strerror}") from error

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def limited(enqueue: Enqueue, per_second: float | None) -> Enqueue:
    """``enqueue`` in small batches, at most ``per_second`` messages a second."""
    limit = RateLimit(per_second)

    def send(uploads: Sequence[Upload]) -> None:
        for batch in _batches(uploads):
            limit.wait(len(batch))
            enqueue(batch)

    return send


def enqueue_all(
    reconciler: Reconciler, enqueue: Enqueue, resume: ResumeFile, show: Callable[[Finding], None]
) -> Checkpoint:
    """Check everything that the resume file has not recorded as checked, and enqueue what is found."""
    checkpoint = resume.load(reconciler.bucket)
    with _progress() as update:
        for page, after_page in run(reconciler, checkpoint, enqueue):
            checkpoint = after_page
            for finding in page.findings:
                show(finding)
            resume.save(checkpoint)
            update(f"{checkpoint.position.phase}: {summary(checkpoint)}")
    resume.remove()
    return replace(checkpoint, finished_at=datetime.now(UTC))


def summary(checkpoint: Checkpoint) -> str:
    """The counts of a run in a line."""
    found = ", ".join(f"{count} {drift}" for drift, count in sorted(checkpoint.found.items()))
    checked = ", ".join(f"{count} {phase}" for phase, count in checkpoint.checked.items())
    return (
        f"{sum(checkpoint.found.values())} found{f' ({found})' if found else ''}, "
        f"{checkpoint.enqueued} enqueued, {checkpoint.deleted} deleted; checked {checked or 'nothing'}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error, if that is a terminal."""
    console = Console(stderr=True, markup=False)
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("listing", total=None)
        yield lambda text: progress.update(task, description=text)


def _batches(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    remaining = iter(uploads)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
