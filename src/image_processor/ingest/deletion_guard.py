"""Ingest, a part of reconcile: holds deletions back if too many originals have disappeared at once.

A directory that was removed and created again, a disk that is not mounted and a bucket that was mixed up
look as if users had deleted everything. Deletions then wait until a person accepts them. Events of single
deletions are not held back: they are what a user did. Pure.
"""

from __future__ import annotations

from msgspec import Struct

MIN_KEYS = 100
"""In a library of up to this many originals every deletion counts as intended."""

NO_LIMIT = 100
"""As a limit: hold nothing back."""


class DeletionGuard(Struct, frozen=True):
    """How many keys with a record or renditions a run has ``checked`` so far, and of how many of them the
    original is ``gone``.

    The order of records is that of hashes, so the first ones are a sample of the whole library: the guard
    acts on the first page, before anything is deleted.
    """

    checked: int = 0
    gone: int = 0

    def after(self, checked: int, gone: int) -> DeletionGuard:
        """The guard after ``checked`` more keys, of which the originals of ``gone`` are missing."""
        return DeletionGuard(self.checked + checked, self.gone + gone)

    def holds(self, limit: int) -> bool:
        """Whether more than ``limit`` percent of the originals are gone."""
        return self.checked > MIN_KEYS and 100 * self.gone > limit * self.checked

    def reason(self) -> str:
        """Why deletions are held back, and how they can be accepted."""
        return (
            f"{self.gone} of {self.checked} originals are gone: if they were deleted on purpose, "
            "run image-processor reconcile --accept-deletions; else bring them back"
        )
