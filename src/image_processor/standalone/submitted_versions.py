"""Remembers which version of each original the API has queued, so that the watcher, which sees the same
file appear, does not queue it again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from image_processor.domain.models import Upload, UploadKind

CAPACITY = 10_000
"""How many keys are remembered. One that is forgotten too early is queued twice, and found unchanged."""


class SubmittedVersions:
    """The version that was queued last, by key. Safe for threads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._versions: OrderedDict[str, str] = OrderedDict()
        self._expected: OrderedDict[str, None] = OrderedDict()

    def expect(self, key: str) -> None:
        """Remember that the API stores a file now, and will queue it right after."""
        with self._lock:
            self._expected[key] = None
            if len(self._expected) > self._capacity:
                self._expected.popitem(last=False)

    def expects(self, key: str) -> bool:
        """Whether the API has begun to store this key and has not queued it yet."""
        with self._lock:
            return key in self._expected

    def note(self, upload: Upload) -> None:
        """Remember the version of a new upload. Any other event removes its key: a file that comes back with
        its old version is an upload again."""
        with self._lock:
            self._expected.pop(upload.key, None)
            self._versions.pop(upload.key, None)
            if upload.kind is UploadKind.CREATED and upload.version is not None:
                self._versions[upload.key] = upload.version
            if len(self._versions) > self._capacity:
                self._versions.popitem(last=False)

    def holds(self, key: str, version: str) -> bool:
        """Whether this version of the key was queued last."""
        with self._lock:
            return self._versions.get(key) == version
