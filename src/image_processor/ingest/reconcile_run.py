"""Ingest, a part of reconcile: one run over a whole library, which may stop after any page and continue
later.

A run enqueues what it finds and deletes orphans. Its checkpoint says where it stands; the function
`reconcile` keeps it in the processed store, the command line in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import Invalid, NotFound
from image_processor.domain.models import Upload
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore

from .deletion_guard import DeletionGuard
from .reconcile import CheckedPage, Phase, Position, Reconciler

Enqueue = Callable[[Sequence[Upload]], object]
"""Adds uploads to the ingest queue. Raises Unavailable; some may have been added then."""

CHECKPOINT = ".image-processor/reconcile.json"
"""The key of the function's checkpoint in the processed store. It names keys: do not publish this prefix."""

_ATTRIBUTES = Attributes("application/json", "no-store")


class Checkpoint(Struct, frozen=True):
    """How far a run has come, and what it has done so far."""

    bucket: str
    """The name of the upload side."""
    started_at: datetime
    position: Position = Position()
    checked: Mapping[Phase, int] = field(default_factory=dict)
    """How many originals, records and stored objects it has checked, by phase."""
    found: Mapping[str, int] = field(default_factory=dict)
    """How many findings there were, by drift."""
    enqueued: int = 0
    deleted: int = 0
    guard: DeletionGuard = DeletionGuard()
    """Counts the originals that are gone."""
    finished_at: datetime | None = None
    """None while there is more to check."""

    def with_page(self, page: CheckedPage, deleted: int) -> Checkpoint:
        """The checkpoint after ``page``. ``deleted`` is how many of its orphans were deleted."""
        phase = page.position.phase
        checked = {**self.checked, phase: self.checked.get(phase, 0) + page.checked}
        found = dict(self.found)
        for finding in page.findings:
            found[finding.drift] = found.get(finding.drift, 0) + 1
        return replace(
            self,
            position=page.position,
            checked=checked,
            found=found,
            enqueued=self.enqueued + len(_uploads(page)),
            deleted=self.deleted + deleted,
            guard=page.guard,
        )


def run(
    reconciler: Reconciler, checkpoint: Checkpoint, enqueue: Enqueue
) -> Iterator[tuple[CheckedPage, Checkpoint]]:
    """Continue the run from ``checkpoint``, and yield each page with the checkpoint after it.

    An orphan that cannot be deleted is one more finding of the page. A page that fails midway is repeated by
    the next run from the last checkpoint: its messages may then be in the queue twice, which is harmless.
    """
    for page in reconciler.pages(checkpoint.position, checkpoint.guard):
        if uploads := _uploads(page):
            enqueue(uploads)
        orphans = [finding for finding in page.findings if finding.orphan is not None]
        failed = reconciler.delete_orphans(orphans)
        applied = replace(page, findings=(*page.findings, *failed))
        checkpoint = checkpoint.with_page(applied, len(orphans) - len(failed))
        yield applied, checkpoint


def _uploads(page: CheckedPage) -> list[Upload]:
    return [finding.upload for finding in page.findings if finding.upload is not None]


def encode(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as JSON."""
    return msgspec.json.format(msgspec.json.encode(checkpoint))


def decode(name: str, text: bytes) -> Checkpoint:
    """The checkpoint in a JSON text. Raises Invalid, which calls it ``name``."""
    try:
        return msgspec.json.decode(text, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.one(name, "a checkpoint of reconcile", str(error)) from error


class StoredCheckpoint:
    """The checkpoint of ``bucket`` in the processed store. Of several runs at a time only one can go on
    saving it."""

    def __init__(self, processed: ObjectStore, bucket: str) -> None:
        self._processed = processed
        self._bucket = bucket
        self._version: str | Absent = ABSENT

    def load(self) -> Checkpoint | None:
        """The last one saved; None if there is none, or none of this bucket and version of the program."""
        try:
            stored = self._processed.get(CHECKPOINT)
        except NotFound:
            return None
        self._version = stored.entry.version
        try:
            checkpoint = decode(CHECKPOINT, stored.body)
        except Invalid:
            return None
        return checkpoint if checkpoint.bucket == self._bucket else None

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the one that was loaded or saved last. Raises PreconditionFailed if another run has."""
        entry = self._processed.put(CHECKPOINT, encode(checkpoint), _ATTRIBUTES, condition=self._version)
        self._version = entry.version
