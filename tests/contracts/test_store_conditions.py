"""Whether a store honours conditions is asked of every adapter, and of one that ignores them."""

from __future__ import annotations

from typing import Any

from image_processor.domain.ports import Attributes, Entry, ObjectStore
from image_processor.storage.conditions import honours_conditions
from support.memory_store import MemoryStore


class IgnoresConditions(MemoryStore):
    """As `rclone serve s3`: a conditional write overwrites. ``ignored`` is the type of what is ignored."""

    def __init__(self, ignored: type = object) -> None:
        super().__init__()
        self._ignored = ignored

    def put(self, key: str, body: bytes, attributes: Attributes, *, condition: Any = None) -> Entry:
        condition = None if isinstance(condition, self._ignored) else condition
        return super().put(key, body, attributes, condition=condition)


class Emptied(MemoryStore):
    """Something else deletes what is unknown, at first."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def put(self, key: str, body: bytes, attributes: Attributes, *, condition: Any = None) -> Entry:
        entry = super().put(key, body, attributes, condition=condition)
        if condition is None and self._times:
            self._times -= 1
            self.delete(key)
        return entry


def test_every_adapter_honours_conditions(store: ObjectStore) -> None:
    assert honours_conditions(store)
    assert list(store.list()) == []


def test_a_store_that_ignores_one_kind_of_condition_is_found() -> None:
    for ignored in (object, str, type(None)):
        store = IgnoresConditions(ignored)
        assert honours_conditions(store) is (ignored is type(None))
        assert list(store.list()) == []


def test_an_object_that_somebody_deletes_meanwhile_is_written_again() -> None:
    assert honours_conditions(Emptied(2))
