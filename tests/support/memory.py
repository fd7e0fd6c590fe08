"""An ObjectStore in a dictionary: the contract's plainest reading, for tests of what uses it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

from image_processor.errors import NotFound, PreconditionFailed, Reason, Refused
from image_processor.keys import check_key
from image_processor.ports import Absent, Attributes, Entry, StoredObject


class MemoryStore:
    """Objects in a dictionary; every put makes a version that never was before."""

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._lock = threading.Lock()
        self._versions = count(1)

    def head(self, key: str) -> StoredObject:
        stored = self._objects.get(check_key(key))
        if stored is None:
            raise NotFound(key)
        return StoredObject(stored.entry, stored.attributes)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        stored = self._objects.get(check_key(key))
        if stored is None:
            raise NotFound(key)
        if version is not None and stored.entry.version != version:
            raise PreconditionFailed(key)
        if limit is not None and stored.entry.size > limit:
            raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {stored.entry.size}")
        return stored

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        body = self.get(key, version=version).body[start:stop]
        return iter([body[at : at + 262_144] for at in range(0, len(body), 262_144)])

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        check_key(key)
        with self._lock:
            current = self._objects.get(key)
            held = (current is None) if isinstance(condition, Absent) else True
            if isinstance(condition, str):
                held = current is not None and current.entry.version == condition
            if not held:
                raise PreconditionFailed(key)
            entry = Entry(key, len(body), f"v{next(self._versions)}", datetime.now(UTC))
            self._objects[key] = StoredObject(entry, attributes, body)
        return entry

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        body = b""
        for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got more")
        return self.put(key, body, attributes, condition=condition)

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(check_key(key), None)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        objects = dict(self._objects)  # a listing goes on while others write
        for key in sorted(objects, key=str.encode):
            wanted = key.startswith(prefix) and key.encode() > start_after.encode()
            if wanted and not (direct and "/" in key[len(prefix) :]):
                yield objects[key].entry

    def bodies(self) -> dict[str, bytes]:
        """All objects' bytes by key, for comparison with an oracle."""
        return {key: stored.body for key, stored in self._objects.items()}
