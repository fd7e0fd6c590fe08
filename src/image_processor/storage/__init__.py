"""Object store adapters (domain.ports.ObjectStore), opened by URL.

To add one, write a module with a function `open_store(location)` and add a row to ADAPTERS.
tests/contracts runs its suite for every row.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from image_processor.domain.errors import Invalid

if TYPE_CHECKING:
    from image_processor.domain.ports import ObjectStore

ADAPTERS = {
    "file": "image_processor.storage.directory",
    "s3": "image_processor.storage.s3",
}
"""The module of each URL scheme. Imported when first used, so a cold start loads only what it needs."""


def store_from_url(url: str) -> ObjectStore:
    """The store at `file://PATH` (a directory, created if missing) or `s3://BUCKET`.

    The part after `://` is used as it is, without percent-decoding. Raises Invalid for an unknown
    scheme, and InvalidSettings as the adapter does.
    """
    scheme, separator, location = url.partition("://")
    if not separator or scheme not in ADAPTERS:
        schemes = ", ".join(f"{name}://" for name in ADAPTERS)
        raise Invalid.one("store", f"a URL that starts with one of {schemes}", url)
    store: ObjectStore = import_module(ADAPTERS[scheme]).open_store(location)
    return store
