"""An object store over another one, for what does some of its work in another way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from image_processor.domain.ports import Absent, Attributes, Entry, ObjectStore, StoredObject


class DelegatingStore:
    """ObjectStore that leaves everything to ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def head(self, key: str) -> StoredObject:
        return self.store.head(key)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        return self.store.get(key, limit=limit, version=version)

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        return self.store.read(key, start, stop, version=version)

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        return self.store.put(key, body, attributes, condition=condition)

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        return self.store.put_stream(key, chunks, attributes, limit=limit, condition=condition)

    def delete(self, key: str, *, condition: str | None = None) -> None:
        self.store.delete(key, condition=condition)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        return self.store.list(prefix, start_after=start_after, direct=direct)
