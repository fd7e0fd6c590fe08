"""A proxy that breaks connections: what a mobile network does to an upload."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class BreakingProxy:
    """Passes connections on to ``target``. A connection that has sent as many bytes as the first of ``cuts``
    is broken off, and that cut is over; without cuts none is. ``received`` counts the bytes of all clients.
    """

    def __init__(self, target: str, cuts: list[int]) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._cuts = cuts
        self.received = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for pipe in (self._send, self._answer):
                    thread = threading.Thread(target=pipe, args=(client, server))
                    self._threads.append(thread)
                    thread.start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with suppress(OSError):
            while data := client.recv(16_384):
                if self._cuts and sent + len(data) >= self._cuts[0]:
                    server.sendall(data[: self._cuts[0] - sent])
                    self.received += self._cuts.pop(0) - sent
                    break
                sent += len(data)
                self.received += len(data)
                server.sendall(data)
        self._close(client, server)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(16_384):
                client.sendall(data)
        self._close(client, server)

    @staticmethod
    def _close(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
