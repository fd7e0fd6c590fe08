"""Writes a line for each hit, where IMAGE_PROCESSOR_LOG_HITS asks for it: many at once, without `logging`.

Several processes write to the same standard error. A pipe keeps what is written at once together if it is no
longer than PIPE_BUF.
"""

from __future__ import annotations

import asyncio
import os
import time

import msgspec
from msgspec import Struct

from image_processor.config.log_options import LogFormat
from image_processor.standalone.logs import rfc3339

from .plain_request import PlainRequest

_PIPE_BUF = 4096
_SECONDS = 1.0
"""How long a line waits at most."""

_LOGGER = "image_processor.hits"


class _Line(Struct):
    timestamp: str
    level: str
    logger: str
    message: str
    method: str
    path: str
    status: int
    ms: float
    bytes: int
    client: str
    request_id: str


class HitLog:
    """The lines of one process. Used in its event loop only."""

    def __init__(self, format_: LogFormat, descriptor: int = 2) -> None:
        self._is_json = format_ is LogFormat.JSON
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._length = 0

    def add(
        self,
        request: PlainRequest,
        response: tuple[bytes, bytes | bytearray],
        seconds: float,
        client: str,
        request_id: str,
    ) -> None:
        """Write a line soon. Its path has no query, which may have a signature."""
        path = request.target.partition(b"?")[0].decode("ascii")
        head, body = response
        status, now = int(head[9:12]), time.time()
        message = f"{request.method} {path} {status}"
        ms, size = round(1000 * seconds, 2), len(body)
        if self._is_json:
            method, at = request.method, rfc3339(now)
            fields = (at, "INFO", _LOGGER, message, method, path, status, ms, size, client, request_id)
            line = msgspec.json.encode(_Line(*fields)) + b"\n"
        else:
            clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            millis = int(now * 1000) % 1000
            shown = f"ms={ms} bytes={size} client={client} request_id={request_id}"
            line = f"{clock},{millis:03d} INFO {_LOGGER}: {message} {shown}\n".encode()
        self._append(line)

    def flush(self) -> None:
        """Write what waits."""
        data, self._lines, self._length = b"".join(self._lines), [], 0
        if data:
            os.write(self._descriptor, data)

    def _append(self, line: bytes) -> None:
        if self._length + len(line) > _PIPE_BUF:
            self.flush()
        if not self._lines:
            asyncio.get_running_loop().call_later(_SECONDS, self.flush)
        self._lines.append(line)
        self._length += len(line)


def build_hit_log(format_: str | None) -> HitLog | None:
    """None where hits have no lines."""
    return None if format_ is None else HitLog(LogFormat(format_))
