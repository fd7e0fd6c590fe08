"""The contract of ports.Catalog, for every adapter: concurrent threads and processes."""

from __future__ import annotations

from typing import Any

from contract_adapters import ConnectCatalog
from contract_records import NOW, acquire
from msgspec.structs import replace
from together import in_processes, in_threads

from image_processor.domain.errors import LeaseBusy, LeaseLost
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Status
from image_processor.domain.ports import Query


def acquire_once(connect: ConnectCatalog, owner: str) -> Lease:
    with connect() as catalog:
        return acquire(catalog, "key", owner=owner)


def acquire_and_complete(connect: ConnectCatalog, owner: str, times: int) -> int:
    """Acquire and complete one key ``times`` times. Returns how often the key was busy."""
    busy = 0
    with connect() as catalog:
        for _ in range(times):
            while True:
                try:
                    lease = acquire(catalog, "key", owner=owner)
                except LeaseBusy:
                    busy += 1
                    continue
                break
            done = catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
            assert done.revision == lease.record.revision + 1
    return busy


def add_records(connect: ConnectCatalog, name: str, count: int) -> None:
    with connect() as catalog:
        for index in range(count):
            catalog.release(acquire(catalog, f"{name}-{index}"))


def complete_once(connect: ConnectCatalog, lease: Lease) -> Record:
    with connect() as catalog:
        return catalog.complete(lease, replace(lease.record, message=lease.owner))


def expect_one_winner(connect: ConnectCatalog, outcomes: list[Any]) -> None:
    winners = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
    assert len(winners) == 1
    assert sum(isinstance(outcome, LeaseBusy) for outcome in outcomes) == len(outcomes) - 1
    with connect() as catalog:
        assert catalog.complete(winners[0], winners[0].record).revision == 1


def revision_of_key(connect: ConnectCatalog) -> int:
    with connect() as catalog:
        record = catalog.get(image_id("uploads", "key"))
        assert record is not None
        return record.revision


def test_one_of_many_threads_acquires(connect_catalog: ConnectCatalog) -> None:
    calls = [(connect_catalog, f"worker-{number}") for number in range(8)]
    expect_one_winner(connect_catalog, in_threads(acquire_once, calls))


def test_one_of_many_processes_acquires(connect_shared_catalog: ConnectCatalog) -> None:
    # The catalog is new too, so all processes create its file at once.
    calls = [(connect_shared_catalog, f"worker-{number}") for number in range(4)]
    expect_one_winner(connect_shared_catalog, in_processes(acquire_once, calls))


def test_one_of_many_takes_over_an_expired_lease(connect_catalog: ConnectCatalog) -> None:
    with connect_catalog() as catalog:
        old = acquire(catalog, "key", owner="dead", now=NOW - 2 * (NOW - NOW.replace(hour=0)))
    calls = [(connect_catalog, f"worker-{number}") for number in range(8)]
    expect_one_winner(connect_catalog, in_threads(acquire_once, calls))
    outcomes = in_threads(complete_once, [(connect_catalog, old)] * 2)
    assert all(isinstance(outcome, LeaseLost) for outcome in outcomes)


def test_a_lease_is_completed_once(connect_catalog: ConnectCatalog) -> None:
    lease = acquire_once(connect_catalog, "worker")
    outcomes = in_threads(complete_once, [(connect_catalog, lease)] * 8)
    assert sum(isinstance(outcome, Record) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 7


def test_no_completion_by_threads_is_lost(connect_catalog: ConnectCatalog) -> None:
    outcomes = in_threads(
        acquire_and_complete, [(connect_catalog, f"worker-{number}", 25) for number in range(4)]
    )
    assert all(isinstance(outcome, int) for outcome in outcomes)
    assert revision_of_key(connect_catalog) == 100


def test_no_completion_by_processes_is_lost(connect_shared_catalog: ConnectCatalog) -> None:
    calls = [(connect_shared_catalog, f"worker-{number}", 40) for number in range(3)]
    outcomes = in_processes(acquire_and_complete, calls)
    assert all(isinstance(outcome, int) for outcome in outcomes)
    assert revision_of_key(connect_shared_catalog) == 120


def test_threads_do_not_interfere(connect_catalog: ConnectCatalog) -> None:
    assert in_threads(add_records, [(connect_catalog, f"{number}", 50) for number in range(4)]) == [None] * 4
    with connect_catalog() as catalog:
        assert len(list(catalog.scan())) == 200
        assert len(catalog.list(Query(), limit=1000).records) == 200
