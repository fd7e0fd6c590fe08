"""SQS as a wire: signed calls of its JSON protocol, what is tried again, and what is told."""

from __future__ import annotations

import json
import re

import pytest

from image_processor.aws import client as client_module
from image_processor.aws.queue import Letter, Queue, move
from image_processor.domain.errors import NotFound, Unavailable
from support import aws
from support.scripted_http import Reply, Script, scripted

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"
NOTHING = Reply(200, b"{}")


def failure(name: str, status: int = 400) -> Reply:
    return Reply(status, json.dumps({"__type": f"com.amazonaws.sqs#{name}", "message": "no"}).encode())


def received(*ids: str) -> Reply:
    messages = [
        {"MessageId": id_, "ReceiptHandle": f"r-{id_}", "Body": "{}", "Attributes": {"SentTimestamp": "17"}}
        for id_ in ids
    ]
    return Reply(200, json.dumps({"Messages": messages}).encode())


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0)


@pytest.fixture
def queue_of(monkeypatch: pytest.MonkeyPatch):
    def open_queue(script: Script, url: str = URL) -> Queue:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", script.address)
        return Queue(url, credentials=aws.credentials)

    return open_queue


def test_a_call_names_the_queue_and_is_signed_for_the_region_of_its_url(queue_of) -> None:
    with scripted(NOTHING) as script:
        assert queue_of(script).receive(60) == []
    (seen,) = script.seen
    assert (seen.method, seen.target) == ("POST", "/")
    assert seen.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert seen.headers["content-type"] == "application/x-amz-json-1.0"
    assert re.search(r"Credential=test/\d{8}/eu-central-1/sqs/aws4_request", seen.headers["authorization"])
    asked = json.loads(seen.body)
    assert (asked["QueueUrl"], asked["VisibilityTimeout"], asked["MaxNumberOfMessages"]) == (URL, 60, 10)
    assert asked["WaitTimeSeconds"] > 0  # or only some of SQS's machines are asked


def test_a_url_of_no_region_takes_the_environments(queue_of) -> None:
    with scripted(NOTHING) as script:
        queue_of(script, "http://127.0.0.1:4566/000000000000/dead").receive(60)
    assert "/us-west-2/sqs/" in script.seen[0].headers["authorization"]


def test_messages_that_come_again_are_one_and_end_the_search(queue_of) -> None:
    with scripted(received("a", "b"), received("b", "c"), received("a")) as script:
        letters = queue_of(script).collect(60)
    assert [(letter.id, letter.sent_ms, letter.receives) for letter in letters] == [
        ("a", 17, 0),
        ("b", 17, 0),
        ("c", 17, 0),
    ]
    assert len(script.seen) == 5  # two with news, three without


def test_more_than_ten_are_given_back_in_several_calls(queue_of) -> None:
    with scripted(NOTHING) as script:
        queue_of(script).give_back(Letter(str(number), f"r{number}", "") for number in range(23))
    sizes = [len(json.loads(seen.body)["Entries"]) for seen in script.seen]
    assert sizes == [10, 10, 3]
    assert json.loads(script.seen[2].body)["Entries"][2]["ReceiptHandle"] == "r22"


@pytest.mark.parametrize("busy", [failure("RequestThrottled"), failure("InternalFailure", 500)])
def test_what_time_heals_is_tried_again(queue_of, busy: Reply) -> None:
    with scripted(busy, NOTHING) as script:
        queue_of(script).send(Letter("1", "r", "body"))
    assert [json.loads(seen.body)["MessageBody"] for seen in script.seen] == ["body", "body"]


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (failure("AccessDeniedException"), Unavailable, "ReceiveMessage: AccessDeniedException"),
        (failure("QueueDoesNotExist"), NotFound, f"there is no queue {URL}"),
        (Reply(403, b"<html>"), Unavailable, "ReceiveMessage: 403"),
    ],
)
def test_what_is_no_answer_is_told_at_once(queue_of, reply: Reply, error: type[Exception], told: str) -> None:
    with scripted(reply) as script, pytest.raises(error, match=re.escape(told)):
        queue_of(script).receive(60)
    assert len(script.seen) == 1


def test_what_could_not_be_sent_is_not_deleted(queue_of) -> None:
    with scripted(failure("AccessDeniedException")) as script, pytest.raises(Unavailable):
        move(Letter("1", "r", "body"), queue_of(script), queue_of(script))
    assert [seen.headers["x-amz-target"] for seen in script.seen] == ["AmazonSQS.SendMessage"]
