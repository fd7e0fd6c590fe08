"""Accepts connections one at a time, so that the processes that share a listener share its connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

_PAUSE_SECONDS = 1.0
"""How long no connection is accepted after the process has run out of descriptors."""

_log = logging.getLogger(__name__)


class Acceptor:
    """Gives each connection of ``listener`` a protocol of ``factory``, from now until `stop`. asyncio's own
    servers accept all that wait: then the process that wakes first gets every connection of a burst."""

    def __init__(self, listener: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._listener = listener
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def stop(self) -> None:
        """Accept no more. The listener stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    def adopt(self, connection: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Give an accepted ``connection`` a protocol of ``factory``."""
        connection.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(factory, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another process took it
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(
                _PAUSE_SECONDS, self._loop.add_reader, self._listener, self._accept
            )
            return
        self.adopt(connection, self._factory)
