"""Where clients of the tus protocol send their requests: what comes before the routes must know that, too.
`tus` has the headers of the protocol, `resumable_uploads` the routes."""

from __future__ import annotations

RESUMABLE_PATH = "/resumable"


def is_resumable(path: str) -> bool:
    """Whether a path is one of the protocol's."""
    return path == RESUMABLE_PATH or path.startswith(f"{RESUMABLE_PATH}/")
