"""Bodies that are made while they are sent: what fails before their first part is an error response, and not
one of the status 200 that breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain


def begun(parts: Iterator[bytes]) -> Iterator[bytes]:
    """``parts``, the first of which is made now, in the calling thread. Raises what making it raises."""
    return chain([next(parts, b"")], parts)
