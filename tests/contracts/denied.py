"""Makes one object of a store unreadable, at the outermost call that the adapter makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from image_processor.storage.directory import DirectoryStore
from image_processor.storage.s3 import S3Store
from image_processor.storage.s3.object_client import error_from_response
from support.memory_store import MemoryStore


@contextmanager
def in_memory(store: MemoryStore, key: str) -> Iterator[None]:
    store.unreadable.add(key)
    yield
    store.unreadable.discard(key)


@contextmanager
def in_a_directory(_store: DirectoryStore, key: str) -> Iterator[None]:
    """As for a file of mode 000, which root could open nevertheless."""
    name, really_open = os.fsencode(key.rpartition("/")[2]), os.open

    def deny(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == name:
            raise PermissionError(13, "Permission denied")
        return really_open(path, *args, **kwargs)

    with patch("os.open", deny):
        yield


@contextmanager
def in_s3(store: S3Store, key: str) -> Iterator[None]:
    """As for an object of another owner: 403 for HEAD and GET. The emulation knows no owners."""

    class Denying:
        def head(self, key: str) -> None:
            raise error_from_response("bucket", key, 403, None)

        @contextmanager
        def open(self, key: str, **_more: Any) -> Iterator[None]:
            raise error_from_response("bucket", key, 403, "AccessDenied")
            yield

    really = store._client_for
    with patch.object(store, "_client_for", lambda asked: Denying() if asked == key else really(asked)):
        yield
