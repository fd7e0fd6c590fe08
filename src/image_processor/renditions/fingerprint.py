"""What a rendition was made of and by: while its stamp is right, it need not be made again."""

from __future__ import annotations

from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import IccPolicy

from .overlay_sources import Versions

RENDERING = 3
"""Raise it when the engine makes other pixels from the same transformation: every rendition of
an older number is then stale, and reconcile makes it again.

Not for a new fact about originals: to decode a whole library for its sake is for its owner to
decide. Records get new facts when they are next made, and lack them until then."""


MADE, BASE = "made", "base"
"""Where a rendition's metadata holds its stamps: of all that it was made of, and of that without the
marks, which the name of a rendition does not always tell."""


def stamps(version: str, icc: IccPolicy, marks: Versions) -> dict[str, str]:
    """Both stamps, as metadata."""
    return {MADE: stamp(version, icc, marks), BASE: stamp(version, icc, {})}


def stamp(version: str, icc: IccPolicy, marks: Versions) -> str:
    """32 hex digits for a rendition of the original in ``version``, with ``marks`` laid on it."""
    lines = [f"rendering={RENDERING}", f"icc={icc}", f"original={version}"]
    lines += [f"mark={mark}@{seen}" for mark, seen in sorted(marks.items())]
    return sha256_hex("\n".join(lines).encode())[:32]
