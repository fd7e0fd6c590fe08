"""The messages between the server and its hit servers, over a pair of sockets. Some carry the descriptor of a
connection."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from .hit_cache import StoredHit
from .hit_statistics import HitCounts

MAX_DATA = 60_000
"""Bytes of a request that one message holds."""

_MAX_MESSAGE = 128 * 1024


class HandOver(Struct, frozen=True, tag=True):
    """A connection for the server, which comes with it, and what has been received from it."""

    data: bytes


class Query(Struct, frozen=True, tag=True):
    """Which stored rendition answers this request? ``number`` is repeated in the reply."""

    number: int
    method: str
    target: bytes
    headers: dict[str, str]


class Reply(Struct, frozen=True, tag=True):
    """The answer to the query with this ``number``. None: hand the connection over."""

    number: int
    hit: StoredHit | None


class Touched(Struct, frozen=True, tag=True):
    """Keys of renditions that were sent, and the number of these responses. A key that was sent several times
    is named once."""

    keys: tuple[str, ...]
    hits: int = 0


class Counted(Struct, frozen=True, tag=True):
    """What a hit server has counted since the last such message."""

    counts: HitCounts


class Setup(Struct, frozen=True, tag=True):
    """The first message to a hit server: the directories of the stores, the names of the server, the number
    of the recipe in force, and the format of lines in the log, None for no lines."""

    uploads: str
    processed: str
    host: str
    allowed_hosts: tuple[str, ...]
    recipe_number: int = 0
    log_format: str | None = None


class Forget(Struct, frozen=True, tag=True):
    """The recipe with this number is in force: what was found by an earlier one holds no longer."""

    recipe_number: int


class Stop(Struct, frozen=True, tag=True):
    """The last message to a hit server: accept no more, and end when every response is sent."""


class Drained(Struct, frozen=True, tag=True):
    """The last message of a hit server: it accepts no more connections, and hands none over any more."""


Message = HandOver | Query | Reply | Touched | Counted | Setup | Forget | Stop | Drained
_decoder = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()


class Channel:
    """One end of a pair of SOCK_SEQPACKET sockets. ``on_message`` gets each message, and None or a descriptor
    that it has to close; ``on_close`` is called when the other end is closed."""

    def __init__(
        self,
        end: socket.socket,
        on_message: Callable[[Message, int | None], None],
        on_close: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._on_message = on_message
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[tuple[bytes, int | None]] = deque()
        self._loop.add_reader(end, self._receive)

    def send(self, message: Message, descriptor: int | None = None) -> None:
        """Send a message, and close ``descriptor`` once it is sent. Never waits."""
        self._unsent.append((_encoder.encode(message), descriptor))
        if len(self._unsent) == 1:
            self._send()

    def close(self) -> None:
        if self._end.fileno() < 0:
            return
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for _, descriptor in self._unsent:
            if descriptor is not None:
                os.close(descriptor)
        self._unsent.clear()

    def _send(self) -> None:
        while self._unsent:
            data, descriptor = self._unsent[0]
            try:
                socket.send_fds(self._end, [data], [] if descriptor is None else [descriptor])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._end, self._send)
                return
            except OSError:
                self._end_of_channel()
                return
            self._unsent.popleft()
            if descriptor is not None:
                os.close(descriptor)
        self._loop.remove_writer(self._end)

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, _MAX_MESSAGE, 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors = b"", []
        if data:
            self._on_message(_decoder.decode(data), descriptors[0] if descriptors else None)
        else:
            self._end_of_channel()

    def _end_of_channel(self) -> None:
        self.close()
        self._on_close()
