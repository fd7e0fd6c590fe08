"""The upload store as the read path sees it: what it lacks is fetched from a remote source."""

from __future__ import annotations

from image_processor.domain.errors import NotFound
from image_processor.domain.ports import ObjectStore, StoredObject

from .delegating_store import DelegatingStore
from .remote_originals import RemoteOriginals


class FetchingStore(DelegatingStore):
    """ObjectStore over ``store``, which `head` asks first: every reader of an original does."""

    def __init__(self, store: ObjectStore, remote: RemoteOriginals) -> None:
        super().__init__(store)
        self._remote = remote

    def head(self, key: str) -> StoredObject:
        """As the store's. Raises also OriginalPending, and what fetching the object raised."""
        try:
            stored = self.store.head(key)
        except NotFound:
            self._remote.require(key)
            raise
        self._remote.use(key)
        return stored
