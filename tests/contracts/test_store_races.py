"""The contract of ports.ObjectStore, for every adapter: concurrent threads and processes."""

from __future__ import annotations

import threading

import pytest
from contract_adapters import ConnectStore
from contract_keys import PLAIN
from contract_writes import WRITES, Write
from together import in_processes, in_threads

from image_processor.domain.errors import PreconditionFailed
from image_processor.domain.ports import ABSENT, Absent, Attributes, Entry


def put_once(connect: ConnectStore, write: Write, body: bytes, condition: str | Absent) -> Entry:
    return write(connect(), "key", body, Attributes(metadata={"body": body.decode()}), condition)


def increment(connect: ConnectStore, times: int) -> None:
    """Increment the number in an object ``times`` times by compare-and-swap."""
    store = connect()
    for _ in range(times):
        while True:
            stored = store.get("number")
            body = b"%d" % (int(stored.body) + 1)
            try:
                store.put("number", body, PLAIN, condition=stored.entry.version)
            except PreconditionFailed:
                continue
            break


def put_or_delete(connect: ConnectStore, version: str, *, deletes: bool) -> str:
    """Replace or delete an object under the condition that it has ``version``."""
    if deletes:
        connect().delete("key", condition=version)
    else:
        connect().put("key", b"new", PLAIN, condition=version)
    return "deleted" if deletes else "replaced"


def put_and_delete(connect: ConnectStore, key: str, times: int) -> None:
    store = connect()
    for _ in range(times):
        store.put(key, b"", PLAIN)
        store.delete(key)


def expect_one_winner(connect: ConnectStore, outcomes: list[object]) -> None:
    winners = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, PreconditionFailed)]
    assert len(winners) == 1
    assert len(losers) == len(outcomes) - 1
    stored = connect().get("key")
    assert stored.entry == winners[0]
    assert outcomes.index(winners[0]) == int(stored.body)
    assert stored.attributes.metadata == {"body": stored.body.decode()}


class TestConcurrency:
    @pytest.mark.parametrize("write", WRITES)
    def test_one_of_many_threads_creates(self, connect_store: ConnectStore, write: Write) -> None:
        calls = [(connect_store, write, b"%d" % number, ABSENT) for number in range(8)]
        expect_one_winner(connect_store, in_threads(put_once, calls))

    @pytest.mark.parametrize("write", WRITES)
    def test_one_of_many_threads_replaces(self, connect_store: ConnectStore, write: Write) -> None:
        version = connect_store().put("key", b"", PLAIN).version
        calls = [(connect_store, write, b"%d" % number, version) for number in range(8)]
        expect_one_winner(connect_store, in_threads(put_once, calls))

    @pytest.mark.parametrize("write", WRITES)
    def test_one_of_many_processes_creates(self, connect_shared_store: ConnectStore, write: Write) -> None:
        calls = [(connect_shared_store, write, b"%d" % number, ABSENT) for number in range(4)]
        expect_one_winner(connect_shared_store, in_processes(put_once, calls))

    def test_no_update_by_threads_is_lost(self, connect_store: ConnectStore) -> None:
        connect_store().put("number", b"0", PLAIN)
        assert in_threads(increment, [(connect_store, 10)] * 4) == [None] * 4
        assert connect_store().get("number").body == b"40"

    def test_no_update_by_processes_is_lost(self, connect_shared_store: ConnectStore) -> None:
        connect_shared_store().put("number", b"0", PLAIN)
        assert in_processes(increment, [(connect_shared_store, 25)] * 3) == [None] * 3
        assert connect_shared_store().get("number").body == b"75"

    def test_one_of_many_threads_replaces_or_deletes(self, connect_store: ConnectStore) -> None:
        for _ in range(5):
            version = connect_store().put("key", b"old", PLAIN).version
            calls = [(connect_store, version, number % 2 == 0) for number in range(4)]
            outcomes = in_threads(
                lambda connect, version, deletes: put_or_delete(connect, version, deletes=deletes), calls
            )
            assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
            assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 3
            assert bool(list(connect_store().list())) == ("replaced" in outcomes)

    def test_deletes_do_not_affect_other_keys(self, connect_store: ConnectStore) -> None:
        calls = [(connect_store, key, 40) for key in ("a/b/c", "a/b/d", "a/b", "a", "a//b")]
        assert in_threads(put_and_delete, calls) == [None] * len(calls)
        assert list(connect_store().list()) == []

    def test_a_reader_sees_one_whole_version(self, connect_store: ConnectStore) -> None:
        bodies = [bytes([65 + number]) * (number + 1) * 40_000 for number in range(3)]
        connect_store().put("key", bodies[0], Attributes(metadata={"size": str(len(bodies[0]))}))
        done = threading.Event()

        def write() -> None:
            store = connect_store()
            try:
                for number in range(150):
                    body = bodies[number % 3]
                    store.put("key", body, Attributes(metadata={"size": str(len(body))}))
            finally:
                done.set()

        def read() -> int:
            store, reads = connect_store(), 0
            while not done.is_set():
                stored = store.get("key")
                assert stored.body in bodies
                assert stored.entry.size == len(stored.body)
                assert stored.attributes.metadata == {"size": str(len(stored.body))}
                (entry,) = store.list()
                assert entry.size in map(len, bodies)
                reads += 1
            return reads

        _, reads = in_threads(lambda function: function(), [(write,), (read,)])
        assert reads > 0
