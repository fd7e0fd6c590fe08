"""The SQS queue of `aws.queue`: against emulated SQS, and against scripted answers."""

from __future__ import annotations

import json
import re
import uuid

import boto3
import pytest

from image_processor.aws.queue import Queue
from image_processor.domain.errors import NotFound, Unavailable
from image_processor.domain.models import Upload, UploadKind
from image_processor.ingest.events import message_body, read_messages
from support import aws
from support.scripted_http import Reply, Script, scripted

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/images"


def queue(script: Script, url: str = URL) -> Queue:
    return Queue(url, endpoint=script.address, region="us-west-2", credentials=aws.credentials)


def failure(name: str, status: int = 400) -> Reply:
    return Reply(status, json.dumps({"__type": f"com.amazonaws.sqs#{name}", "message": "no"}).encode())


def test_messages_arrive_and_are_counted() -> None:
    session = boto3.Session("test", "test", region_name=aws.REGION)
    client = session.client("sqs", endpoint_url=aws.address())
    url = client.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
    ours = Queue(url, endpoint=aws.address(), region=aws.REGION, credentials=aws.credentials)
    uploads = [Upload("b", f"häuser/{number}+ %.jpg", UploadKind.REPROCESS) for number in range(23)]
    assert ours.send(map(message_body, uploads)) == 23
    assert ours.backlog() == 23
    bodies = []
    while found := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in found]
        for message in found:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    received = [read_messages(json.loads(body))[0].uploads[0] for body in bodies]
    assert sorted(upload.key for upload in received) == sorted(upload.key for upload in uploads)
    assert {upload.kind for upload in received} == {UploadKind.REPROCESS}


def test_a_request_is_signed_for_the_region_of_the_url() -> None:
    with scripted(Reply(200, b"{}")) as script:
        queue(script).send(["a"])
        queue(script, "http://127.0.0.1:4566/000000000000/dead").send(["a"])
    first, second = (seen.headers["authorization"] for seen in script.seen)
    assert re.search(r"/eu-central-1/sqs/aws4_request", first)
    assert re.search(r"/us-west-2/sqs/aws4_request", second)
    assert json.loads(script.seen[0].body) == {
        "QueueUrl": URL,
        "Entries": [{"Id": "0", "MessageBody": "a"}],
    }


def test_messages_of_a_batch_that_were_not_accepted_are_sent_again() -> None:
    refused = Reply(200, json.dumps({"Failed": [{"Id": "1", "Code": "InternalError"}]}).encode())
    with scripted(refused, Reply(200, b"{}")) as script:
        assert queue(script).send(["a", "b"]) == 2
    entries = [[entry["MessageBody"] for entry in json.loads(seen.body)["Entries"]] for seen in script.seen]
    assert entries == [["a", "b"], ["b"]]
    with scripted(refused) as script, pytest.raises(Unavailable, match="1 messages: InternalError"):
        queue(script).send(["a", "b"])


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
def test_a_missing_queue_is_named(code: str) -> None:
    with scripted(failure(code)) as script, pytest.raises(NotFound, match="there is no queue https"):
        queue(script).backlog()


def test_throttled_requests_are_repeated_and_others_are_not() -> None:
    with scripted(failure("RequestThrottled", 403), Reply(200, b"{}")) as script:
        assert queue(script).send(["a"]) == 1
    with (
        scripted(failure("AccessDeniedException", 403)) as script,
        pytest.raises(Unavailable, match="SQS refused SendMessageBatch: AccessDeniedException"),
    ):
        queue(script).send(["a"])
    assert len(script.seen) == 1
