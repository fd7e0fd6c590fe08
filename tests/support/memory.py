"""An ObjectStore in a dictionary: the contract's plainest reading, for tests of what uses it."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

from image_processor.domain.errors import NotFound, PreconditionFailed, Reason, Refused
from image_processor.domain.keys import check_key
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject


class MemoryStore:
    """Objects in a dictionary; every put makes a version that never was before, or with ``tags`` one
    that the same bytes have again, as S3's."""

    def __init__(self, *, tags: bool = False) -> None:
        self._tags = tags
        self._objects: dict[str, StoredObject] = {}
        self._order: list[bytes] = []
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
            version = hashlib.md5(body).hexdigest() if self._tags else f"v{next(self._versions)}"
            entry = Entry(key, len(body), version, datetime.now(UTC))
            if current is None:
                insort(self._order, key.encode())
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
            if self._objects.pop(check_key(key), None) is not None:
                del self._order[bisect_left(self._order, key.encode())]

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        start = prefix.encode(errors="surrogatepass")  # which no key has
        least = max(
            start, start_after.encode(errors="surrogatepass") + b"\0"
        )  # no key has a NUL, so this is the next one
        while True:  # a listing goes on while others write
            with self._lock:
                at = bisect_left(self._order, least)
                if at == len(self._order) or not self._order[at].startswith(start):
                    return
                least = self._order[at] + b"\0"
                entry = self._objects[self._order[at].decode()].entry
            if not (direct and "/" in entry.key[len(prefix) :]):
                yield entry

    def bodies(self) -> dict[str, bytes]:
        """All objects' bytes by key, for comparison with an oracle."""
        return {key: stored.body for key, stored in self._objects.items()}
