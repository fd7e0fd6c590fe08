"""An object store that asks DiskSpace for room before it writes, and reports writes that failed to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from image_processor.domain.errors import InsufficientStorage
from image_processor.domain.ports import Absent, Attributes, Entry, ObjectStore

from .delegating_store import DelegatingStore
from .disk_space import DiskSpace

_T = TypeVar("_T")


class SpaceAwareStore(DelegatingStore):
    """ObjectStore over ``store``. With ``keeps_reserve`` a write raises InsufficientStorage when the disk is
    almost full; without, it may use what is left. ``on_write`` is called with each key before it is
    written."""

    def __init__(
        self,
        store: ObjectStore,
        disk: DiskSpace,
        *,
        keeps_reserve: bool,
        on_write: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(store)
        self._disk = disk
        self._keeps_reserve = keeps_reserve
        self._on_write = on_write

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        return self._write(key, lambda: self.store.put(key, body, attributes, condition=condition))

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        return self._write(
            key, lambda: self.store.put_stream(key, chunks, attributes, limit=limit, condition=condition)
        )

    def _write(self, key: str, write: Callable[[], _T]) -> _T:
        if self._keeps_reserve:
            self._disk.check_room()
        self._on_write(key)
        try:
            return write()
        except InsufficientStorage as error:
            self._disk.note_failure(error)
            raise
