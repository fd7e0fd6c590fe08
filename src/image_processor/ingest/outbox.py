"""Ingest, step 7: which messages an outcome calls for, and how they are sent.

`process` stores them in the outbox in the same step as the record and sends them afterwards. After a crash
in between, the next event of the key or `reconcile` sends them, so each message is sent at least once
(docs/adr/0002).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, MessageKind, OutboxMessage, Outcome, Record, Status
from image_processor.domain.ports import Catalog

Send = Callable[[Sequence[OutboxMessage]], None]
"""Sends messages of one kind. Raises ImageProcessorError; then they are sent again."""


_MAX_WAITING_BYTES = 100_000
"""The most bytes of events of one original that wait while a new one is added."""


class Outbox(Struct, frozen=True):
    """The messages about outcomes that an installation wants, and how they are sent."""

    kinds: frozenset[MessageKind] = frozenset()
    """The kinds of messages that are wanted."""
    senders: Mapping[MessageKind, Send] = field(default_factory=lambda: MappingProxyType({}))
    """What sends the kinds that the worker itself sends. Another thread reads the others from the catalog."""
    renditions_url: str | None = None
    """The base URL of renditions in events."""
    keeps_other_kinds: bool = False
    """Whether messages of other kinds are kept: a command may not know all that the installation wants."""

    def of_completion(
        self, lease: Lease, record: Record, at: datetime, *, invalidate: bool
    ) -> tuple[OutboxMessage, ...]:
        """The messages for the completion of ``lease`` with ``record``."""

        def body() -> str:
            from .outcome_events import completion_event, event_json  # noqa: PLC0415 - with urllib, where it is used

            revision = lease.record.revision + 1
            return event_json(
                completion_event(outcome_id(lease.record), record, revision, at, self.renditions_url)
            )

        return self._messages(lease, at, body, invalidate=invalidate)

    def of_deletion(
        self, lease: Lease, at: datetime, skip: str | None, *, invalidate: bool
    ) -> tuple[OutboxMessage, ...]:
        """The messages for the deletion of the record of ``lease``: no event unless there was an earlier one
        about the original. ``skip`` is why an original that still exists has no record any more."""

        def body() -> str:
            from .outcome_events import deletion_event, event_json  # noqa: PLC0415 - as above

            return event_json(deletion_event(outcome_id(lease.record), lease.record, at, skip))

        is_news = lease.record.status is not Status.PROCESSING
        return self._messages(lease, at, body if is_news else None, invalidate=invalidate)

    def of_announcement(self, lease: Lease) -> tuple[OutboxMessage, ...]:
        """The invalidation that goes into the outbox before a change of which a crash would leave no trace.
        It is sent after the completion, by this worker or by the next one that has the lease. None for a
        record that was never completed: the next worker sees that by itself.

        One lease has one such message. Its id is not that of the outcome, which another lease may have, too:
        CloudFront ignores a reference that it knows.
        """
        if MessageKind.INVALIDATION not in self.kinds or lease.record.status is Status.PROCESSING:
            return ()
        id_, record = sha256_hex(f"announced {lease.token}".encode())[:32], lease.record
        return (OutboxMessage(id_, MessageKind.INVALIDATION, record.key, record.updated_at),)

    def is_announced(self, lease: Lease) -> bool:
        """Whether the message of `of_announcement` is in the outbox."""
        announcement = self.of_announcement(lease)
        return bool(announcement) and announcement[0] in lease.unsent

    def make_room(self, catalog: Catalog, lease: Lease) -> None:
        """Remove the oldest events of ``lease`` if more would exceed _MAX_WAITING_BYTES, which a database
        might refuse. They are about outcomes that a later one has replaced."""
        room = _MAX_WAITING_BYTES
        for message in reversed([item for item in lease.unsent if item.kind is MessageKind.EVENT]):
            room -= len(message.body.encode())
            if room < 0:
                catalog.mark_sent(lease.image_id, [message])

    def send(self, catalog: Catalog, outcome: Outcome, bucket: str) -> Outcome:
        """Send the messages of ``outcome`` and remove them from the outbox. Returns the outcome with the
        messages that are left."""
        if not outcome.unsent:
            return outcome
        left: list[OutboxMessage] = []
        id_ = image_id(bucket, outcome.key)
        for kind, group in groupby(sorted(outcome.unsent, key=_kind), key=_kind):
            messages = tuple(group)
            if not self._send(catalog, id_, kind, messages):
                left += messages
        return replace(outcome, unsent=tuple(left))

    def invalidate_now(self, key: str, at: datetime) -> None:
        """Invalidate ``key`` in the CDN after changes that no record shows. Does nothing if that fails."""
        send = self.senders.get(MessageKind.INVALIDATION)
        if send is None:
            return
        try:
            send([OutboxMessage(os.urandom(16).hex(), MessageKind.INVALIDATION, key, at)])
        except ImageProcessorError:
            return

    def _send(
        self, catalog: Catalog, image_id: str, kind: MessageKind, messages: Sequence[OutboxMessage]
    ) -> bool:
        """Whether messages of one kind have left the outbox; nobody is interested in a kind that is off."""
        sender = self.senders.get(kind)
        if sender is None and (kind in self.kinds or self.keeps_other_kinds):
            return False
        try:
            if sender is not None:
                sender(messages)
            catalog.mark_sent(image_id, messages)
        except ImageProcessorError:
            return False
        return True

    def _messages(
        self, lease: Lease, at: datetime, body: Callable[[], str] | None, *, invalidate: bool
    ) -> tuple[OutboxMessage, ...]:
        id_, key = outcome_id(lease.record), lease.record.key
        messages = []
        if invalidate and MessageKind.INVALIDATION in self.kinds:
            messages.append(OutboxMessage(id_, MessageKind.INVALIDATION, key, at))
        if body is not None and MessageKind.EVENT in self.kinds:
            messages.append(OutboxMessage(id_, MessageKind.EVENT, key, at, body()))
        return tuple(messages)


def outcome_id(record: Record) -> str:
    """32 hex digits that identify the outcome of work on a leased ``record``: of all leases on one revision
    of a record, at most one completes or deletes it."""
    identity = (record.id, record.created_at, record.revision)
    return sha256_hex(repr(identity).encode())[:32]


def _kind(message: OutboxMessage) -> MessageKind:
    return message.kind
