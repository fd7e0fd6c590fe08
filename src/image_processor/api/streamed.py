"""Bodies that are made while they are sent.

Their first part is made before the response begins: then a failure becomes an error response, and not a 200
that breaks off.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain


def with_first_part(parts: Iterator[bytes]) -> Iterator[bytes]:
    """All of ``parts``. The first one is made now, in the calling thread; raises what that raises."""
    return chain([next(parts, b"")], parts)
