"""The contract of ports.ObjectStore, for every adapter: listings, and random sequences of calls."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from contract_adapters import StoreAdapter
from contract_keys import FULL, PLAIN, SHORT_KEYS, in_order, keys_of
from domain_strategies import KEYS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from image_processor.domain.errors import PreconditionFailed
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore

STRESS = bool(os.environ.get("STRESS"))
LISTINGS, SEQUENCES = (200, 200) if STRESS else (20, 15)

UNWRITABLE = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class TestListing:
    def test_keys_are_ordered_by_utf8_bytes(self, store: ObjectStore) -> None:
        # Sorting by UTF-16 would swap the last two, a directory walk the first ones.
        keys = ["a b", "a!", "a/b", "a.b", "a/b/c", "a-b", "a0", "aé", "a\uffff", "a\U00010000"]
        for key in keys:
            store.put(key, b"", PLAIN)
        assert keys_of(store.list()) == in_order(keys)

    def test_direct_leaves_out_deeper_keys(self, store: ObjectStore) -> None:
        for key in ("cat.jpg", "cat.jpg/w=1.webp", "cat.jpg/w=2.webp", "cat.jpg/x/w=1.webp", "cat.jpg0"):
            store.put(key, b"", PLAIN)
        assert keys_of(store.list("cat.jpg/", direct=True)) == ["cat.jpg/w=1.webp", "cat.jpg/w=2.webp"]
        assert keys_of(store.list("cat.jpg", direct=True)) == ["cat.jpg", "cat.jpg0"]
        assert keys_of(store.list(direct=True)) == ["cat.jpg", "cat.jpg0"]

    @given(data=st.data(), keys=st.sets(SHORT_KEYS | KEYS, max_size=12))
    @settings(max_examples=LISTINGS)
    def test_any_listing_equals_a_sorted_dictionary(
        self, store_adapter: StoreAdapter, data: st.DataObject, keys: set[str]
    ) -> None:
        # The emulated S3 responds in XML 1.0, which cannot express these and lists them as "?".
        assume(store_adapter.name != "s3" or not any(UNWRITABLE.search(key) for key in keys))
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

    def test_a_listing_continues_after_any_key(self, store: ObjectStore) -> None:
        keys = in_order(f"{folder}/{number}" for folder in "abc" for number in range(5))
        for key in keys:
            store.put(key, b"", PLAIN)
        seen: list[str] = []
        while page := keys_of(itertools.islice(store.list(start_after=seen[-1] if seen else ""), 4)):
            seen += page
        assert seen == keys

    @pytest.mark.parametrize("text", ["\ud800", "a\0b", "../", "/", "x" * 2000, ".image-processor/"])
    def test_an_impossible_prefix_lists_nothing(self, store: ObjectStore, text: str) -> None:
        store.put("a", b"", PLAIN)
        assert list(store.list(text)) == []

    def test_objects_may_be_added_and_deleted_during_a_listing(self, store: ObjectStore) -> None:
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
        try:
            for key, (body, attributes) in self.oracle.items():
                stored = self.store.get(key)
                assert (stored.body, stored.attributes) == (body, attributes)
                assert stored.entry.version == self.versions[key]
        finally:
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
        self.store.delete(key, condition=self.versions[key] if key in self.oracle else None)
        self.oracle.pop(key, None)

    @invariant()
    def same_versions(self) -> None:
        """Every change gives a version, so a listing shows which objects changed."""
        entries = list(self.store.list())
        assert keys_of(entries) == in_order(self.oracle)
        for entry in entries:
            assert (entry.version, entry.size) == (self.versions[entry.key], len(self.oracle[entry.key][0]))


def test_any_sequence_of_calls_equals_a_dictionary(store_adapter: StoreAdapter) -> None:
    class Machine(StoreAgainstDictionary):
        adapter = store_adapter

    run_state_machine_as_test(Machine, settings=settings(max_examples=SEQUENCES, stateful_step_count=20))
