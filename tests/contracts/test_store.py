"""The contract of ports.ObjectStore, for every adapter: objects, conditions and streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from contract_adapters import ConnectStore, StoreAdapter
from contract_keys import DIFFICULT_KEYS, FULL, ILLEGAL_KEYS, PLAIN, in_order, keys_of
from contract_writes import WRITES, Write

from image_processor.domain.errors import (
    ImageProcessorError,
    InvalidKey,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unreadable,
)
from image_processor.domain.ports import ABSENT, ObjectStore

CHUNK = 256 * 1024


class TestObjects:
    @pytest.mark.parametrize("key", DIFFICULT_KEYS, ids=lambda key: ascii(key)[1:25])
    def test_put_then_get_head_list_and_delete(self, connect_store: ConnectStore, key: str) -> None:
        before = datetime.now(UTC) - timedelta(seconds=5)
        entry = connect_store().put(key, b"bytes", FULL)
        store = connect_store()
        stored = store.get(key)
        assert (stored.body, stored.attributes, stored.entry) == (b"bytes", FULL, entry)
        assert (entry.key, entry.size) == (key, 5)
        assert before < entry.modified < datetime.now(UTC) + timedelta(seconds=5)
        assert store.head(key).attributes == FULL
        assert store.head(key).entry == entry
        assert list(store.list()) == [entry]
        store.delete(key)
        assert list(store.list()) == []
        with pytest.raises(NotFound):
            store.head(key)

    def test_all_difficult_keys_coexist(self, store: ObjectStore) -> None:
        for key in DIFFICULT_KEYS:
            store.put(key, key.encode(), PLAIN)
        assert keys_of(store.list()) == in_order(DIFFICULT_KEYS)
        for index, key in enumerate(reversed(DIFFICULT_KEYS)):
            assert store.get(key).body == key.encode()
            store.delete(key)
            assert keys_of(store.list()) == in_order(DIFFICULT_KEYS[: len(DIFFICULT_KEYS) - 1 - index])

    def test_a_missing_object_is_not_found_and_may_be_deleted(self, store: ObjectStore) -> None:
        store.put("here/too", b"", PLAIN)
        for key in ("absent", "here", "here/too/deep", "a//b"):
            for read in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(NotFound):
                    read(key)
            store.delete(key)
        assert keys_of(store.list()) == ["here/too"]

    def test_an_overwrite_replaces_body_attributes_and_version(self, store: ObjectStore) -> None:
        first = store.put("key", b"first", FULL)
        second = store.put("key", b"other", PLAIN)
        assert first.version != second.version
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"other", PLAIN, second)

    def test_quick_writes_have_different_versions(self, store: ObjectStore) -> None:
        versions = set()
        for number in range(40):
            versions.add(store.put("key", b"%02d" % number, PLAIN).version)
            if number % 4 == 0:
                store.delete("key")
        assert len(versions) == 40

    def test_an_unreadable_object_stops_nothing_but_its_own_reading(
        self, store_adapter: StoreAdapter, store: ObjectStore
    ) -> None:
        entries = [store.put(f"folder/{name}", b"bytes", PLAIN) for name in ("a", "b", "b.jpg", "c")]
        with store_adapter.deny(store, "folder/b"):
            for read in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(Unreadable, match="folder/b") as caught:
                    read("folder/b")
                assert (caught.value.reason, caught.value.retryable) == (Reason.UNREADABLE, False)
                assert caught.value.version == entries[1].version
            assert list(store.list()) == entries
            assert store.get("folder/b.jpg").body == b"bytes"
        assert store.get("folder/b").body == b"bytes"

    def test_an_empty_object_exists(self, store: ObjectStore) -> None:
        entry = store.put("empty", b"", FULL)
        assert entry.size == 0
        assert store.get("empty", limit=0).body == b""
        assert list(store.read("empty", 0, 10)) == []

    @pytest.mark.parametrize("key", ["key", "a//b"])
    def test_a_delete_with_a_condition_deletes_that_version_only(self, store: ObjectStore, key: str) -> None:
        old = store.put(key, b"old", PLAIN).version
        new = store.put(key, b"newer", PLAIN).version
        for condition in (old, "", "another"):
            with pytest.raises(PreconditionFailed):
                store.delete(key, condition=condition)
        assert store.get(key).body == b"newer"
        store.delete(key, condition=new)
        assert list(store.list()) == []
        with pytest.raises(PreconditionFailed):
            store.delete(key, condition=new)

    @pytest.mark.parametrize("key", ILLEGAL_KEYS, ids=lambda key: ascii(key)[1:12])
    def test_every_method_rejects_an_illegal_key(self, store: ObjectStore, key: str) -> None:
        calls = (
            lambda: store.head(key),
            lambda: store.get(key),
            lambda: store.read(key, 0, 1),
            lambda: store.put(key, b"", PLAIN),
            lambda: store.put_stream(key, [], PLAIN, limit=1),
            lambda: store.delete(key),
            lambda: store.delete(key, condition="version"),
        )
        for call in calls:
            with pytest.raises(InvalidKey):
                call()
        assert list(store.list()) == []


class TestReading:
    def test_get_reads_up_to_its_limit(self, store: ObjectStore) -> None:
        store.put("key", b"12345", PLAIN)
        assert store.get("key", limit=5).body == b"12345"
        with pytest.raises(Refused) as caught:
            store.get("key", limit=4)
        assert caught.value.reason is Reason.TOO_MANY_BYTES

    def test_a_version_that_is_not_current_is_a_failed_precondition(self, store: ObjectStore) -> None:
        old = store.put("key", b"old", PLAIN).version
        new = store.put("key", b"new", PLAIN).version
        assert store.get("key", version=new).body == b"new"
        assert b"".join(store.read("key", 0, 3, version=new)) == b"new"
        for read in (
            lambda: store.get("key", version=old),
            lambda: store.read("key", 0, 1, version=old),
            lambda: store.get("key", version="no version at all"),
        ):
            with pytest.raises(PreconditionFailed):
                read()

    def test_read_yields_any_range_in_chunks(self, store: ObjectStore) -> None:
        body = bytes(range(251)) * 2400
        store.put("key", body, PLAIN)
        edges = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(body) - 1, len(body), len(body) + 9)
        for start, stop in itertools.product(edges, edges):
            chunks = list(store.read("key", start, stop))
            assert b"".join(chunks) == body[start:stop]
            assert all(0 < len(chunk) <= CHUNK for chunk in chunks)

    def test_a_started_read_never_mixes_versions(self, store: ObjectStore) -> None:
        old, new = b"o" * 3 * CHUNK, b"n" * 3 * CHUNK
        store.put("key", old, PLAIN)
        chunks = store.read("key", 0, len(old))
        seen = next(chunks)
        store.put("key", new, PLAIN)
        try:
            seen += b"".join(chunks)
        except ImageProcessorError as error:
            assert error.retryable  # noqa: PT017 - both are correct: all old bytes, or this error
        else:
            assert seen == old


@pytest.mark.parametrize("write", WRITES)
class TestConditions:
    def test_absent_holds_only_without_an_object(self, store: ObjectStore, write: Write) -> None:
        entry = write(store, "key", b"first", FULL, ABSENT)
        with pytest.raises(PreconditionFailed):
            write(store, "key", b"second", PLAIN, ABSENT)
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"first", FULL, entry)
        store.delete("key")
        write(store, "key", b"third", PLAIN, ABSENT)

    def test_a_version_holds_only_while_it_is_current(self, store: ObjectStore, write: Write) -> None:
        first = store.put("key", b"first", PLAIN)
        second = write(store, "key", b"second", FULL, first.version)
        for version in (first.version, "no version at all"):
            with pytest.raises(PreconditionFailed):
                write(store, "key", b"third", PLAIN, version)
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"second", FULL, second)

    def test_a_version_never_holds_without_an_object(self, store: ObjectStore, write: Write) -> None:
        version = store.put("key", b"bytes", PLAIN).version
        store.delete("key")
        with pytest.raises(PreconditionFailed):
            write(store, "key", b"bytes", PLAIN, version)
        assert list(store.list()) == []


class TestStreams:
    def test_the_condition_is_checked_after_the_last_chunk(self, store: ObjectStore) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"late"
            store.put("key", b"early", PLAIN)

        with pytest.raises(PreconditionFailed):
            store.put_stream("key", chunks(), FULL, limit=100, condition=ABSENT)
        assert store.get("key").body == b"early"

    def test_chunks_become_one_object(self, store: ObjectStore) -> None:
        chunks = (bytes([number]) * number for number in range(200))
        entry = store.put_stream("key", chunks, FULL, limit=100_000)
        stored = store.get("key")
        assert stored.body == b"".join(bytes([number]) * number for number in range(200))
        assert (stored.attributes, stored.entry) == (FULL, entry)

    def test_the_limit_is_inclusive(self, store: ObjectStore) -> None:
        store.put_stream("key", [b"123", b"45"], FULL, limit=5)
        with pytest.raises(Refused) as caught:
            store.put_stream("key", [b"abc", b"de", b"f"], PLAIN, limit=5)
        assert caught.value.reason is Reason.TOO_MANY_BYTES
        stored = store.get("key")
        assert (stored.body, stored.attributes) == (b"12345", FULL)

    def test_the_source_is_not_read_past_the_limit(self, store: ObjectStore) -> None:
        taken = itertools.count()
        with pytest.raises(Refused):
            store.put_stream("key", (b"x" * 10 for _ in taken), PLAIN, limit=95)
        assert next(taken) == 10
        assert list(store.list()) == []

    @pytest.mark.parametrize(
        "error", [OSError(28, "the client's disk"), KeyError("gone"), KeyboardInterrupt()]
    )
    def test_an_error_of_the_source_is_raised_and_leaves_nothing(
        self, store: ObjectStore, error: BaseException
    ) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"some bytes"
            raise error

        with pytest.raises(type(error)) as caught:
            store.put_stream("new", chunks(), PLAIN, limit=100)
        assert caught.value is error
        assert list(store.list()) == []
