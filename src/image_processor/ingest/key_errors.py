"""Ingest, a part of reconcile: distinguishes an error of one key from the outage of a store.

A search of a library skips a key that fails, and goes on with the next one. If a store is down, it stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from image_processor.domain.errors import ImageProcessorError, NotFound, Refused
from image_processor.domain.keys import image_id
from image_processor.domain.ports import Catalog, ObjectStore

_PROBE_KEY = "health"  # need not exist


class Backends(Protocol):
    """Whatever works with one library."""

    @property
    def uploads(self) -> ObjectStore: ...
    @property
    def processed(self) -> ObjectStore: ...
    @property
    def catalog(self) -> Catalog: ...


def try_key(backends: Backends, work: Callable[[], object]) -> ImageProcessorError | None:
    """Do ``work`` on one key. Returns its error if it is the key's own. Raises Unavailable if a store or the
    catalog is down."""
    try:
        work()
    except ImageProcessorError as error:
        if error.retryable:
            _check(backends)
        return error
    return None


def _check(backends: Backends) -> None:
    """Raise Unavailable if a store or the catalog does not answer for another key either."""
    for store in (backends.uploads, backends.processed):
        try:
            store.head(_PROBE_KEY)
        except (NotFound, Refused):
            continue
    backends.catalog.get(image_id("", _PROBE_KEY))
