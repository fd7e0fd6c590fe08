"""HTTP edge: an upload's body as it comes, from a client that must not take its time for ever.

Each upload in progress holds one of a few places, which nobody may keep by sending next to nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from anyio import current_time, fail_after, from_thread

PATIENCE = 30.0
"""So many seconds a client may fall behind MIN_RATE, be it by silence or by sending too slowly."""

MIN_RATE = 10_000
"""Bytes a second that an upload brings at least, in the long run: a fifth of what a poor mobile
connection manages. Whoever wants to hold a place has to pay for it."""


class UploadBody:
    """The bytes of an upload, and how long the client may still take.

    What is sent faster than MIN_RATE makes up for time lost, but earns nothing beyond PATIENCE.
    Only waiting for the client counts: a slow disk is not its fault.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = PATIENCE

    async def next(self) -> bytes:
        """The next bytes, none at the end. Raises TimeoutError for a client that is too slow."""
        begun = current_time()
        with fail_after(self._left):
            chunk = await anext(self._chunks, b"")
        self._left += len(chunk) / MIN_RATE - (current_time() - begun)
        self._left = min(self._left, PATIENCE)
        return chunk

    def from_thread(self, first: bytes) -> Iterator[bytes]:
        """``first`` and all that follows, for a thread that asks for it; whatever ends the body
        early is raised there."""
        chunk = first
        while chunk:
            yield chunk
            chunk = from_thread.run(self.next)
