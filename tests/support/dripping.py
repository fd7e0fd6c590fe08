"""A server that never falls silent and never ends: it answers each connection with a byte now and then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PAUSE = 0.05


@contextmanager
def dripping(start: bytes) -> Iterator[str]:
    """The address, as host:port, of a server that sends ``start``, then a byte every 50 ms."""
    over = threading.Event()

    def drip(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.sendall(start)
            while not over.wait(_PAUSE):
                peer.sendall(b"H")

    def accept() -> None:
        with suppress(OSError):  # closed below
            while True:
                threading.Thread(target=drip, args=[listener.accept()[0]]).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
