"""Ingest, step 3: makes the renditions and the record of one key agree with its original.

An event is only a hint. `Processor.process` reads the original as it is now, so duplicate, late and
lost events and crashes all end in the same state. docs/adr/0002 explains the steps, and 0015
why an original may be read before the lease is acquired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

from msgspec import field
from msgspec.structs import replace

from image_processor.domain.errors import (
    ImageProcessorError,
    LeaseBusy,
    NotFound,
    PreconditionFailed,
    Refused,
    Unavailable,
    Unreadable,
)
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import (
    Lease,
    OutboxMessage,
    Outcome,
    OutcomeStatus,
    Plan,
    Record,
    Rendered,
    Rendition,
    Status,
    Upload,
    UploadKind,
)
from image_processor.domain.ports import Entry, OpenOriginal, Original, OriginalFile, Renderer
from image_processor.renditions.focus import FocusedPlan
from image_processor.renditions.freshness import filter_fresh, is_corrected, is_stale, list_renditions
from image_processor.renditions.originals import (
    OriginalState,
    head_original,
    read_original,
    read_overlays,
)

from .drift import Drift, Inspector
from .invalidation import has_unrecorded_renditions, needs_invalidation
from .outbox import Outbox
from .plan import processed_fingerprint, refusal_fingerprint, skip_reason
from .rendition_writer import RenditionWriter, UploadTarget
from .unreleased_leases import UnreleasedLeases

_MAX_ATTEMPTS = 5
"""How often an original may change during processing before the upload is left to the queue's next try."""

_EARLY_READ_BYTES = 8 * 1024 * 1024
"""Larger originals are not read before the lease is acquired: a duplicate event would read them in vain."""

_IO_THREADS = 8
"""How many requests may wait for the stores at a time, about 20 ms each on S3."""


class Processor(Inspector, frozen=True, kw_only=True):
    """An Inspector that also does the work it finds."""

    render: Renderer
    owner: str
    """The name of this worker in leases."""
    lease_duration: timedelta
    """Longer than the longest render. When a lease expires, another worker may do the same work again, which
    is safe but wasteful."""
    clock: Callable[[], datetime]
    outbox: Outbox = Outbox()
    unreleased: UnreleasedLeases = field(default_factory=UnreleasedLeases)
    """Shared by the processors of one owner."""
    open_original: OpenOriginal | None = None
    """Opens originals for ``render``, where they are files on this machine."""

    def process(self, upload: Upload) -> Outcome:
        """Make renditions and record of the upload's key agree with its current original.

        Repeats the work if the original changed meanwhile. Raises InvalidKey, Unreadable if finished
        renditions cannot be made again because the original cannot be read any more, and the retryable errors
        LeaseBusy, LeaseLost and Unavailable. After any error, and while the outcome has unsent messages, the
        same upload may be processed again, by any worker and at any time.
        """
        check_key(upload.key)
        if (outcome := self._finish_without_lease(upload)) is not None:
            return self._send_messages(outcome)
        for _ in range(_MAX_ATTEMPTS):
            try:
                outcome = self._attempt(upload)
            except PreconditionFailed:
                continue
            except LeaseBusy:
                if (outcome := self._finished_by_other(upload)) is None:
                    raise
            # 7. Notify others: send what is in the outbox.
            outcome = self._send_messages(outcome)
            if self._is_current(outcome):
                return outcome
            upload = replace(upload, kind=UploadKind.CREATED)
        raise Unavailable(f"{upload.key!r} kept changing while it was processed")

    def _attempt(self, upload: Upload) -> Outcome:
        """One pass through the steps of docs/adr/0002, in their order.

        Raises PreconditionFailed if the original changed between two steps.
        """
        with ThreadPoolExecutor(_IO_THREADS) as executor:
            early_read = executor.submit(self._read_early, upload)
            # 1. Acquire the lease, while the original is read.
            lease = self._acquire_lease(upload)
            try:
                # 2. Plan, resolve the original, and stop here if there is nothing to render.
                plan = self.plan(upload.key, lease.record)
                early = early_read.result()
                original = self._resolve_original(lease.record, early)
                if original is None or plan.skip is not None:
                    return self._remove_renditions(lease, plan, original)
                if upload.kind is not UploadKind.REPROCESS and self._is_done(lease.record, plan, original):
                    return self._leave_unchanged(lease)
                writer = RenditionWriter(self._target(lease), lease, executor)
                record = _next_record(lease.record, original, upload)
                try:
                    # 3. Fetch the original, unless it has been read early.
                    body = self._fetch(plan.key, original, early)
                    # 4. Probe and render: the engine checks the header against the limits first.
                    rendered = self._render(body, plan, record, writer)
                except Refused as refusal:
                    if self._is_kept(lease.record, original, refusal):
                        raise
                    return self._refuse(lease, plan, record, refusal, writer.abandon())
                # 5. Store: wait for the puts, most of which began during the render.
                replaced = self._replaced(upload, plan, lease.record, original, writer.listed())
                lease = self._announce(lease, replaced)
                renditions = writer.finish(plan.transformations)
                # 6. Delete what is stale, complete the record with its messages in the outbox.
                record = _processed_record(record, plan, rendered, renditions)
                return self._complete(lease, record, [*replaced, *writer.late_writes()])
            except BaseException:
                self._abandon(lease, executor)
                raise

    # Before the lease.

    def _finish_without_lease(self, upload: Upload) -> Outcome | None:
        """The outcome of an upload that needs neither a lease nor a record; None for all others.

        A lease would create a record for a moment: clients would see a deleted image again.
        """
        skip = skip_reason(upload.key, self.recipe)
        if upload.kind is UploadKind.DELETED and self._is_gone(upload.key):
            return Outcome(upload.key, OutcomeStatus.DELETED, unsent=self._unsent(upload.key))
        if skip is not None and self._has_no_output(upload.key):
            return Outcome(upload.key, OutcomeStatus.SKIPPED, detail=skip, unsent=self._unsent(upload.key))
        return None

    def _unsent(self, key: str) -> tuple[OutboxMessage, ...]:
        return self.catalog.unsent(image_id(self.bucket, key)) if self.outbox.kinds else ()

    def _is_gone(self, key: str) -> bool:
        return head_original(self.uploads, key) is None and self._has_no_output(key)

    def _has_no_output(self, key: str) -> bool:
        return self.record(key) is None and not list_renditions(self.processed, key)

    def _read_early(self, upload: Upload) -> Original | None:
        """The original of an upload that very likely needs work. None for others, and if it
        does not exist, is refused by the store, or is larger than `_EARLY_READ_BYTES`."""
        likely = upload.kind in {UploadKind.CREATED, UploadKind.REPROCESS}
        if not likely or skip_reason(upload.key, self.recipe) is not None:
            return None
        try:
            return self._read(upload.key, min(_EARLY_READ_BYTES, self.limits.max_bytes))
        except (NotFound, Refused):
            return None

    def _read(self, key: str, limit: int, version: str | None = None) -> Original:
        return read_original(
            self.uploads, key, limit=limit, version=version, open_original=self.open_original
        )

    def _acquire_lease(self, upload: Upload) -> Lease:
        """Raises LeaseBusy while another worker has it."""
        self.unreleased.retry(self.catalog, image_id(self.bucket, upload.key))
        return self.catalog.acquire(upload, owner=self.owner, now=self.clock(), duration=self.lease_duration)

    def _finished_by_other(self, upload: Upload) -> Outcome | None:
        """The outcome if another worker has the lease but no work is left; None if some is.

        Without it, duplicates that arrive together would use up the queue's few tries on a busy
        lease and end as dead letters.
        """
        record = self.record(upload.key)
        if record is None or upload.kind is UploadKind.REPROCESS:
            return None
        original = head_original(self.uploads, upload.key)
        if not self._is_done(record, self.plan(upload.key, record), original):
            return None
        return Outcome(upload.key, OutcomeStatus.UNCHANGED, record)

    # Under the lease.

    def _resolve_original(self, record: Record, early: Original | None) -> OriginalState | None:
        """The original as it is now that the lease is ours; None if it does not exist.

        What was read ``early`` may be older than what another worker has finished since. If the
        record has another version, only a new request can say which of the two is newer.
        """
        if early is not None:
            version = early.entry.version
            if record.status is Status.PROCESSING or record.version == version:
                return OriginalState(version)
        return head_original(self.uploads, record.key)

    def _is_done(self, record: Record, plan: Plan, original: OriginalState | None) -> bool:
        """Whether no work is left. Lists the stored renditions, too: a worker that had lost its lease
        may have written after the record was completed."""
        if record.status is Status.PROCESSING:
            return False
        return self.find_drift(plan, original, record) in {None, Drift.UNREADABLE}

    def _leave_unchanged(self, lease: Lease) -> Outcome:
        self.catalog.release(lease)
        return Outcome(lease.record.key, OutcomeStatus.UNCHANGED, lease.record, unsent=lease.unsent)

    def _target(self, lease: Lease) -> UploadTarget:
        return UploadTarget(
            self.processed,
            self.catalog,
            self.recipe,
            self.cache_control,
            self.lease_duration,
            self.clock,
            self.outbox.of_announcement(lease),
        )

    def _announce(self, lease: Lease, before: Sequence[Entry]) -> Lease:
        """The lease, with an invalidation in its outbox if renditions of ``before`` are not recorded: should
        this worker crash, the next owner of the lease sends it. Raises LeaseLost, Unavailable."""
        messages = self.outbox.of_announcement(lease)
        if not messages or self.outbox.is_announced(lease) or not has_unrecorded_renditions(lease, before):
            return lease
        return self.catalog.renew(lease, now=self.clock(), duration=self.lease_duration, messages=messages)

    def _fetch(self, key: str, original: OriginalState, early: Original | None) -> bytes | OriginalFile:
        """The bytes of the original in exactly this version. Raises Refused, PreconditionFailed."""
        if original.refusal is not None:
            raise original.refusal
        if early is not None and early.entry.version == original.version:
            return early.data
        try:
            return self._read(key, self.limits.max_bytes, original.version).data
        except NotFound as error:
            raise PreconditionFailed(f"{key!r} was deleted before it could be read") from error

    def _render(
        self, body: bytes | OriginalFile, plan: Plan, record: Record, writer: RenditionWriter
    ) -> Rendered:
        """Render all renditions of the plan; each goes to ``writer`` as soon as it is encoded."""
        focused = FocusedPlan(plan.transformations, record, body)
        return self.render(
            body,
            focused.rendered,
            self.limits,
            icc=self.icc,
            exif=self.exif,
            overlay_sources=read_overlays(self.uploads, dict(plan.overlay_versions), self.limits.max_bytes),
            on_rendition=lambda image: focused.restore(image, writer.write),
        )

    # The ends of an attempt.

    def _abandon(self, lease: Lease, executor: Executor) -> None:
        """End our requests before another worker can acquire the lease, then release it."""
        executor.shutdown(cancel_futures=True)
        self.unreleased.release(self.catalog, lease)

    def _remove_renditions(self, lease: Lease, plan: Plan, original: OriginalState | None) -> Outcome:
        """Remove renditions and record of a key without an original, or that the recipe skips.

        A skipped original keeps its on-demand renditions as long as they are fresh.
        """
        version = original.version if original else None
        stored = list_renditions(self.processed, plan.key)
        focus = lease.record.focus_of(version)
        sources = (version, self.uploads, self.processed, self.icc, focus)
        kept = filter_fresh(stored, *sources) if original else []
        unwanted = [entry for entry in stored if entry not in kept]
        changed = needs_invalidation(lease, self.lease_duration, unwanted, ())
        skip = None if original is None else plan.skip
        lease = self._announce(lease, unwanted)
        with self._invalidating_after_failure(plan.key, changed=changed):
            self._delete_stale(unwanted, keep=())
            invalidate = changed and not self.outbox.is_announced(lease)
            messages = self.outbox.of_deletion(lease, self.clock(), skip, invalidate=invalidate)
            self.catalog.delete(lease, messages)
        unsent = (*lease.unsent, *messages)
        if original is None:
            return Outcome(plan.key, OutcomeStatus.DELETED, unsent=unsent)
        return Outcome(plan.key, OutcomeStatus.SKIPPED, detail=plan.skip, unsent=unsent)

    def _is_kept(self, record: Record, original: OriginalState, refusal: Refused) -> bool:
        """Whether the outcome of earlier work on this version stays: ``refusal`` only says that the original
        cannot be read again. An archived original keeps its renditions."""
        is_finished = record.status is not Status.PROCESSING
        return isinstance(refusal, Unreadable) and is_finished and original.may_have_version(record.version)

    def _refuse(
        self, lease: Lease, plan: Plan, record: Record, refusal: Refused, stored: Sequence[Entry]
    ) -> Outcome:
        """Record the refusal, and delete the renditions of the version before."""
        refused = replace(
            record,
            status=Status.REFUSED,
            fingerprint=refusal_fingerprint(plan, self.limits),
            reason=refusal.reason,
            message=refusal.message,
            original=None,
            summary=None,
            exif=(),
            renditions=(),
        )
        return self._complete(lease, refused, stored)

    def _replaced(
        self, upload: Upload, plan: Plan, before: Record, original: OriginalState, stored: Sequence[Entry]
    ) -> Sequence[Entry]:
        """What was ``stored`` before, without the fresh renditions of lazy presets, which views have made. An
        upload that asks for new renditions keeps none of them, and neither does an original whose pixels a
        new version corrects."""
        if original.version is None or upload.kind is UploadKind.REPROCESS or _is_corrected(before, plan):
            return stored
        sources = (original.version, self.uploads, self.processed, self.icc, plan.cache_control)
        focus = before.focus_of(original.version)
        return [
            entry
            for entry in stored
            if entry.key not in plan.lazy or is_stale(entry.key, *sources, plan.lazy[entry.key], focus=focus)
        ]

    def _complete(self, lease: Lease, record: Record, stored: Sequence[Entry]) -> Outcome:
        """Delete what ``stored`` has beyond the record, and only then write the record."""
        changed = needs_invalidation(lease, self.lease_duration, stored, record.renditions)
        lease = self._announce(lease, stored)
        with self._invalidating_after_failure(record.key, changed=changed):
            self._delete_stale(stored, keep=record.renditions)
            now = self.clock()
            invalidate = changed and not self.outbox.is_announced(lease)
            messages = self.outbox.of_completion(lease, record, now, invalidate=invalidate)
            self.outbox.make_room(self.catalog, lease)
            completed = self.catalog.complete(lease, replace(record, updated_at=now), messages)
        status = OutcomeStatus(completed.status.value)
        return Outcome(record.key, status, completed, record.message, (*lease.unsent, *messages))

    @contextmanager
    def _invalidating_after_failure(self, key: str, *, changed: bool) -> Iterator[None]:
        """Invalidate after a failure, too. A worker that has lost its lease may delete what another such
        worker has stored since, after the announced invalidation was sent."""
        try:
            yield
        except ImageProcessorError:
            if changed:
                self.outbox.invalidate_now(key, self.clock())
            raise

    def _delete_stale(self, stored: Sequence[Entry], *, keep: Sequence[Rendition]) -> None:
        kept = {rendition.key for rendition in keep}
        for entry in stored:
            if entry.key not in kept:
                self.processed.delete(entry.key)

    # After the lease.

    def _send_messages(self, outcome: Outcome) -> Outcome:
        """Send the messages of ``outcome``. Returns it with those that could not be sent, and no error."""
        return self.outbox.send(self.catalog, outcome, self.bucket)

    def _is_current(self, outcome: Outcome) -> bool:
        """Whether the original still has the version that the outcome is about. An event of a change
        during the attempt may have met our lease and been given up."""
        if outcome.status is OutcomeStatus.SKIPPED:
            return True
        original = head_original(self.uploads, outcome.key)
        processed_version = outcome.record.version if outcome.record else None
        if original is None:
            return processed_version is None
        return original.may_have_version(processed_version)


def _next_record(record: Record, original: OriginalState, upload: Upload) -> Record:
    """The leased record for the version that is about to be processed."""
    return replace(record, version=original.version, sequencer=_max_sequencer(record, upload))


def _is_corrected(before: Record, plan: Plan) -> bool:
    """Whether the renditions of ``before`` may have other pixels than this version gives them."""
    original = before.original
    if original is None or not is_corrected(original.format, alpha=original.alpha):
        return False
    return before.fingerprint != processed_fingerprint(plan)


def _max_sequencer(record: Record, upload: Upload) -> str | None:
    return max(filter(None, (record.sequencer, upload.sequencer)), default=None)


def _processed_record(
    record: Record, plan: Plan, rendered: Rendered, renditions: tuple[Rendition, ...]
) -> Record:
    return replace(
        record,
        status=Status.PROCESSED,
        fingerprint=processed_fingerprint(plan),
        reason=None,
        message=None,
        original=rendered.original,
        summary=rendered.summary,
        exif=rendered.exif,
        renditions=renditions,
    )
