"""Outcome events are put on an EventBridge bus, each until it is accepted."""

from __future__ import annotations

import json
import re

import pytest
from contract_records import NOW

from image_processor.aws import client as client_module
from image_processor.aws.event_bus import EventBus
from image_processor.aws.retries import INTERACTIVE
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import MessageKind, OutboxMessage
from support import aws
from support.scripted_http import Reply, Script, scripted

ACCEPTED = Reply(200, b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}')
REFUSED = Reply(
    200, b'{"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}]}'
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(client_module, "_random", lambda: 0)


def event(number: int = 1) -> OutboxMessage:
    body = json.dumps({"id": f"e{number}", "type": "image.processed", "data": {"key": "ä.jpg"}})
    return OutboxMessage(f"e{number}", MessageKind.EVENT, "ä.jpg", NOW, body)


def bus(script: Script) -> EventBus:
    return EventBus("ours", endpoint=script.address, credentials=aws.credentials, retries=INTERACTIVE)


def test_an_event_is_put_on_the_bus() -> None:
    with scripted(ACCEPTED) as script:
        bus(script).send([event()])
    (seen,) = script.seen
    assert seen.headers["x-amz-target"] == "AWSEvents.PutEvents"
    assert seen.headers["content-type"] == "application/x-amz-json-1.1"
    assert re.search(r"/eu-west-1/events/aws4_request", seen.headers["authorization"])
    (entry,) = json.loads(seen.body)["Entries"]
    assert entry == {
        "EventBusName": "ours",
        "Source": "image-processor",
        "DetailType": "image.processed",
        "Detail": event().body,
        "Time": NOW.timestamp(),
    }


def test_at_most_ten_events_share_a_request() -> None:
    with scripted(ACCEPTED, ACCEPTED) as script:
        bus(script).send([event(number) for number in range(12)])
    assert [len(json.loads(seen.body)["Entries"]) for seen in script.seen] == [10, 2]


def test_an_entry_that_is_not_accepted_is_an_error() -> None:
    with scripted(REFUSED) as script, pytest.raises(Unavailable, match="1 events: ThrottlingException"):
        bus(script).send([event(1), event(2)])


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([Reply(400, b'{"__type": "com.amazon#AccessDeniedException"}')], "AccessDeniedException"),
        ([Reply(400, b'{"__type": "ThrottlingException"}')] * 4, "status 400 after 4 tries"),
        ([Reply(500)] * 4, "status 500 after 4 tries"),
        ([Reply(404, b"<html>")], "404"),
    ],
)
def test_a_failed_request_is_unavailable(replies: list[Reply], message: str) -> None:
    with scripted(*replies) as script, pytest.raises(Unavailable, match=message):
        bus(script).send([event()])
    assert len(script.seen) == len(replies)


def test_the_environment_overrides_the_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(ACCEPTED) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTS", script.address)
        EventBus("default", credentials=aws.credentials).send([event()])
    assert len(script.seen) == 1
