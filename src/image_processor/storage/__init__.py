"""Object store adapters (domain.ports.ObjectStore), opened by URL.

To add one, write a module with a function `open_store(location, **options)` and add a row to ADAPTERS.
tests/contracts runs its suite for every row.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import Invalid

if TYPE_CHECKING:
    from image_processor.domain.ports import ObjectStore

ADAPTERS = {
    "file": "image_processor.storage.directory:open_store",
    "s3": "image_processor.storage.s3:open_store",
}
"""URL scheme -> `module:function` that opens the store. A module is imported when first used, so a cold
start loads only the adapters that it needs."""


def store_from_url(url: str, **options: Any) -> ObjectStore:
    """The store at `file://PATH` (a directory, created if missing) or `s3://BUCKET`.

    The part after `://` is used as it is, without percent-decoding. ``options``
    (``endpoint``, ``region``, ``credentials``, ``retries``) are those of S3; other adapters ignore
    them. Raises Invalid for an unknown scheme, and InvalidSettings as the adapter does.
    """
    scheme, separator, location = url.partition("://")
    if not separator or scheme not in ADAPTERS:
        schemes = ", ".join(f"{name}://" for name in ADAPTERS)
        raise Invalid.one("store", f"a URL that starts with one of {schemes}", url)
    module, _, function = ADAPTERS[scheme].partition(":")
    store: ObjectStore = getattr(import_module(module), function)(location, **options)
    return store
