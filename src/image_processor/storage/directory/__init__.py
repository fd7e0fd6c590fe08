"""Object store adapter: objects are ordinary files under a root directory."""

from typing import Any

from .paths import PRIVATE_FOLDER
from .store import DirectoryStore

__all__ = ["PRIVATE_FOLDER", "DirectoryStore", "open_store"]


def open_store(location: str, **_options: Any) -> DirectoryStore:
    """The store in the directory ``location``, created if missing. Options are not used."""
    return DirectoryStore(location)
