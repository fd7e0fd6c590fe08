"""Ingest, within step 1: remembers the leases that a worker could not release, to release them later.

A full disk fails the release as well as the work. Without this the key would wait for the end of a lease
that nobody uses.
"""

from __future__ import annotations

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Lease
from image_processor.domain.ports import Catalog


class UnreleasedLeases:
    """The leases of one process, by image id. Safe for threads."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def release(self, catalog: Catalog, lease: Lease) -> None:
        """Release ``lease``, or remember it. Raises no error of the catalog: the caller is about to raise the
        one that ended its work."""
        try:
            catalog.release(lease)
        except ImageProcessorError:
            self._leases[lease.image_id] = lease

    def retry(self, catalog: Catalog, image_id: str) -> None:
        """Release the remembered lease of ``image_id``, if there is one. Raises Unavailable."""
        lease = self._leases.get(image_id)
        if lease is None:
            return
        catalog.release(lease)
        # Another thread of this process may have remembered a newer one meanwhile.
        if self._leases.get(image_id) is lease:
            self._leases.pop(image_id, None)
