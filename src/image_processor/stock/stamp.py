"""What a rendition was made of and by: while its stamp is right, it need not be made again."""

from __future__ import annotations

import hashlib

from image_processor.model import IccPolicy

from .marks import Versions

RENDERING = 2
"""Raise it when the engine makes other pixels from the same transformation: every rendition of
an older number is then stale, and reconcile makes it again.

Not for a new fact about originals: to decode a whole library for its sake is for its owner to
decide. Records get new facts when they are next made, and lack them until then."""


def stamp(version: str, icc: IccPolicy, marks: Versions) -> str:
    """32 hex digits for a rendition of the original in ``version``, with ``marks`` laid on it."""
    lines = [f"rendering={RENDERING}", f"icc={icc}", f"original={version}"]
    lines += [f"mark={mark}@{seen}" for mark, seen in sorted(marks.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
