"""The calls of SQS that `dead-letters` makes, against scripted answers."""

from __future__ import annotations

import json
import re

import boto3
import pytest

from image_processor.cli.sqs import Queue, QueueMessage
from image_processor.domain.errors import NotFound, Unavailable
from support.scripted_http import Reply, Script, scripted

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"
EMPTY = Reply(200, b"{}")


def failure(name: str, status: int = 400) -> Reply:
    return Reply(status, json.dumps({"__type": f"com.amazonaws.sqs#{name}", "message": "no"}).encode())


def received(*ids: str) -> Reply:
    messages = [
        {"MessageId": id_, "ReceiptHandle": f"r-{id_}", "Body": "{}", "Attributes": {"SentTimestamp": "17"}}
        for id_ in ids
    ]
    return Reply(200, json.dumps({"Messages": messages}).encode())


@pytest.fixture
def open_queue(monkeypatch: pytest.MonkeyPatch):

    def open_(script: Script, url: str = URL) -> Queue:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", script.address)
        session = boto3.Session("key", "secret", region_name="us-west-2")
        return Queue(session, url)

    return open_


def test_a_request_is_signed_for_the_region_of_the_url(open_queue) -> None:
    with scripted(EMPTY) as script:
        assert open_queue(script).receive_all(60) == []
    (seen,) = script.seen
    assert seen.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert re.search(r"Credential=key/\d{8}/eu-central-1/sqs/aws4_request", seen.headers["authorization"])
    body = json.loads(seen.body)
    assert (body["QueueUrl"], body["VisibilityTimeout"], body["MaxNumberOfMessages"]) == (URL, 60, 10)
    assert body["WaitTimeSeconds"] > 0  # without a wait only some of the servers are asked


def test_a_url_without_a_region_uses_the_sessions(open_queue) -> None:
    with scripted(EMPTY) as script:
        open_queue(script, "http://127.0.0.1:4566/000000000000/dead").receive_all(60)
    assert "/us-west-2/sqs/" in script.seen[0].headers["authorization"]


def test_repeated_messages_are_kept_once_and_end_the_receiving(open_queue) -> None:
    with scripted(received("a", "b"), received("b", "c"), received("a")) as script:
        messages = open_queue(script).receive_all(60)
    assert [(message.id, message.sent_ms, message.receives) for message in messages] == [
        ("a", 17, 0),
        ("b", 17, 0),
        ("c", 17, 0),
    ]
    assert len(script.seen) == 5  # two with new messages, three without


def test_messages_are_released_ten_at_a_time(open_queue) -> None:
    with scripted(EMPTY) as script:
        open_queue(script).release(QueueMessage(str(number), f"r{number}", "") for number in range(23))
    assert [len(json.loads(seen.body)["Entries"]) for seen in script.seen] == [10, 10, 3]
    assert json.loads(script.seen[2].body)["Entries"][2]["ReceiptHandle"] == "r22"


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (
            failure("AccessDeniedException"),
            Unavailable,
            "SQS refused receive_message: AccessDenied",
        ),
        (failure("QueueDoesNotExist"), NotFound, f"there is no queue {URL}"),
        (Reply(403, b"{}"), Unavailable, "SQS refused receive_message: 403"),
    ],
)
def test_errors_are_translated(open_queue, reply: Reply, error: type[Exception], message: str) -> None:
    with scripted(reply) as script, pytest.raises(error, match=re.escape(message)):
        open_queue(script).receive_all(60)
    assert len(script.seen) == 1


def test_a_missing_answer_is_an_error(open_queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with scripted(EMPTY) as script:
        queue = open_queue(script)
    with pytest.raises(Unavailable, match="SQS did not answer receive_message: "):
        queue.receive_all(60)
