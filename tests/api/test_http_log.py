"""Each request has an id, and one line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from http_machine import Machine

from image_processor.domain.ports import Attributes
from support.waiting import wait_for

STORED = "/renditions/cat.jpg/w=10,fm=webp.webp"
LOGGER = "image_processor.requests"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[int], list[dict[str, Any]]]:
    """The fields of the first lines, of which there must be as many as asked for."""
    caplog.set_level(logging.DEBUG, LOGGER)

    def read(count: int) -> list[dict[str, Any]]:
        def written() -> list[dict[str, Any]]:
            records = [record for record in caplog.records if record.name == LOGGER]
            return [
                {"level": record.levelno, **getattr(record, "hidden", {}), **getattr(record, "shown", {})}
                for record in records
            ]

        wait_for(lambda: len(written()) >= count, f"{count} lines")
        assert len(written()) == count
        return written()

    return read


def test_a_request_has_one_line(live: httpx.Client, lines: Any) -> None:
    response = live.get("/images?limit=3")
    (line,) = lines(1)
    assert line.pop("ms") > 0
    assert line == {
        "level": logging.INFO,
        "method": "GET",
        "path": "/images",  # without the query, which may have a signature
        "route": "/images",
        "status": 200,
        "bytes": len(response.content),
        "client": "127.0.0.1",
        "request_id": response.headers["x-request-id"],
    }


def test_errors_have_their_reason(live: httpx.Client, lines: Any) -> None:
    live.get("/images/unknown")
    live.put("/uploads/bad", content=b"bad", headers={"prefer": "wait=30"})
    live.get("/nowhere")
    live.get("/images", headers={"host": "evil.example"})
    live.get(STORED + "?w=9")
    found = [(line["route"], line["status"], line.get("reason")) for line in lines(5)]
    assert found[0] == ("/images/{id}", 404, "not-found")
    assert found[2:4] == [("none", 404, "not-found"), ("none", 421, "unknown-host")]
    assert found[1][:2] == ("/uploads/{key:key}", 201)
    assert found[4][:2] == ("/renditions/{key:key}", 403)
    assert found[4][2] in {"signature-missing", "forbidden", "unsigned"}


def test_health_is_for_debugging_and_server_errors_are_errors(
    live: httpx.Client, machine: Machine, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.get("/health")
    machine.data_trouble = "broken"
    live.get("/health")
    monkeypatch.setattr(machine.ingest.catalog, "get", None)
    live.get("/images/unknown")
    assert [line["level"] for line in lines(3)] == [logging.DEBUG, logging.WARNING, logging.ERROR]


@pytest.mark.parametrize("path", ["/images", STORED])
def test_a_safe_id_is_kept_and_any_other_replaced(live: httpx.Client, machine: Machine, path: str) -> None:
    machine.ingest.put("cat.jpg", b"cat")
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"declared" * 20, Attributes("image/webp"))

    def ids(*sent: str) -> list[str]:
        return [
            live.get(path, headers={"x-request-id": id_.encode()}).headers["x-request-id"] for id_ in sent
        ]

    safe = ["a", "0c1-F_.~", "x" * 128]
    assert ids(*safe, *safe) == safe * 2
    unsafe = ["", "a b", "x" * 129, "a,b", 'a"', "ä"]
    new = ids(*unsafe)
    assert not set(new) & set(unsafe)
    assert len({*new, live.get(path).headers["x-request-id"]}) == len(unsafe) + 1
