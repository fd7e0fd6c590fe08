"""Object store adapter: objects are ordinary files under a root directory."""

from .paths import PRIVATE_FOLDER
from .store import DirectoryStore

__all__ = ["PRIVATE_FOLDER", "DirectoryStore", "open_store"]


def open_store(location: str) -> DirectoryStore:
    """The store in the directory ``location``, which is created if missing."""
    return DirectoryStore(location)
