"""Messages between a process and its isolated child, over two pipes: eight bytes of length, then the message.

multiprocessing.connection could do it too. It takes 25 ms of CPU to import, in both processes, and its calls
block for as long as the other side does not read or write.
"""

from __future__ import annotations

import fcntl
import io
import math
import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress

_LENGTH = 8
_CHUNK = 1024 * 1024
"""Bytes of one read, and of the pipe where the system allows it (pipe(7), "Pipe capacity"): each time that it
is full or empty, the processes take turns on a function's one core."""


_ENDED = "expected a message, got the end of the connection"


class Channel:
    """One end of the connection: it reads from one descriptor and writes to another, and owns both."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        with suppress(AttributeError, OSError):  # not Linux, or over the user's limit
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _CHUNK)

    def send(self, message: bytes | memoryview, until: float = math.inf) -> None:
        """Send a message, at latest at ``until`` in seconds of time.monotonic().

        Raises TimeoutError, and OSError where the other side is gone.
        """
        # Together: the other side would wake up for the length alone.
        rest = [memoryview(len(message).to_bytes(_LENGTH)), memoryview(message)]
        while rest:
            try:
                rest = _without(rest, os.writev(self._writer, rest))
            except BlockingIOError:
                _wait(self._writer, select.POLLOUT, until)

    def receive(self, until: float = math.inf, limit: float = math.inf) -> bytes:
        """The next message. Raises TimeoutError, EOFError where the other side is gone, and ValueError for a
        message of more than ``limit`` bytes."""
        length = int.from_bytes(self._read(_LENGTH, until))
        if length > limit:
            raise ValueError(f"expected at most {limit} bytes of message, got {length}")
        return self._read(length, until)

    def receive_into(self, file: int | None, count: int, until: float) -> bool:
        """Have the kernel write the next message, of ``count`` bytes, to ``file``. False if that is None or
        has no room; the message is received all the same. Linux only.

        Raises as `receive`, and ValueError for a message of another length."""
        length = int.from_bytes(self._read(_LENGTH, until))
        if length != count:
            raise ValueError(f"expected a message of {count} bytes, got {length}")
        rest = count
        while file is not None and rest and (moved := self._move_some(file, rest, until)):
            rest -= moved
        has_room = rest == 0
        while rest:
            rest -= len(self._read_some(rest, until))
        return has_room

    def wait(self, until: float) -> None:
        """Return once there is something to receive, or the other side is gone. Raises TimeoutError."""
        _wait(self._reader, select.POLLIN, until)

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def _read(self, count: int, until: float) -> bytes:
        # BytesIO grows in place and returns its own bytes: joining chunks would hold them twice.
        received = io.BytesIO()
        while count:
            count -= received.write(self._read_some(count, until))
        return received.getvalue()

    def _move_some(self, file: int, count: int, until: float) -> int:
        """How many of ``count`` bytes were moved to ``file``: at least one; 0 where it has no room."""
        _wait(self._reader, select.POLLIN, until)
        try:
            moved = os.splice(self._reader, file, count)
        except OSError:
            return 0
        if not moved:
            raise EOFError(_ENDED)
        return moved

    def _read_some(self, count: int, until: float) -> bytes:
        """At most ``count`` bytes, and at least one."""
        while True:
            try:
                chunk = os.read(self._reader, min(count, _CHUNK))
            except BlockingIOError:
                _wait(self._reader, select.POLLIN, until)
                continue
            if not chunk:
                raise EOFError(_ENDED)
            return chunk


def _without(parts: Sequence[memoryview], count: int) -> list[memoryview]:
    """What is left of ``parts`` after their first ``count`` bytes."""
    left = []
    for part in parts:
        taken = min(count, len(part))
        count -= taken
        if taken < len(part):
            left.append(part[taken:])
    return left


def _wait(descriptor: int, event: int, until: float) -> None:
    """Wait until the descriptor can be used. Raises TimeoutError."""
    ready = select.poll()
    ready.register(descriptor, event)
    seconds = until - time.monotonic()
    if not ready.poll(None if seconds == math.inf else max(0, 1000 * seconds)):
        raise TimeoutError("expected the other side to answer in time, got nothing")


def receive_descriptors(descriptor: int, count: int) -> list[int]:
    """Wait for ``count`` descriptors that come over the UNIX socket ``descriptor``. Raises EOFError where the
    other side is gone."""
    import socket  # noqa: PLC0415 - 4 ms of a child's start, for files only

    end = socket.socket(fileno=descriptor)
    try:
        _, descriptors, _, _ = socket.recv_fds(end, 1, count)
    finally:
        end.detach()
    if len(descriptors) != count:
        raise EOFError(f"expected {count} descriptors, got {len(descriptors)}")
    return list(descriptors)
