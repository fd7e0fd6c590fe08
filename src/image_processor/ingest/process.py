"""The heart of ingest, and its only place with I/O: one upload becomes renditions and a record.

The event is only a hint. `process` looks at the original as it is now and makes the processed
side agree with it, under a claim, so that duplicates, old events and crashes all converge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import LeaseBusy, NotFound, PreconditionFailed, Refused, Unavailable
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import (
    ExifField,
    IccPolicy,
    Lease,
    Limits,
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
from image_processor.domain.ports import Catalog, Entry, ObjectStore, StoredObject
from image_processor.renditions.freshness import filter_fresh, list_renditions
from image_processor.renditions.originals import OriginalState, head_original, overlay_versions, read_overlays
from image_processor.renditions.renderer import Renderer

from .drift import detect_drift
from .invalidation import Invalidate, change_id, invalidation_prefix, needs_invalidation, no_invalidation
from .plan import plan_upload, refusal_fingerprint, skip_reason
from .rendition_writer import RenditionWriter, UploadTarget

_ROUNDS = 5
"""How often an original may change under our hands before the queue has to try again."""

_EARLY_BYTES = 8 * 1024 * 1024
"""Of larger originals a look comes first: a duplicate event would read them for nothing."""

_BESIDE = 8
"""How many requests wait at a time for S3's answer, some 20 ms each, while something else is done."""


class Processor(Struct, frozen=True):
    """Everything that work on one upload needs. ``lease`` is how long a claim lasts: longer than
    the longest render, or two workers may do the same work (safe, but wasteful). ``purge`` tells the
    CDN what to forget."""

    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    render: Renderer
    limits: Limits
    icc: IccPolicy
    cache_control: str
    owner: str
    lease: timedelta
    clock: Callable[[], datetime]
    exif: tuple[ExifField, ...] = ()
    purge: Invalidate = no_invalidation

    def process(self, upload: Upload) -> Outcome:
        """Make renditions and record of the upload's key agree with its original as it is now.

        Raises InvalidKey, and the retryable errors: LeaseBusy, LeaseLost, Unavailable. Nothing
        is lost then: the same upload may be processed again, by anyone, at any time.
        """
        check_key(upload.key)
        skip = skip_reason(upload.key, self.recipe)
        if upload.kind is UploadKind.DELETED and self._is_gone(upload):
            return Outcome(upload.key, OutcomeStatus.DELETED)
        if skip is not None and self._is_bare(upload):
            return Outcome(upload.key, OutcomeStatus.SKIPPED, detail=skip)
        for _ in range(_ROUNDS):
            try:
                outcome = self._once(upload)
            except PreconditionFailed:
                continue
            seen = outcome.record.version if outcome.record else None
            now = head_original(self.uploads, upload.key)
            if outcome.status is OutcomeStatus.SKIPPED or (now.version if now else None) == seen:
                return outcome
            upload = replace(upload, kind=UploadKind.CREATED)
        raise Unavailable(f"{upload.key!r} kept changing while it was processed")

    def _is_gone(self, upload: Upload) -> bool:
        """Whether a deletion is complete. Asked without a claim, which would make a record for a
        moment: whoever deleted the image would see it again."""
        return head_original(self.uploads, upload.key) is None and self._is_bare(upload)

    def _is_bare(self, upload: Upload) -> bool:
        """Whether nothing was ever made of the key, or nothing of it is left."""
        id_, key = image_id(upload.bucket, upload.key), upload.key
        return self.catalog.get(id_) is None and not list_renditions(self.processed, key)

    def _once(self, upload: Upload) -> Outcome:
        with ThreadPoolExecutor(_BESIDE) as beside:
            reading = beside.submit(self._read_early, upload)
            claim = self._claim(upload)
            if isinstance(claim, Outcome):
                return claim
            try:
                return self._under(claim, upload, reading.result, beside)
            except BaseException:
                # Nothing of ours may be on its way any more when somebody else begins.
                beside.shutdown(cancel_futures=True)
                self.catalog.release(claim)
                raise

    def _claim(self, upload: Upload) -> Lease | Outcome:
        """The claim, or what there is to say without one. Raises LeaseBusy."""
        try:
            return self.catalog.acquire(upload, owner=self.owner, now=self.clock(), duration=self.lease)
        except LeaseBusy:
            if (record := self._done_by_others(upload)) is None:
                raise
            return Outcome(upload.key, OutcomeStatus.UNCHANGED, record)

    def _read_early(self, upload: Upload) -> StoredObject | None:
        """The original of an upload that is nearly sure to need work, read while the claim is taken.
        None where it need not or cannot be read, or is so large that a look before costs little."""
        likely = upload.kind in {UploadKind.CREATED, UploadKind.REPROCESS}
        if not likely or skip_reason(upload.key, self.recipe) is not None:
            return None
        try:
            return self.uploads.get(upload.key, limit=min(_EARLY_BYTES, self.limits.max_bytes))
        except (NotFound, Refused):
            return None

    def _done_by_others(self, upload: Upload) -> Record | None:
        """The record, where nothing is left to do: a queue gives duplicates that come all at once the
        same few tries, and would count those that always met a claim as dead."""
        record = self.catalog.get(image_id(upload.bucket, upload.key))
        if record is None or upload.kind is UploadKind.REPROCESS:
            return None
        sight = head_original(self.uploads, upload.key)
        return record if self._settled(record, self._plan(upload), sight) else None

    def _under(
        self, claim: Lease, upload: Upload, early: Callable[[], StoredObject | None], beside: Executor
    ) -> Outcome:
        plan = self._plan(upload)
        sight, original = self._look(claim.record, early())
        if sight is None or plan.skip is not None:
            return self._clear(claim, plan, sight)
        if upload.kind is not UploadKind.REPROCESS and self._settled(claim.record, plan, sight):
            self.catalog.release(claim)
            return Outcome(plan.key, OutcomeStatus.UNCHANGED, claim.record)
        return self._make(claim, plan, sight, upload, beside, original)

    def _look(
        self, record: Record, early: StoredObject | None
    ) -> tuple[OriginalState | None, StoredObject | None]:
        """The original under the claim, with its bytes where they were read ``early`` and still count.

        What was read before the claim may be older than what somebody has finished meanwhile: where
        the record tells of another version, only a look can say which of the two is the newer.
        """
        if early is not None and (
            record.status is Status.PROCESSING or record.version == early.entry.version
        ):
            return OriginalState(early.entry.version), early
        sight = head_original(self.uploads, record.key)
        same = sight is not None and early is not None and sight.version == early.entry.version
        return sight, early if same else None

    def _plan(self, upload: Upload) -> Plan:
        overlays = overlay_versions(self.uploads, self.recipe.transformations_for(upload.key))
        return plan_upload(upload.key, self.recipe, self.icc, self.exif, overlays)

    def _settled(self, record: Record, plan: Plan, sight: OriginalState | None) -> bool:
        """Whether nothing is left to do. Looks at the renditions too, not only at the record: a
        worker that lost its claim may have written after the record was made."""
        if record.status is Status.PROCESSING:
            return False
        return (
            detect_drift(plan, self.limits, sight, record, list_renditions(self.processed, plan.key)) is None
        )

    def _clear(self, claim: Lease, plan: Plan, sight: OriginalState | None) -> Outcome:
        """The original is gone, or no rule wants it: then what somebody asked for stays while it is right."""
        stored = list_renditions(self.processed, plan.key)
        kept = filter_fresh(stored, sight.version, self.uploads, self.processed, self.icc) if sight else []
        unwanted = [each for each in stored if each not in kept]
        self._sweep(unwanted, keep=())
        self._forget(claim, replace(claim.record, version=sight.version if sight else None), unwanted)
        self.catalog.delete(claim)
        if sight is None:
            return Outcome(plan.key, OutcomeStatus.DELETED)
        return Outcome(plan.key, OutcomeStatus.SKIPPED, detail=plan.skip)

    def _make(
        self,
        claim: Lease,
        plan: Plan,
        sight: OriginalState,
        upload: Upload,
        beside: Executor,
        original: StoredObject | None = None,
    ) -> Outcome:
        """``original`` is what ``sight`` saw, if it has been read already."""
        draft = replace(claim.record, version=sight.version, sequencer=_later(claim.record, upload))
        putting = RenditionWriter(self._place(), claim, beside)
        try:
            rendered = self._render(plan, sight, original, putting)
        except Refused as refusal:
            return self._refuse(claim, plan, draft, refusal, putting.stored())
        renditions = putting.renditions(plan.transformations)
        before = putting.before()
        self._sweep(before, keep=renditions)
        self._forget(claim, draft, before, renditions)
        record = replace(
            draft,
            status=Status.PROCESSED,
            fingerprint=plan.fingerprint,
            reason=None,
            message=None,
            original=rendered.original,
            summary=rendered.summary,
            exif=rendered.exif,
            renditions=renditions,
            updated_at=self.clock(),
        )
        return Outcome(plan.key, OutcomeStatus.PROCESSED, self.catalog.complete(claim, record))

    def _refuse(
        self, claim: Lease, plan: Plan, draft: Record, refusal: Refused, before: Sequence[Entry]
    ) -> Outcome:
        self._sweep(before, keep=())
        self._forget(claim, draft, before)
        record = replace(
            draft,
            status=Status.REFUSED,
            fingerprint=refusal_fingerprint(plan, self.limits),
            reason=refusal.reason,
            message=refusal.message,
            original=None,
            summary=None,
            exif=(),
            renditions=(),
            updated_at=self.clock(),
        )
        return Outcome(plan.key, OutcomeStatus.REFUSED, self.catalog.complete(claim, record), refusal.message)

    def _place(self) -> UploadTarget:
        return UploadTarget(
            self.processed, self.catalog, self.recipe, self.cache_control, self.lease, self.clock
        )

    def _render(
        self, plan: Plan, sight: OriginalState, original: StoredObject | None, putting: RenditionWriter
    ) -> Rendered:
        if sight.refusal is not None:
            raise sight.refusal
        if original is None:
            original = self._read(plan, sight)
        overlay_sources = read_overlays(self.uploads, dict(plan.overlay_versions), self.limits.max_bytes)
        return self.render(
            original.body,
            plan.transformations,
            self.limits,
            icc=self.icc,
            exif=self.exif,
            overlay_sources=overlay_sources,
            on_rendition=putting.put,
        )

    def _read(self, plan: Plan, sight: OriginalState) -> StoredObject:
        try:
            return self.uploads.get(plan.key, limit=self.limits.max_bytes, version=sight.version)
        except NotFound as error:
            raise PreconditionFailed(f"{plan.key!r} was deleted before it could be read") from error

    def _sweep(self, stored: Sequence[Entry], *, keep: Sequence[Rendition]) -> None:
        """Delete the stored renditions that are not among ``keep``."""
        kept = {rendition.key for rendition in keep}
        for entry in stored:
            if entry.key not in kept:
                self.processed.delete(entry.key)

    def _forget(
        self, claim: Lease, draft: Record, before: Sequence[Entry], left: Sequence[Rendition] = ()
    ) -> None:
        """Have the CDN forget the image, if anything of it was kept that is not so any more."""
        if needs_invalidation(claim, self.lease, before, left):
            self.purge(invalidation_prefix(draft.key), change_id(draft))


def _later(record: Record, upload: Upload) -> str | None:
    return max(filter(None, (record.sequencer, upload.sequencer)), default=None)
