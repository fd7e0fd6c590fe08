"""An ObjectStore in a dictionary, for tests of the code that uses a store."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

from image_processor.domain.errors import NotFound, PreconditionFailed, Reason, Refused, Unreadable
from image_processor.domain.keys import check_key
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

_stores: dict[str, MemoryStore] = {}

_CHUNK = 256 * 1024


class MemoryStore:
    """Objects in a dictionary. Every put makes a new version, or with ``etags`` one that depends only on
    the bytes, as in S3. The keys in ``unreadable`` are listed, but not read; those in ``archived`` answer
    HEAD, too, as in Glacier; those in ``hidden`` are not listed either, as in a folder that may not be
    searched."""

    def __init__(self, *, etags: bool = False) -> None:
        self._etags = etags
        self.unreadable: set[str] = set()
        self.archived: set[str] = set()
        self.hidden: set[str] = set()
        self._objects: dict[str, StoredObject] = {}
        self._sorted_keys: list[bytes] = []
        self._lock = threading.Lock()
        self._versions = count(1)

    def head(self, key: str) -> StoredObject:
        stored = self._find(key, self.unreadable)
        return StoredObject(stored.entry, stored.attributes)

    def supports_cached_reads(self, key: str) -> bool:
        return key in self._objects

    def head_cached(self, key: str) -> StoredObject | None:
        try:
            return self.head(key)
        except (NotFound, Refused):
            return None

    def read_cached(self, stored: StoredObject, start: int, stop: int) -> bytes | None:
        current = self._objects.get(stored.entry.key)
        return current.body[start:stop] if current and current.entry == stored.entry else None

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        stored = self._find(key, self.unreadable | self.archived)
        if version is not None and stored.entry.version != version:
            raise PreconditionFailed(key)
        if limit is not None and stored.entry.size > limit:
            raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {stored.entry.size}")
        return stored

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        body = self.get(key, version=version).body[start:stop]
        return iter([body[offset : offset + _CHUNK] for offset in range(0, len(body), _CHUNK)])

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        check_key(key)
        with self._lock:
            current = self._objects.get(key)
            if not _holds(condition, current):
                raise PreconditionFailed(key)
            version = hashlib.md5(body).hexdigest() if self._etags else f"v{next(self._versions)}"
            entry = Entry(key, len(body), version, datetime.now(UTC))
            if current is None:
                insort(self._sorted_keys, key.encode())
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

    def delete(self, key: str, *, condition: str | None = None) -> None:
        with self._lock:
            if not _holds(condition, self._objects.get(check_key(key))):
                raise PreconditionFailed(key)
            if self._objects.pop(check_key(key), None) is not None:
                del self._sorted_keys[bisect_left(self._sorted_keys, key.encode())]

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        # A lone surrogate is in no key, but must still be comparable.
        raw_prefix = prefix.encode(errors="surrogatepass")
        # No key contains a NUL, so this is the smallest key after `start_after`.
        next_key = max(raw_prefix, start_after.encode(errors="surrogatepass") + b"\0")
        while True:  # one key at a time, because others may write during a listing
            with self._lock:
                index = bisect_left(self._sorted_keys, next_key)
                if index == len(self._sorted_keys) or not self._sorted_keys[index].startswith(raw_prefix):
                    return
                next_key = self._sorted_keys[index] + b"\0"
                entry = self._objects[self._sorted_keys[index].decode()].entry
            if entry.key not in self.hidden and not (direct and "/" in entry.key[len(prefix) :]):
                yield entry

    def bodies(self) -> dict[str, bytes]:
        """The bytes of all objects by key, to compare with the expected ones."""
        return {key: stored.body for key, stored in self._objects.items()}

    def _find(self, key: str, denied: Collection[str]) -> StoredObject:
        stored = self._objects.get(check_key(key))
        if stored is None:
            raise NotFound(key)
        if key in denied:
            raise Unreadable(f"{key!r} is denied", stored.entry.version)
        if key in self.hidden:
            raise Unreadable(f"{key!r} is denied")
        return stored


def _holds(condition: str | Absent | None, current: StoredObject | None) -> bool:
    if condition is None:
        return True
    if isinstance(condition, Absent):
        return current is None
    return current is not None and current.entry.version == condition


def open_store(location: str, **_options: Any) -> MemoryStore:
    """The store of that name in this process. A row of image_processor.storage.ADAPTERS can name it."""
    return _stores.setdefault(location, MemoryStore())
