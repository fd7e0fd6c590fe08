"""The contract of every catalog's outbox: messages are written with the record, and kept until sent."""

from __future__ import annotations

import pytest
from contract_adapters import ConnectCatalog
from contract_records import LEASE, NOW, acquire, upload
from msgspec.structs import replace

from image_processor.domain.errors import LeaseBusy, LeaseLost
from image_processor.domain.keys import image_id
from image_processor.domain.models import MessageKind, OutboxMessage, Status
from image_processor.domain.ports import Catalog, CatalogEntry, Query

ID = image_id("uploads", "photos/cat.jpg")


def message(number: int, kind: MessageKind = MessageKind.EVENT) -> OutboxMessage:
    created_at = NOW.replace(microsecond=number)
    return OutboxMessage(f"m{number}", kind, "photos/cat.jpg", created_at, f'{{"n": "ä{number}"}}')


def complete(catalog: Catalog, *messages: OutboxMessage) -> None:
    lease = acquire(catalog)
    catalog.complete(lease, replace(lease.record, status=Status.PROCESSED), messages)


def unsent_everywhere(catalog: Catalog, after: str = "") -> dict[str, tuple[OutboxMessage, ...]]:
    return {entry.id: entry.unsent for entry in catalog.scan_entries(after=after) if entry.unsent}


def test_messages_are_written_with_the_record(catalog: Catalog) -> None:
    first, second = message(1), message(2, MessageKind.INVALIDATION)
    complete(catalog, second, first)
    record = catalog.get(ID)
    assert record is not None
    assert record.status is Status.PROCESSED
    assert catalog.unsent(ID) == (first, second)
    assert unsent_everywhere(catalog) == {ID: (first, second)}
    assert acquire(catalog).unsent == (first, second)


def test_without_messages_the_outbox_is_empty(catalog: Catalog) -> None:
    complete(catalog)
    assert catalog.unsent(ID) == ()
    assert catalog.unsent(image_id("uploads", "never.jpg")) == ()
    assert unsent_everywhere(catalog) == {}
    assert acquire(catalog).unsent == ()


def test_messages_of_several_outcomes_gather(catalog: Catalog) -> None:
    complete(catalog, message(1))
    complete(catalog, message(2))
    complete(catalog, message(2))
    assert catalog.unsent(ID) == (message(1), message(2))


def test_sent_messages_are_removed_and_others_are_kept(catalog: Catalog) -> None:
    complete(catalog, message(1), message(2))
    lease = acquire(catalog)
    catalog.mark_sent(ID, [message(1), message(9)])
    catalog.renew(lease, now=NOW, duration=lease.expires_at - NOW)
    assert catalog.unsent(ID) == (message(2),)
    catalog.mark_sent(ID, [message(2)])
    catalog.mark_sent(ID, [message(2)])
    catalog.mark_sent(ID, [])
    assert catalog.unsent(ID) == ()
    catalog.complete(lease, lease.record, [message(3)])
    assert catalog.unsent(ID) == (message(3),)


def test_marking_what_does_not_exist_creates_nothing(catalog: Catalog) -> None:
    catalog.mark_sent(ID, [message(1)])
    assert catalog.get(ID) is None
    assert list(catalog.scan()) == []


def test_an_outbox_outlives_its_record(catalog: Catalog) -> None:
    complete(catalog, message(1))
    catalog.delete(acquire(catalog), [message(2)])
    assert catalog.get(ID) is None
    assert list(catalog.scan()) == []
    assert catalog.list(Query(), limit=10).records == ()
    assert catalog.unsent(ID) == (message(1), message(2))
    assert unsent_everywhere(catalog) == {ID: (message(1), message(2))}
    catalog.mark_sent(ID, [message(1), message(2)])
    assert unsent_everywhere(catalog) == {}
    assert acquire(catalog).record.revision == 0


def test_a_deletion_without_messages_keeps_those_of_before(catalog: Catalog) -> None:
    complete(catalog, message(1))
    catalog.delete(acquire(catalog))
    assert catalog.unsent(ID) == (message(1),)


def test_a_new_record_after_a_deletion_keeps_the_outbox(catalog: Catalog) -> None:
    catalog.delete(acquire(catalog), [message(1)])
    lease = acquire(catalog, owner="b")
    assert (lease.unsent, lease.record.status) == ((message(1),), Status.PROCESSING)
    catalog.mark_sent(ID, lease.unsent)
    assert catalog.get(ID) == lease.record
    catalog.complete(lease, lease.record)
    assert catalog.unsent(ID) == ()


def test_a_renewal_adds_messages_that_the_next_worker_sees(catalog: Catalog) -> None:
    complete(catalog, message(1))
    lease = acquire(catalog)
    record = catalog.get(ID)
    later = NOW + LEASE
    renewed = catalog.renew(lease, now=later, duration=LEASE, messages=[message(2)])
    assert renewed.unsent == catalog.unsent(ID) == (message(1), message(2))
    assert (renewed.token, renewed.record, catalog.get(ID)) == (lease.token, record, record)
    assert renewed.expires_at == later + LEASE
    with pytest.raises(LeaseBusy):
        acquire(catalog, owner="b", now=later)
    catalog.renew(renewed, now=later, duration=LEASE, messages=[message(2)])
    catalog.release(renewed)
    lease = acquire(catalog, owner="b", now=later)
    assert lease.unsent == (message(1), message(2))
    catalog.delete(lease)
    assert catalog.unsent(ID) == (message(1), message(2))


def test_a_record_deleted_after_a_renewal_leaves_its_messages(catalog: Catalog) -> None:
    lease = catalog.renew(acquire(catalog), now=NOW, duration=LEASE, messages=[message(1)])
    catalog.delete(lease)
    assert catalog.get(ID) is None
    assert catalog.unsent(ID) == (message(1),)


def test_a_lost_lease_adds_no_message(catalog: Catalog) -> None:
    lost = acquire(catalog)
    catalog.release(lost)
    acquire(catalog, owner="b")
    with pytest.raises(LeaseLost):
        catalog.complete(lost, lost.record, [message(1)])
    with pytest.raises(LeaseLost):
        catalog.delete(lost, [message(1)])
    with pytest.raises(LeaseLost):
        catalog.renew(lost, now=NOW, duration=LEASE, messages=[message(1)])
    assert catalog.unsent(ID) == ()


def test_an_older_event_adds_no_message(catalog: Catalog) -> None:
    lease = acquire(catalog)
    catalog.complete(lease, replace(lease.record, sequencer=upload(sequencer="2").sequencer))
    lease = acquire(catalog)
    with pytest.raises(LeaseLost):
        catalog.complete(
            lease, replace(lease.record, sequencer=upload(sequencer="1").sequencer), [message(1)]
        )
    assert catalog.unsent(ID) == ()


def test_one_scan_shows_records_and_outboxes_and_continues_anywhere(catalog: Catalog) -> None:
    """Of seven originals two have no messages, and two others no record any more."""
    for number in range(7):
        key = f"{number}.jpg"
        messages = [replace(message(number), key=key)] if number > 1 else []
        lease = acquire(catalog, key)
        if number > 4:
            catalog.delete(lease, messages)
        else:
            catalog.complete(lease, lease.record, messages)
    scanned = [entry for entry in catalog.scan_entries() if entry.record or entry.unsent]
    assert len(scanned) == 7
    for at, entry in enumerate(scanned):
        assert entry == CatalogEntry(entry.id, catalog.get(entry.id), catalog.unsent(entry.id))
        left = [other for other in catalog.scan_entries(after=entry.id) if other.record or other.unsent]
        assert left == scanned[at + 1 :]
    assert sorted(entry.record is not None for entry in scanned) == [False] * 2 + [True] * 5
    assert sorted(bool(entry.unsent) for entry in scanned) == [False] * 2 + [True] * 5


def test_an_outbox_survives_a_restart(connect_shared_catalog: ConnectCatalog) -> None:
    with connect_shared_catalog() as catalog:
        complete(catalog, message(1))
    with connect_shared_catalog() as catalog:
        assert catalog.unsent(ID) == (message(1),)
