"""Mutations that each remove one safeguard from the real code. A campaign must notice every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from image_processor.catalog.objects import PREFIX, ObjectCatalog
from image_processor.delivery.repository import RenditionRepository
from image_processor.domain.errors import LeaseLost, PreconditionFailed, Reason, Refused, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Outcome, OutcomeStatus, Status, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.drift import Drift, detect_drift
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.ingest.rendition_writer import UploadTarget
from image_processor.ingest.unreleased_leases import UnreleasedLeases
from image_processor.renditions.freshness import list_renditions
from image_processor.renditions.originals import OriginalState
from image_processor.standalone.webhooks import WebhookSender
from support.memory_catalog import MemoryCatalog, Row

from .simulator import Simulator


class Unconditional:
    """A store that ignores the conditions of puts."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, body: bytes, attributes: Any, *, condition: object = None) -> Any:  # noqa: ARG002
        return self._store.put(key, body, attributes)


def ignore_conditions(sim: Simulator) -> None:
    change = lambda side, port: Unconditional(port) if side == "processed" else port  # noqa: E731
    vars(sim)["port"] = change


class WithoutFinalCheck(Processor, frozen=True):
    """Does not look at the original again after completing."""

    def process(self, upload: Any) -> Outcome:
        try:
            return self._attempt(upload)
        except PreconditionFailed as error:
            raise Unavailable(str(error)) from error


class WithoutDeletion(Processor, frozen=True):
    """Leaves stale renditions in the store."""

    def _delete_stale(self, stored: Any, *, keep: Any) -> None:
        pass


class TrustsDeleteEvents(Processor, frozen=True):
    """Deletes on a delete event without a look at the original."""

    def process(self, upload: Any) -> Outcome:
        if upload.kind is not UploadKind.DELETED:
            return super().process(upload)
        lease = self.catalog.acquire(upload, owner=self.owner, now=self.clock(), duration=self.lease_duration)
        self._delete_stale(list_renditions(self.processed, upload.key), keep=())
        self.catalog.delete(lease)
        return Outcome(upload.key, OutcomeStatus.DELETED)


class TrustsEarlyRead(Processor, frozen=True):
    """Uses what was read before the lease, whatever version the record has."""

    def _resolve_original(self, record: Any, early: Any) -> Any:
        return OriginalState(early.entry.version) if early else super()._resolve_original(record, early)


class KeepsLeaseOnError(Processor, frozen=True):
    """Does not release its lease after an error."""

    def _attempt(self, upload: Any) -> Outcome:
        return replace(self, catalog=NeverReleases(self.catalog))._plain_attempt(upload)

    def _plain_attempt(self, upload: Any) -> Outcome:
        return super()._attempt(upload)


class NeverReleases:
    """A catalog that ignores releases."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def release(self, lease: Any) -> None:
        pass


class IgnoresLostLease(Processor, frozen=True):
    """Writes on after its lease is lost."""

    def _target(self, lease: Any) -> UploadTarget:
        target = super()._target(lease)
        return TargetThatIgnoresLostLease(
            **{name: getattr(target, name) for name in target.__struct_fields__}
        )


class TargetThatIgnoresLostLease(UploadTarget, frozen=True):
    def _renew(self, lease: Any, messages: Any = ()) -> Any:
        try:
            return super()._renew(lease, messages)
        except LeaseLost:
            return lease


class TrustsRecord(Processor, frozen=True):
    """Compares the plan with the record only, not with the stored renditions."""

    def _is_done(self, record: Any, plan: Any, original: Any) -> bool:
        return record.status is not Status.PROCESSING and not detect_drift(
            plan, self.limits, original, record, record.renditions
        )


class IgnoresVersion(Processor, frozen=True):
    """Does not notice that the original has another version."""

    def _is_done(self, record: Any, plan: Any, original: Any) -> bool:
        return super()._is_done(record, plan, replace(original, version=record.version))


class KeepsLazyRenditions(Processor, frozen=True):
    """Keeps the renditions of lazy presets that views of earlier versions have made."""

    def _replaced(self, upload: Any, plan: Any, before: Any, original: Any, stored: Any) -> Any:
        stored = super()._replaced(upload, plan, before, original, stored)
        return [entry for entry in stored if entry.key not in plan.lazy]


class SearchesOriginalsOnly(MergingReconciler, frozen=True):
    """Finds lost uploads, but no orphans."""

    def _check_candidates(self, candidates: Any) -> Any:  # noqa: ARG002 - the mutation
        return iter(())

    def _from_records(self, after: Any) -> Any:  # noqa: ARG002 - the mutation
        return iter(())

    def _from_renditions(self, after: Any) -> Any:  # noqa: ARG002 - the mutation
        return iter(())


class StopsAtUnreadableKeys(MergingReconciler, frozen=True):
    """Ends at the first key that cannot be read."""

    def inspect(self, key: str) -> Any:
        state = super().inspect(key)
        if state.original is not None and state.original.is_unreadable:
            raise Unavailable(str(state.original.refusal))
        return state

    def _try(self, key: Any, check: Any) -> Any:  # noqa: ARG002 - the mutation
        return check()


class DeletesWhatIsUnreadable(Processor, frozen=True):
    """Takes an original that cannot be read for a deleted one."""

    def _resolve_original(self, record: Any, early: Any) -> Any:
        original = super()._resolve_original(record, early)
        return None if original is None or original.is_unreadable else original


class RefusesWhatIsUnreadable(Processor, frozen=True):
    """Does not keep the renditions of a version that cannot be read any more."""

    def _is_done(self, record: Any, plan: Any, original: Any) -> bool:
        if original is not None and original.is_unreadable and record.renditions:
            return False
        return super()._is_done(record, plan, original)

    def _is_kept(self, record: Any, original: Any, refusal: Any) -> bool:  # noqa: ARG002 - the mutation
        return False


class NeverReadsAgain(MergingReconciler, frozen=True):
    """Takes a refusal as unreadable for final."""

    def find_drift_among(self, *args: Any) -> Any:
        drift = super().find_drift_among(*args)
        return None if drift is Drift.READABLE else drift


class ForgetsUnreleasedLeases(Processor, frozen=True):
    """Waits for the end of a lease that it could not release."""

    def _acquire_lease(self, upload: Any) -> Any:
        return replace(self, unreleased=UnreleasedLeases())._plain_attempt(upload)

    def _plain_attempt(self, upload: Any) -> Any:
        return super()._acquire_lease(upload)


class ReleasesBeforeItsWritesEnd(Processor, frozen=True):
    """Gives its lease back while puts are under way."""

    def _abandon(self, lease: Any, executor: Any) -> None:
        self.unreleased.release(self.catalog, lease)
        executor.shutdown(cancel_futures=True)


class CompletesBeforeItDeletes(Processor, frozen=True):
    """Gives its lease back before it deletes stale renditions."""

    def _complete(self, lease: Any, record: Any, stored: Any) -> Outcome:
        outcome = replace(self, processed=NeverDeletes(self.processed))._plain_attempt(lease, record, stored)
        self._delete_stale(stored, keep=record.renditions)
        return outcome

    def _plain_attempt(self, *args: Any) -> Outcome:
        return super()._complete(*args)


class NeverDeletes:
    """A store that ignores deletions."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, key: str) -> None:
        pass


class RefusesAfterAStop(Processor, frozen=True):
    """Takes a renderer that stopped for a refusal of the file."""

    def _render(self, *args: Any) -> Any:
        try:
            return super()._render(*args)
        except Unavailable as error:
            raise Refused(Reason.TOO_SLOW, str(error)) from error


class TargetThatTrustsItsClock(UploadTarget, frozen=True):
    """Believes that its lease is its own as long as its own clock says so."""

    def _renew(self, lease: Any, messages: Any = ()) -> Any:
        return lease if self.clock() < lease.expires_at else super()._renew(lease, messages)


class TrustsItsClock(Processor, frozen=True):
    """Does not ask the catalog whether its lease is lost."""

    def _target(self, lease: Any) -> UploadTarget:
        target = super()._target(lease)
        return TargetThatTrustsItsClock(**{name: getattr(target, name) for name in target.__struct_fields__})


class ForgetsChangesThatItCannotRecord(Processor, frozen=True):
    """Has the CDN forget nothing if it has changed renditions but lost its lease."""

    @contextmanager
    def _invalidating_after_failure(self, key: str, *, changed: bool) -> Iterator[None]:  # noqa: ARG002
        yield


class SendsWebhooksAtMostOnce(WebhookSender):
    """Removes an event before it sends it."""

    def _send(self, event: Any) -> bool:
        self._queue.remove(event.message)
        return super()._send(event)


class ForgetsDeadWebhooks(WebhookSender):
    """Removes an event that was tried often enough, instead of keeping it for a redrive."""

    def _send(self, event: Any) -> bool:
        answered = super()._send(event)
        if event.attempts + 1 >= self._webhook.max_attempts:
            self._queue.remove(event.message)
        return answered


def use_webhook_sender(class_: type[WebhookSender]) -> Callable[[Simulator], None]:
    return lambda sim: setattr(sim, "webhook_sender_class", class_)


class AnnouncesNothing(Processor, frozen=True):
    """Does not put the invalidation into the outbox before it changes what no record describes."""

    def _announce(self, lease: Any, before: Any) -> Any:  # noqa: ARG002 - the mutation
        return lease


class CatalogWithoutTokens(MemoryCatalog):
    def _leased_row(self, lease: Any) -> Row:
        return self._rows.setdefault(lease.image_id, Row(lease.record))


class CatalogWithoutOutbox(MemoryCatalog):
    """Forgets messages: only the worker that completed the record knows them."""

    def unsent(self, image_id: str) -> tuple[Any, ...]:  # noqa: ARG002 - the mutation
        return ()

    def scan_entries(self, *, after: str = "") -> Any:
        return (replace(entry, unsent=()) for entry in super().scan_entries(after=after))


class ForgetsFailedMessages(Processor, frozen=True):
    """Removes messages from the outbox whether they could be sent or not."""

    def _send_messages(self, outcome: Outcome) -> Outcome:
        left = super()._send_messages(outcome).unsent
        if left:
            self.catalog.mark_sent(image_id(self.bucket, outcome.key), left)
        return replace(outcome, unsent=())


class KeepsDeletedRecords(ObjectCatalog):
    """Writes an empty object instead of deleting it, as version 0.1 did."""

    def _write(self, id_: str, state: Any, condition: Any) -> Any:
        if state != type(state)():
            return super()._write(id_, state, condition)
        return self._store.put(f"{PREFIX}{id_}.json", b"{}", Attributes(), condition=condition).version


def keep_deleted_records(sim: Simulator) -> None:
    sim.object_catalog_class, sim.records_as_objects = KeepsDeletedRecords, True


class ServesStale(RenditionRepository, frozen=True):
    """Serves on-demand renditions of any version of the original."""

    def find(self, ref: Any) -> Any:
        self.original_version(ref.key)
        return self._head(ref.stored_key)


def serve_stale(sim: Simulator) -> None:
    sim.repository_class = ServesStale


def use_processor(class_: type[Processor]) -> Callable[[Simulator], None]:
    return lambda sim: setattr(sim, "processor_class", class_)


def use_catalog(class_: type[MemoryCatalog]) -> Callable[[Simulator], None]:
    def change(sim: Simulator) -> None:
        sim.catalog, sim.records_as_objects = class_(), False

    return change


def use_reconciler(class_: type[Reconciler]) -> Callable[[Simulator], None]:
    return lambda sim: setattr(sim, "reconciler_class", class_)


# Each with the fault profile that reveals it soonest.
MUTATIONS: dict[str, tuple[Callable[[Simulator], None], str]] = {
    "the conditions of puts are ignored": (ignore_conditions, "stalling"),
    "the original is not checked after completing": (use_processor(WithoutFinalCheck), "duplicates"),
    "stale renditions are not deleted": (use_processor(WithoutDeletion), "calm"),
    "a delete event is trusted": (use_processor(TrustsDeleteEvents), "duplicates"),
    "an early read is trusted": (use_processor(TrustsEarlyRead), "stalling"),
    "an error keeps the lease": (use_processor(KeepsLeaseOnError), "failing"),
    "a lost lease is ignored": (use_processor(IgnoresLostLease), "stalling"),
    "the record is trusted without a listing": (use_processor(TrustsRecord), "storm"),
    "the version is ignored": (use_processor(IgnoresVersion), "duplicates"),
    "stale lazy renditions are kept": (use_processor(KeepsLazyRenditions), "calm"),
    "orphans are not searched": (use_reconciler(SearchesOriginalsOnly), "lossy"),
    "stale on-demand renditions are served": (serve_stale, "lossy"),
    "messages are not stored": (use_catalog(CatalogWithoutOutbox), "killing"),
    "messages that were not sent are forgotten": (use_processor(ForgetsFailedMessages), "failing"),
    "deleted records leave objects": (keep_deleted_records, "calm"),
    "lease tokens are not compared": (use_catalog(CatalogWithoutTokens), "stalling"),
    "an unreadable key ends the search": (use_reconciler(StopsAtUnreadableKeys), "refusing"),
    "an unreadable original counts as deleted": (use_processor(DeletesWhatIsUnreadable), "refusing"),
    "an unreadable original loses its renditions": (use_processor(RefusesWhatIsUnreadable), "refusing"),
    "an unreadable original is never read again": (use_reconciler(NeverReadsAgain), "refusing"),
    "a lease that was not released is forgotten": (use_processor(ForgetsUnreleasedLeases), "full"),
    "a lease is released before writes end": (use_processor(ReleasesBeforeItsWritesEnd), "failing"),
    "a record is completed before deletions": (use_processor(CompletesBeforeItDeletes), "calm"),
    "a stopped renderer refuses the file": (use_processor(RefusesAfterAStop), "stopping"),
    "the worker's own clock is trusted": (use_processor(TrustsItsClock), "clocks"),
    "changes without a lease are not invalidated": (
        use_processor(ForgetsChangesThatItCannotRecord),
        "clocks",
    ),
    "webhooks are sent at most once": (use_webhook_sender(SendsWebhooksAtMostOnce), "webhooks"),
    "dead webhooks are forgotten": (use_webhook_sender(ForgetsDeadWebhooks), "webhooks"),
    "unrecorded changes are not announced": (use_processor(AnnouncesNothing), "killing"),
}
