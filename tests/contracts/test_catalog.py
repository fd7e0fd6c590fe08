"""The contract of ports.Catalog, for every adapter: leases and the changes that they allow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract_adapters import CatalogAdapter
from contract_records import FOCUS, INSTANT, LEASE, NOW, RECORDS, acquire, upload
from hypothesis import given, settings
from msgspec.structs import replace

from image_processor.domain.errors import Invalid, LeaseBusy, LeaseLost, NotFound, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Status
from image_processor.domain.ports import Catalog, Query

KEY = "photos/cat.jpg"


def complete(catalog: Catalog, lease: Lease, **changes: object) -> Record:
    return catalog.complete(lease, replace(lease.record, **changes))  # type: ignore[arg-type] # fields of Record


def is_available(catalog: Catalog, key: str = KEY) -> bool:
    """Whether the key has no live lease. Leaves the record unchanged."""
    try:
        lease = acquire(catalog, key, owner="probe")
    except LeaseBusy:
        return False
    catalog.release(lease)
    return True


def test_many_records_are_read_at_once(catalog: Catalog) -> None:
    records = [acquire(catalog, f"{number}.jpg").record for number in range(3)]
    ids = [records[2].id, image_id("uploads", "none.jpg"), records[0].id, records[2].id]
    assert catalog.get_many(ids) == {record.id: record for record in (records[0], records[2])}
    assert catalog.get_many([]) == {}


class TestAcquire:
    def test_on_a_new_key_creates_a_processing_record(self, catalog: Catalog) -> None:
        lease = catalog.acquire(upload(KEY, "AB"), owner="worker-1", now=NOW, duration=LEASE)
        id_ = image_id("uploads", KEY)
        assert lease.record == Record(id_, "uploads", KEY, created_at=NOW, updated_at=NOW)
        assert (lease.image_id, lease.owner, lease.expires_at) == (id_, "worker-1", NOW + LEASE)
        assert catalog.get(id_) == lease.record

    def test_is_busy_until_it_expires(self, catalog: Catalog) -> None:
        first = acquire(catalog)
        for now in (NOW, NOW + LEASE - INSTANT):
            with pytest.raises(LeaseBusy):
                acquire(catalog, owner="b", now=now)
        second = acquire(catalog, owner="b", now=NOW + LEASE)
        assert second.token != first.token
        assert second.record == first.record

    def test_is_busy_for_the_same_owner_too(self, catalog: Catalog) -> None:
        acquire(catalog)
        with pytest.raises(LeaseBusy):
            acquire(catalog)

    def test_covers_exactly_one_key(self, catalog: Catalog) -> None:
        leases = {acquire(catalog, key).image_id for key in ("a", "A", "a/", "a%", "é", "e\u0301")}
        assert len(leases) == 6

    def test_returns_the_stored_record(self, catalog: Catalog) -> None:
        done = complete(
            catalog, acquire(catalog), status=Status.REFUSED, reason=Reason.CORRUPT, message="cut"
        )
        assert acquire(catalog, now=NOW + LEASE).record == done


class TestRenew:
    def test_extends_the_expiry(self, catalog: Catalog) -> None:
        lease = acquire(catalog)
        renewed = catalog.renew(lease, now=NOW + LEASE - INSTANT, duration=LEASE)
        assert renewed == replace(lease, expires_at=NOW + 2 * LEASE - INSTANT)
        with pytest.raises(LeaseBusy):
            acquire(catalog, owner="b", now=NOW + 2 * LEASE - 2 * INSTANT)
        acquire(catalog, owner="b", now=NOW + 2 * LEASE - INSTANT)

    def test_renews_an_expired_lease_that_nobody_took(self, catalog: Catalog) -> None:
        lease = acquire(catalog)
        catalog.renew(lease, now=NOW + 9 * LEASE, duration=LEASE)
        with pytest.raises(LeaseBusy):
            acquire(catalog, owner="b", now=NOW + 9 * LEASE)


class TestFocus:
    """A person's choice, which no worker changes."""

    def test_is_kept_whatever_a_worker_writes(self, catalog: Catalog) -> None:
        done = complete(catalog, acquire(catalog), status=Status.PROCESSED)
        focused = catalog.set_focus(done.id, FOCUS)
        assert focused == replace(done, focus=FOCUS)
        assert catalog.get(done.id) == focused
        lease = acquire(catalog)
        assert lease.record.focus == FOCUS
        again = catalog.complete(lease, replace(lease.record, focus=None))
        assert again == replace(focused, revision=focused.revision + 1)
        assert next(catalog.scan()) == again
        assert catalog.list(Query(), limit=1).records == (again,)
        assert catalog.set_focus(done.id, None) == replace(again, focus=None)

    def test_is_set_while_a_worker_has_a_lease(self, catalog: Catalog) -> None:
        done = complete(catalog, acquire(catalog), status=Status.PROCESSED)
        lease = acquire(catalog)
        catalog.set_focus(done.id, FOCUS)
        assert catalog.complete(lease, lease.record).focus == FOCUS

    def test_needs_a_record(self, catalog: Catalog) -> None:
        with pytest.raises(NotFound):
            catalog.set_focus(image_id("uploads", KEY), FOCUS)
        complete(catalog, acquire(catalog), status=Status.PROCESSED)
        catalog.delete(acquire(catalog))
        with pytest.raises(NotFound):
            catalog.set_focus(image_id("uploads", KEY), FOCUS)
        assert acquire(catalog).record.focus is None


class TestComplete:
    @given(record=RECORDS)
    @settings(max_examples=50)
    def test_stores_every_field(self, catalog_adapter: CatalogAdapter, record: Record) -> None:
        with catalog_adapter.fresh() as connect, connect() as catalog:
            lease = acquire(catalog)
            mine = replace(record, id=lease.image_id, bucket="uploads", key=KEY, created_at=NOW)
            stored = catalog.complete(lease, mine)
            assert stored == replace(mine, revision=1)
            assert catalog.get(lease.image_id) == stored

    def test_releases_the_lease_and_increments_the_revision(self, catalog: Catalog) -> None:
        for revision in (1, 2, 3):
            assert complete(catalog, acquire(catalog), status=Status.PROCESSED).revision == revision

    def test_never_changes_created_at(self, catalog: Catalog) -> None:
        later = NOW + 3 * LEASE
        done = complete(catalog, acquire(catalog), created_at=later, updated_at=later)
        assert (done.created_at, done.updated_at) == (NOW, later)

    def test_works_after_expiry_if_nobody_took_the_lease(self, catalog: Catalog) -> None:
        assert complete(catalog, acquire(catalog, now=NOW - 9 * LEASE)).revision == 1

    @pytest.mark.parametrize("sequencer", ["5", "6", None])
    def test_accepts_an_equal_or_later_sequencer_or_none(
        self, catalog: Catalog, sequencer: str | None
    ) -> None:
        complete(catalog, acquire(catalog), sequencer="5")
        done = complete(catalog, acquire(catalog), sequencer=sequencer)
        assert done.sequencer == (sequencer or "5")
        assert catalog.get(done.id) == done

    def test_is_lost_if_a_later_sequencer_was_stored(self, catalog: Catalog) -> None:
        done = complete(catalog, acquire(catalog), sequencer="6", status=Status.PROCESSED)
        lease = acquire(catalog)
        with pytest.raises(LeaseLost):
            complete(catalog, lease, sequencer="5", status=Status.REFUSED)
        assert catalog.get(lease.image_id) == done

    def test_requires_the_record_of_its_lease(self, catalog: Catalog) -> None:
        lease = acquire(catalog)
        with pytest.raises(Invalid):
            complete(catalog, lease, id=image_id("uploads", "other"))
        assert catalog.get(lease.image_id) == lease.record


class TestDelete:
    def test_removes_record_and_lease(self, catalog: Catalog) -> None:
        complete(catalog, acquire(catalog), sequencer="9")
        lease = acquire(catalog)
        catalog.delete(lease)
        assert catalog.get(lease.image_id) is None
        again = acquire(catalog, now=NOW + LEASE).record
        assert (again.revision, again.sequencer, again.created_at) == (0, None, NOW + LEASE)


class TestRelease:
    def test_leaves_the_record_unchanged(self, catalog: Catalog) -> None:
        lease = acquire(catalog)
        catalog.release(lease)
        assert catalog.get(lease.image_id) == lease.record
        done = complete(catalog, acquire(catalog), status=Status.PROCESSED)
        catalog.release(acquire(catalog))
        assert catalog.get(lease.image_id) == done
        assert is_available(catalog)

    def test_may_be_repeated(self, catalog: Catalog) -> None:
        lease = acquire(catalog)
        catalog.release(lease)
        catalog.release(lease)
        assert is_available(catalog)


def expire(catalog: Catalog, lease: Lease) -> Lease:
    return acquire(catalog, now=lease.expires_at)


def release_and_take(catalog: Catalog, lease: Lease) -> Lease:
    catalog.release(lease)
    return acquire(catalog)


def complete_and_take(catalog: Catalog, lease: Lease) -> Lease:
    catalog.complete(lease, lease.record)
    return acquire(catalog)


def delete_and_take(catalog: Catalog, lease: Lease) -> Lease:
    catalog.delete(lease)
    return acquire(catalog)


@pytest.mark.parametrize("lose", [expire, release_and_take, complete_and_take, delete_and_take])
class TestLostLease:
    """A lost lease changes nothing, even if the new lease has the same owner."""

    def test_changes_nothing(self, catalog: Catalog, lose: Callable[[Catalog, Lease], Lease]) -> None:
        old = acquire(catalog)
        new = lose(catalog, old)
        before = catalog.get(old.image_id)
        with pytest.raises(LeaseLost):
            complete(catalog, old, status=Status.REFUSED)
        with pytest.raises(LeaseLost):
            catalog.delete(old)
        with pytest.raises(LeaseLost):
            catalog.renew(old, now=NOW, duration=LEASE)
        catalog.release(old)
        assert catalog.get(old.image_id) == before
        assert not is_available(catalog)
        assert complete(catalog, new, status=Status.PROCESSED).status is Status.PROCESSED


@pytest.mark.parametrize("end_lease", ["complete", "delete", "release"])
def test_a_lease_that_was_given_up_is_lost(catalog: Catalog, end_lease: str) -> None:
    lease = acquire(catalog)
    calls: dict[str, Callable[[], object]] = {
        "complete": lambda: catalog.complete(lease, lease.record),
        "delete": lambda: catalog.delete(lease),
        "release": lambda: catalog.release(lease),
    }
    calls[end_lease]()
    before = catalog.get(lease.image_id)
    for call in (calls["complete"], calls["delete"], lambda: catalog.renew(lease, now=NOW, duration=LEASE)):
        with pytest.raises(LeaseLost):
            call()
    assert catalog.get(lease.image_id) == before
