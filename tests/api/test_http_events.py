"""Live progress over a real connection, and a stop that open connections do not delay."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import fastapi.routing
import httpx
import pytest
from http_machine import Machine

from support.plain_http import NO_CERTIFICATES


def events(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a text/event-stream, as dictionaries of their fields; comments by `comment`."""
    fields: dict[str, Any] = {}
    for line in stream.iter_lines():
        if not line:
            if fields:
                yield {**fields, "data": json.loads(fields["data"])} if "data" in fields else fields
            fields = {}
            continue
        name, _, value = line.partition(": ")
        fields[name or "comment"] = value


def test_an_upload_is_published_from_queued_to_processed(live: httpx.Client) -> None:
    with live.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache"
        events_seen = events(stream)
        ready = next(events_seen)
        assert (ready["event"], ready["data"], ready["retry"]) == ("ready", {"missed": False}, "1000")
        id_ = live.put("/uploads/a.jpg", content=b"a").json()["id"]
        seen = [next(events_seen) for _ in range(3)]
    assert [event["event"] for event in seen] == ["queued", "started", "processed"]
    assert {(event["data"]["id"], event["data"]["key"]) for event in seen} == {(id_, "a.jpg")}
    assert [event["data"]["sequence"] for event in seen] == [1, 2, 3]
    assert seen[2]["data"]["detail"]["renditions"] == 4


def test_a_refusal_is_published_with_its_reason(live: httpx.Client) -> None:
    with live.stream("GET", "/events") as stream:
        events_seen = events(stream)
        next(events_seen)
        live.put("/uploads/a.txt", content=b"bad")
        last = [next(events_seen) for _ in range(3)][-1]
    assert (last["event"], last["data"]["detail"]["reason"]) == ("refused", "not-an-image")


def test_only_keys_with_the_prefix_are_sent(live: httpx.Client, machine: Machine) -> None:
    with live.stream("GET", "/events", params={"prefix": "b/"}) as stream:
        events_seen = events(stream)
        next(events_seen)
        for key in ("a/1", "b/1"):
            live.put(f"/uploads/{key}", content=b"a")
        machine.workers.wait_until_idle()
        assert next(events_seen)["data"]["key"] == "b/1"


def test_a_reader_that_reconnects_continues_where_it_was(live: httpx.Client, machine: Machine) -> None:
    with live.stream("GET", "/events") as stream:
        events_seen = events(stream)
        next(events_seen)
        live.put("/uploads/a", content=b"a")
        last = next(events_seen)
    machine.workers.wait_until_idle()
    with live.stream("GET", "/events", headers={"last-event-id": last["id"]}) as stream:
        events_seen = events(stream)
        assert next(events_seen)["data"] == {"missed": False}
        assert [next(events_seen)["event"] for _ in range(2)] == ["started", "processed"]


def test_a_cursor_of_an_earlier_server_is_marked_missed(live: httpx.Client) -> None:
    with live.stream("GET", "/events", headers={"last-event-id": "0badcafe-7"}) as stream:
        assert next(events(stream))["data"] == {"missed": True}


def test_an_idle_stream_sends_pings(live: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.01)
    with live.stream("GET", "/events") as stream:
        # On a busy machine a ping may come before `ready`.
        assert {"comment": "ping"} in events(stream)


def test_a_stop_ends_streams_and_waiting_requests_at_once(machine: Machine, live: httpx.Client) -> None:
    """Nothing here ends by itself; the fixture fails if the server does not stop."""
    machine.ingest.put("a.jpg", b"a")
    machine.gate.clear()
    responses: list[httpx.Response] = []

    def wait_for_renditions() -> None:
        with httpx.Client(base_url=live.base_url, timeout=60, verify=NO_CERTIFICATES) as other:
            responses.append(other.post("/images", json={"key": "a.jpg"}))

    with live.stream("GET", "/events") as stream:
        events_seen = events(stream)
        next(events_seen)
        waiting = threading.Thread(target=wait_for_renditions)
        waiting.start()
        assert next(events_seen)["event"] == "queued"
        assert next(events_seen)["event"] == "started"
        machine.server.should_exit = True
        assert list(events_seen) == []
    waiting.join(30)
    assert (responses[0].status_code, responses[0].json()["status"]) == (202, "queued")
