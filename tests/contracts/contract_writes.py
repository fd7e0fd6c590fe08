"""The two ways to write an object under a condition. Both must behave the same."""

from __future__ import annotations

from collections.abc import Callable

from image_processor.domain.ports import Absent, Attributes, Entry, ObjectStore

Write = Callable[[ObjectStore, str, bytes, Attributes, str | Absent], Entry]


def put(store: ObjectStore, key: str, body: bytes, attributes: Attributes, condition: str | Absent) -> Entry:
    return store.put(key, body, attributes, condition=condition)


def put_stream(
    store: ObjectStore, key: str, body: bytes, attributes: Attributes, condition: str | Absent
) -> Entry:
    chunks = (body[at : at + 2] for at in range(0, len(body), 2))
    return store.put_stream(key, chunks, attributes, limit=len(body), condition=condition)


WRITES = (put, put_stream)
