"""Each takes one safeguard away from the real code. A simulator that does not notice is worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from image_processor.delivery.repository import RenditionRepository
from image_processor.domain.errors import LeaseLost, PreconditionFailed, Unavailable
from image_processor.domain.models import Outcome, OutcomeStatus, Status, UploadKind
from image_processor.ingest.drift import detect_drift
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.ingest.rendition_writer import UploadTarget
from image_processor.renditions.freshness import list_renditions
from image_processor.renditions.originals import OriginalState
from support.memory_catalog import MemoryCatalog, Row

from .world import World


class Unconditional:
    """A store that writes whatever the condition says."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, body: bytes, attributes: Any, *, condition: object = None) -> Any:  # noqa: ARG002
        return self._store.put(key, body, attributes)


def ignore_conditions(world: World) -> None:
    world.port = lambda side, port: Unconditional(port) if side == "processed" else port


class NoLook(Processor):
    def process(self, upload: Any) -> Outcome:
        try:
            return self._attempt(upload)
        except PreconditionFailed as error:
            raise Unavailable(str(error)) from error


class NoSweep(Processor):
    def _delete_stale(self, stored: Any, *, keep: Any) -> None:
        pass


class Believer(Processor):
    def process(self, upload: Any) -> Outcome:
        if upload.kind is not UploadKind.DELETED:
            return super().process(upload)
        lease = self.catalog.acquire(upload, owner=self.owner, now=self.clock(), duration=self.lease_duration)
        self._delete_stale(list_renditions(self.processed, upload.key), keep=())
        self.catalog.delete(lease)
        return Outcome(upload.key, OutcomeStatus.DELETED)


class Credulous(Processor):
    """Believes what was read before the claim, whatever the record says."""

    def _resolve_original(self, record: Any, early: Any) -> Any:
        return OriginalState(early.entry.version) if early else super()._resolve_original(record, early)


class Keeper(Processor):
    def _attempt(self, upload: Any) -> Outcome:
        return replace(self, catalog=Unreleased(self.catalog))._plain_attempt(upload)

    def _plain_attempt(self, upload: Any) -> Outcome:
        return super()._attempt(upload)


class Unreleased:
    """A catalog that takes no claim back."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def release(self, lease: Any) -> None:
        pass


class Deaf(Processor):
    """Writes on when its claim is lost."""

    def _target(self) -> UploadTarget:
        target = super()._target()
        return Stubborn(**{name: getattr(target, name) for name in target.__struct_fields__})


class Stubborn(UploadTarget):
    def _renew(self, lease: Any) -> Any:
        try:
            return super()._renew(lease)
        except LeaseLost:
            return lease


class Trusting(Processor):
    """Believes the record, and does not look at the renditions."""

    def _is_done(self, record: Any, plan: Any, original: Any) -> bool:
        return record.status is not Status.PROCESSING and not detect_drift(
            plan, self.limits, original, record, record.renditions
        )


class Versionless(Processor):
    """Never sees that an original is another one now."""

    def _is_done(self, record: Any, plan: Any, original: Any) -> bool:
        return super()._is_done(record, plan, replace(original, version=record.version))


class Nearsighted(Reconciler):
    """Looks for lost uploads, but not for what is left over."""

    def _from_records(self, seen: Any) -> Any:  # noqa: ARG002 - the mutation
        return iter(())

    def _from_renditions(self, seen: Any) -> Any:  # noqa: ARG002 - the mutation
        return iter(())


class Tokenless(MemoryCatalog):
    def _ours(self, lease: Any) -> Row:
        return self._rows.setdefault(lease.image_id, Row(lease.record))


class Stampless(RenditionRepository):
    """Shows what was made on demand, of whatever it was made."""

    def find(self, ref: Any) -> Any:
        self.original_version(ref.key)
        return self._head(ref.stored_key)


def show_anything(world: World) -> None:
    world.kept_class = Stampless


def use_processor(class_: type[Processor]) -> Callable[[World], None]:
    return lambda world: setattr(world, "processor_class", class_)


def use_catalog(class_: type[MemoryCatalog]) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.catalog, world.records_as_objects = class_(), False

    return change


def use_reconciler(class_: type[Reconciler]) -> Callable[[World], None]:
    return lambda world: setattr(world, "reconciler_class", class_)


# With the weather that shows it soonest.
MUTATIONS: dict[str, tuple[Callable[[World], None], str]] = {
    "the conditions of puts are ignored": (ignore_conditions, "stalling"),
    "no look after completing": (use_processor(NoLook), "duplicates"),
    "renditions are not swept": (use_processor(NoSweep), "calm"),
    "a delete event is believed": (use_processor(Believer), "duplicates"),
    "what was read early is believed": (use_processor(Credulous), "stalling"),
    "an error keeps the claim": (use_processor(Keeper), "failing"),
    "a lost claim is not heeded": (use_processor(Deaf), "stalling"),
    "the record is believed unseen": (use_processor(Trusting), "storm"),
    "another version is not noticed": (use_processor(Versionless), "duplicates"),
    "leftovers are not looked for": (use_reconciler(Nearsighted), "lossy"),
    "what was made on demand is shown for ever": (show_anything, "lossy"),
    "tokens are not compared": (use_catalog(Tokenless), "stalling"),
}
