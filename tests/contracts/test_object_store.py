"""The contract of ports.ObjectStore, for every adapter."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from contract_adapters import ConnectStore, StoreAdapter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from together import in_processes, in_threads

from ground_strategies import KEYS, is_legal
from image_processor.errors import (
    ImageProcessorError,
    InvalidKey,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
)
from image_processor.ports import ABSENT, Absent, Attributes, Entry, ObjectStore

PLAIN = Attributes()
FULL = Attributes("image/webp", "public, max-age=31536000, immutable", {"fingerprint": "ab12", "empty": ""})
CHUNK = 256 * 1024

# Keys that file systems dislike, and keys that are in each other's way.
NASTY = (
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "a//b",
    "/a",
    "/",
    "a.b",
    "a-b",
    "a0",
    ".",
    "./a",
    "a/.",
    "a/..",
    "a/../b",
    "x/y/../../z",
    ".image-processor",
    ".image-processor/lock",
    ".Image-Processor/tmp/x",
    ".image-processor/odd/a=",
    "x/.image-processor/y",
    "n" * 256,
    "n" * 1024,
    "n" * 1023 + "/",
    "d/" * 512,
    "é" * 128,
    "\u00e9" + "/" + "e\u0301",
    "\n",
    "tab\tand\x01\x7f",
    "\\",
    "a:b*?<>|",
    "con",
    "trailing ",
    "trailing.",
    "%2F",
    "a%2Fb=",
    "\U0010ffff",
    "\ufffd",
    "🐈/🐈",
)
ILLEGAL = ("", "n" * 1025, "é" * 513, "..", "../a", "a/../../b", "a\0b", "\ud800")


def keys_of(entries: Iterator[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def in_order(keys: object) -> list[str]:
    return sorted(keys, key=str.encode)  # type: ignore[call-overload, no-any-return] # any iterable of keys


class TestObjects:
    @pytest.mark.parametrize("key", NASTY, ids=lambda key: ascii(key)[1:25])
    def test_what_was_put_is_there(self, connect_store: ConnectStore, key: str) -> None:
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

    def test_all_nasty_keys_live_together_in_any_order(self, store: ObjectStore) -> None:
        for key in NASTY:
            store.put(key, key.encode(), PLAIN)
        assert keys_of(store.list()) == in_order(NASTY)
        for index, key in enumerate(reversed(NASTY)):
            assert store.get(key).body == key.encode()
            store.delete(key)
            assert keys_of(store.list()) == in_order(NASTY[: len(NASTY) - 1 - index])

    def test_an_absent_object_is_not_found_and_can_be_deleted(self, store: ObjectStore) -> None:
        store.put("here/too", b"", PLAIN)
        for key in ("absent", "here", "here/too/deep", "a//b"):
            for look in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(NotFound):
                    look(key)
            store.delete(key)
        assert keys_of(store.list()) == ["here/too"]

    def test_an_overwrite_replaces_body_attributes_and_version(self, store: ObjectStore) -> None:
        first = store.put("key", b"first", FULL)
        second = store.put("key", b"other", PLAIN)
        assert first.version != second.version
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"other", PLAIN, second)

    def test_versions_of_different_bytes_differ_however_fast_they_are_written(
        self, store: ObjectStore
    ) -> None:
        versions = set()
        for number in range(40):
            versions.add(store.put("key", b"%02d" % number, PLAIN).version)
            if number % 4 == 0:
                store.delete("key")
        assert len(versions) == 40

    def test_an_empty_object_is_an_object(self, store: ObjectStore) -> None:
        entry = store.put("empty", b"", FULL)
        assert entry.size == 0
        assert store.get("empty", limit=0).body == b""
        assert list(store.read("empty", 0, 10)) == []

    @pytest.mark.parametrize("key", ILLEGAL, ids=lambda key: ascii(key)[1:12])
    def test_an_illegal_key_is_refused_by_every_method(self, store: ObjectStore, key: str) -> None:
        calls = (
            lambda: store.head(key),
            lambda: store.get(key),
            lambda: store.read(key, 0, 1),
            lambda: store.put(key, b"", PLAIN),
            lambda: store.put_stream(key, [], PLAIN, limit=1),
            lambda: store.delete(key),
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
        for look in (
            lambda: store.get("key", version=old),
            lambda: store.read("key", 0, 1, version=old),
            lambda: store.get("key", version="no version at all"),
        ):
            with pytest.raises(PreconditionFailed):
                look()

    def test_read_gives_any_range_in_chunks(self, store: ObjectStore) -> None:
        body = bytes(range(251)) * 2400
        store.put("key", body, PLAIN)
        edges = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(body) - 1, len(body), len(body) + 9)
        for start, stop in itertools.product(edges, edges):
            chunks = list(store.read("key", start, stop))
            assert b"".join(chunks) == body[start:stop]
            assert all(0 < len(chunk) <= CHUNK for chunk in chunks)

    def test_a_reader_that_has_started_never_mixes_versions(self, store: ObjectStore) -> None:
        old, new = b"o" * 3 * CHUNK, b"n" * 3 * CHUNK
        store.put("key", old, PLAIN)
        chunks = store.read("key", 0, len(old))
        seen = next(chunks)
        store.put("key", new, PLAIN)
        try:
            seen += b"".join(chunks)
        except ImageProcessorError as error:
            assert error.retryable  # noqa: PT017 - either end is right: all old bytes, or this error
        else:
            assert seen == old


class TestConditions:
    def test_absent_holds_only_without_an_object(self, store: ObjectStore) -> None:
        entry = store.put("key", b"first", FULL, condition=ABSENT)
        with pytest.raises(PreconditionFailed):
            store.put("key", b"second", PLAIN, condition=ABSENT)
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"first", FULL, entry)
        store.delete("key")
        store.put("key", b"third", PLAIN, condition=ABSENT)

    def test_a_version_holds_only_while_it_is_current(self, store: ObjectStore) -> None:
        first = store.put("key", b"first", PLAIN)
        second = store.put("key", b"second", FULL, condition=first.version)
        with pytest.raises(PreconditionFailed):
            store.put("key", b"third", PLAIN, condition=first.version)
        stored = store.get("key")
        assert (stored.body, stored.attributes, stored.entry) == (b"second", FULL, second)

    def test_a_version_never_holds_without_an_object(self, store: ObjectStore) -> None:
        version = store.put("key", b"bytes", PLAIN).version
        store.delete("key")
        with pytest.raises(PreconditionFailed):
            store.put("key", b"bytes", PLAIN, condition=version)
        assert list(store.list()) == []


class TestStreams:
    def test_chunks_become_one_object(self, store: ObjectStore) -> None:
        chunks = (bytes([number]) * number for number in range(200))
        entry = store.put_stream("key", chunks, FULL, limit=100_000)
        stored = store.get("key")
        assert stored.body == b"".join(bytes([number]) * number for number in range(200))
        assert (stored.attributes, stored.entry) == (FULL, entry)

    def test_the_limit_is_the_last_size_that_passes(self, store: ObjectStore) -> None:
        store.put_stream("key", [b"123", b"45"], FULL, limit=5)
        with pytest.raises(Refused) as caught:
            store.put_stream("key", [b"abc", b"de", b"f"], PLAIN, limit=5)
        assert caught.value.reason is Reason.TOO_MANY_BYTES
        stored = store.get("key")
        assert (stored.body, stored.attributes) == (b"12345", FULL)

    def test_the_limit_stops_the_source(self, store: ObjectStore) -> None:
        taken = itertools.count()
        with pytest.raises(Refused):
            store.put_stream("key", (b"x" * 10 for _ in taken), PLAIN, limit=95)
        assert next(taken) == 10
        assert list(store.list()) == []

    @pytest.mark.parametrize(
        "error", [OSError(28, "the client's disk"), KeyError("gone"), KeyboardInterrupt()]
    )
    def test_an_error_of_the_source_passes_and_leaves_nothing(
        self, store: ObjectStore, error: BaseException
    ) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"some bytes"
            raise error

        with pytest.raises(type(error)) as caught:
            store.put_stream("new", chunks(), PLAIN, limit=100)
        assert caught.value is error
        assert list(store.list()) == []


SHORT_KEYS = (
    st.lists(
        st.sampled_from(["a", "b", "", ".", "..", "a.b", "a0", "é", ".image-processor"]),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(is_legal)
)


class TestListing:
    def test_the_order_is_that_of_utf8_bytes(self, store: ObjectStore) -> None:
        # UTF-16 would sort the last two the other way round, a walk of directories the first ones.
        keys = ["a b", "a!", "a/b", "a.b", "a/b/c", "a-b", "a0", "aé", "a\uffff", "a\U00010000"]
        for key in keys:
            store.put(key, b"", PLAIN)
        assert keys_of(store.list()) == in_order(keys)

    def test_direct_leaves_out_what_lies_deeper(self, store: ObjectStore) -> None:
        for key in ("cat.jpg", "cat.jpg/w=1.webp", "cat.jpg/w=2.webp", "cat.jpg/x/w=1.webp", "cat.jpg0"):
            store.put(key, b"", PLAIN)
        assert keys_of(store.list("cat.jpg/", direct=True)) == ["cat.jpg/w=1.webp", "cat.jpg/w=2.webp"]
        assert keys_of(store.list("cat.jpg", direct=True)) == ["cat.jpg", "cat.jpg0"]
        assert keys_of(store.list(direct=True)) == ["cat.jpg", "cat.jpg0"]

    @given(data=st.data(), keys=st.sets(SHORT_KEYS | KEYS, max_size=12))
    @settings(max_examples=60)
    def test_any_listing_is_that_of_a_sorted_dictionary(
        self, store_adapter: StoreAdapter, data: st.DataObject, keys: set[str]
    ) -> None:
        with store_adapter.fresh() as connect:
            store = connect()
            for key in keys:
                store.put(key, key.encode(), PLAIN)
            parts = st.sampled_from(sorted(keys) or ["a"])
            for _ in range(4):
                prefix = data.draw(
                    st.builds(lambda key, end: key[:end], parts, st.integers(0, 8)) | SHORT_KEYS
                )
                after = data.draw(st.just("") | parts | SHORT_KEYS)
                direct = data.draw(st.booleans())
                expected = in_order(
                    key
                    for key in keys
                    if key.startswith(prefix)
                    and key.encode() > after.encode()
                    and not (direct and "/" in key[len(prefix) :])
                )
                entries = list(store.list(prefix, start_after=after, direct=direct))
                assert [entry.key for entry in entries] == expected
                assert entries == [store.head(key).entry for key in expected]

    def test_a_listing_goes_on_from_any_key(self, store: ObjectStore) -> None:
        keys = in_order(f"{folder}/{number}" for folder in "abc" for number in range(5))
        for key in keys:
            store.put(key, b"", PLAIN)
        seen: list[str] = []
        while page := keys_of(itertools.islice(store.list(start_after=seen[-1] if seen else ""), 4)):
            seen += page
        assert seen == keys

    @pytest.mark.parametrize("text", ["\ud800", "a\0b", "../", "/", "x" * 2000, ".image-processor/"])
    def test_a_prefix_that_no_key_can_have_lists_nothing(self, store: ObjectStore, text: str) -> None:
        store.put("a", b"", PLAIN)
        assert list(store.list(text)) == []

    def test_objects_may_come_and_go_while_they_are_listed(self, store: ObjectStore) -> None:
        keys = in_order(f"{folder}/{number}" for folder in "abcde" for number in range(3))
        for key in keys:
            store.put(key, b"", PLAIN)
        listing = store.list()
        seen = [next(listing).key]
        for key in keys[1:-1]:
            store.delete(key)
        store.put("a", b"", PLAIN)
        seen += keys_of(listing)
        assert {keys[0], keys[-1]} <= set(seen)
        assert seen == in_order(seen)


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Any sequence of calls leaves the same objects in the store as in a dictionary."""

    adapter: StoreAdapter
    keys = SHORT_KEYS | KEYS

    def __init__(self) -> None:
        super().__init__()
        self.context = self.adapter.fresh()
        self.store = self.context.__enter__()()
        self.oracle: dict[str, tuple[bytes, Attributes]] = {}
        self.versions: dict[str, str] = {}

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    @rule(key=keys, body=st.binary(max_size=4), attributes=st.sampled_from([PLAIN, FULL]))
    def put(self, key: str, body: bytes, attributes: Attributes) -> None:
        self.versions[key] = self.store.put(key, body, attributes).version
        self.oracle[key] = body, attributes

    @rule(key=keys, data=st.data())
    def put_on_condition(self, key: str, data: st.DataObject) -> None:
        known = [*self.versions.values(), "other"]
        condition: str | Absent = data.draw(st.just(ABSENT) | st.sampled_from(known))
        current = self.versions[key] if key in self.oracle else ABSENT
        try:
            self.versions[key] = self.store.put(key, b"if", PLAIN, condition=condition).version
        except PreconditionFailed:
            assert condition != current
        else:
            assert condition == current
            self.oracle[key] = b"if", PLAIN

    @rule(data=st.data())
    def overwrite(self, data: st.DataObject) -> None:
        if self.oracle:
            key = data.draw(st.sampled_from(sorted(self.oracle)))
            self.versions[key] = self.store.put_stream(key, [b"over", b"written"], FULL, limit=11).version
            self.oracle[key] = b"overwritten", FULL

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.oracle)) if self.oracle else self.keys)
        self.store.delete(key)
        self.oracle.pop(key, None)

    @invariant()
    def same_objects(self) -> None:
        assert keys_of(self.store.list()) == in_order(self.oracle)
        for key, (body, attributes) in self.oracle.items():
            stored = self.store.get(key)
            assert (stored.body, stored.attributes) == (body, attributes)
            assert stored.entry.version == self.versions[key]


def test_any_sequence_of_calls_equals_a_dictionary(store_adapter: StoreAdapter) -> None:
    class Machine(StoreAgainstDictionary):
        adapter = store_adapter

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=20))


def put_once(connect: ConnectStore, body: bytes, condition: str | Absent) -> Entry:
    return connect().put("key", body, Attributes(metadata={"body": body.decode()}), condition=condition)


def add_often(connect: ConnectStore, times: int) -> None:
    """Add 1 to the number in an object, ``times`` times, each by compare-and-swap."""
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
    def test_one_of_many_threads_creates(self, connect_store: ConnectStore) -> None:
        calls = [(connect_store, b"%d" % number, ABSENT) for number in range(8)]
        expect_one_winner(connect_store, in_threads(put_once, calls))

    def test_one_of_many_threads_replaces(self, connect_store: ConnectStore) -> None:
        version = connect_store().put("key", b"", PLAIN).version
        calls = [(connect_store, b"%d" % number, version) for number in range(8)]
        expect_one_winner(connect_store, in_threads(put_once, calls))

    def test_one_of_many_processes_creates(self, connect_shared_store: ConnectStore) -> None:
        calls = [(connect_shared_store, b"%d" % number, ABSENT) for number in range(4)]
        expect_one_winner(connect_shared_store, in_processes(put_once, calls))

    def test_no_addition_of_a_thread_is_lost(self, connect_store: ConnectStore) -> None:
        connect_store().put("number", b"0", PLAIN)
        assert in_threads(add_often, [(connect_store, 10)] * 4) == [None] * 4
        assert connect_store().get("number").body == b"40"

    def test_no_addition_of_a_process_is_lost(self, connect_shared_store: ConnectStore) -> None:
        connect_shared_store().put("number", b"0", PLAIN)
        assert in_processes(add_often, [(connect_shared_store, 25)] * 3) == [None] * 3
        assert connect_shared_store().get("number").body == b"75"

    def test_deletes_do_not_disturb_neighbours(self, connect_store: ConnectStore) -> None:
        calls = [(connect_store, key, 40) for key in ("a/b/c", "a/b/d", "a/b", "a", "a//b")]
        assert in_threads(put_and_delete, calls) == [None] * len(calls)
        assert list(connect_store().list()) == []

    def test_a_reader_sees_one_version_whole(self, connect_store: ConnectStore) -> None:
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

        def look() -> int:
            store, looks = connect_store(), 0
            while not done.is_set():
                stored = store.get("key")
                assert stored.body in bodies
                assert stored.entry.size == len(stored.body)
                assert stored.attributes.metadata == {"size": str(len(stored.body))}
                (entry,) = store.list()
                assert entry.size in map(len, bodies)
                looks += 1
            return looks

        _, looks = in_threads(lambda function: function(), [(write,), (look,)])
        assert looks > 0
