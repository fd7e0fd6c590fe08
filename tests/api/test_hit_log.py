"""Lines for hits: the fields of other requests' lines, written together, only where they are asked for."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

import pytest

from image_processor.api import hit_log
from image_processor.api.hit_log import HitLog, build_hit_log
from image_processor.api.plain_request import PlainHeaders, PlainRequest
from image_processor.config.log_options import LogFormat, LogLevel
from image_processor.config.settings import Settings

HEADERS = PlainHeaders({"host": "localhost"}, "localhost", ())
REQUEST = PlainRequest("GET", b"/renditions/cat.jpg?w=1&s=secret", HEADERS)
RESPONSE = (b"HTTP/1.1 206 Partial Content\r\n\r\n", b"abc")


def written(format_: LogFormat, use: Callable[[HitLog], None], seconds: float = 0.0) -> bytes:
    """What ``use`` makes a log write within ``seconds``."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    async def run() -> None:
        use(HitLog(format_, writer))
        await asyncio.sleep(seconds)

    try:
        asyncio.run(run())
        return os.read(reader, 1_000_000)
    except BlockingIOError:
        return b""
    finally:
        os.close(reader)
        os.close(writer)


def add_and_flush(log: HitLog) -> None:
    log.add(REQUEST, RESPONSE, 0.00005, "192.0.2.1", "id-1")
    log.flush()
    log.flush()


def test_a_line_for_programs_has_no_query() -> None:
    line = json.loads(written(LogFormat.JSON, add_and_flush))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "image_processor.hits",
        "message": "GET /renditions/cat.jpg 206",
        "method": "GET",
        "path": "/renditions/cat.jpg",
        "status": 206,
        "ms": 0.05,
        "bytes": 3,
        "client": "192.0.2.1",
        "request_id": "id-1",
    }


def test_a_line_for_people() -> None:
    line = written(LogFormat.CONSOLE, add_and_flush).decode()
    assert " INFO image_processor.hits: GET /renditions/cat.jpg 206 ms=0.05 bytes=3 client=192.0.2.1 " in line
    assert line.endswith("request_id=id-1\n")


def test_lines_are_written_together_and_none_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(log: HitLog) -> None:
        log.add(REQUEST, RESPONSE, 0.1, "192.0.2.1", "id-1")

    assert written(LogFormat.JSON, add) == b""
    monkeypatch.setattr(hit_log, "_SECONDS", 0.01)
    assert written(LogFormat.JSON, add, 0.2).count(b"\n") == 1


def test_what_is_written_at_once_is_whole_lines_that_a_pipe_keeps_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[bytes] = []
    monkeypatch.setattr(hit_log.os, "write", lambda _, data: pieces.append(data))

    async def run() -> None:
        log = HitLog(LogFormat.JSON)
        for _ in range(100):
            log.add(REQUEST, RESPONSE, 0.1, "192.0.2.1", "id-1")
        log.flush()

    asyncio.run(run())
    assert b"".join(pieces).count(b"\n") == 100
    assert 1 < len(pieces) < 20
    assert all(piece.endswith(b"\n") and len(piece) <= 4096 for piece in pieces)


def test_lines_are_written_where_setting_and_level_say_so() -> None:
    def is_logged(settings: Settings) -> bool:
        return build_hit_log(settings.hit_log_format) is not None

    assert not is_logged(Settings())
    assert is_logged(Settings(log_hits=True))
    assert not is_logged(Settings(log_hits=True, log_level=LogLevel.WARNING))
