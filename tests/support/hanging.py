"""Servers that never answer: what a fetch is kept waiting by."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

_ENOUGH = 8
"""Connections that fill the queue of a listener, on any system."""


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and says nothing, not even in a TLS handshake."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@contextmanager
def unreachable() -> Iterator[int]:
    """A port at which connecting does not end: the queue of its listener is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        address = listener.getsockname()
        for _ in range(_ENOUGH):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]
