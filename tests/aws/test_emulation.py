"""The emulated AWS behaves as AWS where the project relies on it, shown by a example system.

When a test of the real system fails and these do not, it is the system's fault.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import httpx
import pytest

from support.aws_emulation.server import ACCOUNT, EmulatedAws
from support.aws_emulation.stacks import CODE_BUCKET, Stack, deploy, upload_code
from support.plain_http import NO_CERTIFICATES
from support.waiting import wait_for

HERE = Path(__file__).parent / "example"


class System:
    """The deployed example, asked as its owner would."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.names = stack.outputs
        self.s3, self.sqs = stack.aws.client("s3"), stack.aws.client("sqs")
        self.dynamodb = stack.aws.client("dynamodb")

    def upload(self, body: bytes = b"picture", key: str | None = None) -> str:
        key = key or str(uuid.uuid4())
        self.s3.put_object(Bucket=self.names["Uploads"], Key=key, Body=body)
        return key

    def item(self, key: str) -> dict[str, str] | None:
        found = self.dynamodb.get_item(TableName=self.names["Table"], Key={"id": {"S": key}}).get("Item")
        return {name: value["S"] for name, value in found.items()} if found else None

    def wait_for_item(self, key: str) -> dict[str, str]:
        return wait_for(lambda: self.item(key), f"the record of {key}")

    def sequencer(self, key: str) -> str:
        return (self.item(key) or {}).get("sequencer", "")

    def copied(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.names["Processed"], Key=key)["Body"].read()
        return body

    def dead_letters(self) -> list[Any]:
        """Wait for at least one, and take all that are there."""
        queue = self.names["DeadLetters"]
        found = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in found.get("Messages", ()):
            self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found.get("Messages", ())]

    def invoke(self, *records: Any) -> Any:
        """Hand records to the function as one SQS message, past the queue."""
        body = json.dumps({"Records": list(records)})
        message = {"messageId": "m1", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
        answer = self.stack.aws.client("lambda").invoke(
            FunctionName=self.names["Function"], Payload=json.dumps({"Records": [message]})
        )
        return json.load(answer["Payload"])


@pytest.fixture(scope="session")
def example(aws: EmulatedAws) -> System:
    upload_code(aws, HERE, "example.zip")
    template = (HERE / "template.yaml").read_text()
    parameters = {"CodeBucket": CODE_BUCKET, "CodeKey": "example.zip"}
    return System(deploy(aws, "example", template, parameters))


def record(system: System, key: str) -> dict[str, Any]:
    return {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": system.names["Uploads"]}, "object": {"key": key, "sequencer": "1"}},
    }


FAILED = {"batchItemFailures": [{"itemIdentifier": "m1"}]}
DONE: dict[str, Any] = {"batchItemFailures": []}


def test_an_upload_passes_the_queue_and_the_real_runtime(example: System) -> None:
    key = example.upload(b"a picture")
    assert example.wait_for_item(key)["event"] == "ObjectCreated:Put"
    assert example.copied(key) == b"a picture"


@pytest.mark.parametrize("key", ["with space", "plus+and%25percent", "ünïcode/日本.jpg", "a=b&c,d~e'(f)"])
def test_keys_arrive_as_forms_encode_them(example: System, key: str) -> None:
    example.upload(key=key)
    example.wait_for_item(key)


def test_each_change_of_a_key_has_a_greater_sequencer(example: System) -> None:
    seen: list[str] = []
    for _ in range(3):
        example.upload(key="changing")
        wait_for(lambda: example.sequencer("changing") not in {"", *seen}, "the next change")
        seen.append(example.sequencer("changing"))
    numbers = [int(each, 16) for each in seen]
    assert numbers == sorted(set(numbers))


def test_a_deletion_is_notified_too(example: System) -> None:
    key = example.upload()
    example.wait_for_item(key)
    example.s3.delete_object(Bucket=example.names["Uploads"], Key=key)
    wait_for(lambda: (example.item(key) or {})["event"] == "ObjectRemoved:Delete", "the delete's event")


def test_poison_is_received_twice_and_then_a_dead_letter_while_others_pass(example: System) -> None:
    poison = example.upload(b"poison")
    others = [example.upload() for _ in range(3)]
    for key in others:
        assert example.wait_for_item(key)["receives"] == "1"
    (letter,) = example.dead_letters()
    assert letter["Records"][0]["s3"]["object"]["key"] == poison
    assert example.item(poison) is None


def test_what_the_function_prints_is_in_the_log_group_of_its_own(example: System) -> None:
    key = example.upload()
    logs = example.stack.aws.client("logs")

    def printed() -> bool:
        events = logs.filter_log_events(logGroupName=example.names["Logs"])["events"]
        return any(f"copied {key}" in event["message"] for event in events)

    wait_for(printed, "the function's line in the log")


def test_a_function_without_a_grant_fails_and_with_it_works(example: System) -> None:
    key = example.upload()
    example.wait_for_item(key)
    assert example.invoke(record(example, key)) == DONE
    needed = {"s3:GetObject", "s3:PutObject", "dynamodb:PutItem"}
    for grant in example.stack.grants(example.names["Role"]):
        if grant.action in needed:
            with example.stack.without(grant):
                assert example.invoke(record(example, key)) == FAILED, grant
    assert example.invoke(record(example, key)) == DONE
    refused = {decision.action for decision in example.stack.aws.decisions() if not decision.allowed}
    assert needed <= refused


def test_a_missing_key_is_403_to_a_role_that_may_not_list(example: System) -> None:
    (listing,) = (g for g in example.stack.grants(example.names["Role"]) if g.action == "s3:ListBucket")
    assert example.invoke(record(example, "never-there")) == DONE, "404 is what the example expects"
    with example.stack.without(listing):
        assert example.invoke(record(example, "never-there")) == FAILED


def test_the_queue_is_read_with_the_functions_own_grants(example: System) -> None:
    (receiving,) = (
        g for g in example.stack.grants(example.names["Role"]) if g.action == "sqs:ReceiveMessage"
    )
    with example.stack.without(receiving):
        known = len(example.stack.aws.decisions())
        key = example.upload()
        wait_for(
            lambda: any(
                not each.allowed and each.action == "sqs:ReceiveMessage"
                for each in example.stack.aws.decisions(known)
            ),
            "a refused poll",
        )
        assert example.item(key) is None
    example.wait_for_item(key)


def test_a_bucket_may_only_notify_a_queue_that_allows_it(example: System) -> None:
    stranger = f"stranger-{uuid.uuid4()}"
    example.s3.create_bucket(Bucket=stranger)
    attributes = example.sqs.get_queue_attributes(
        QueueUrl=example.names["Queue"], AttributeNames=["QueueArn"]
    )["Attributes"]
    expected = {"QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(botocore.exceptions.ClientError, match="destination configurations"):
        example.s3.put_bucket_notification_configuration(
            Bucket=stranger, NotificationConfiguration={"QueueConfigurations": [expected]}
        )


def test_a_managed_policy_counts(example: System) -> None:
    iam = example.stack.aws.client("iam")
    trust = {"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
    key = example.upload()
    read = {"Bucket": example.names["Uploads"], "Key": key}
    client = example.stack.aws.client("s3", session(example, "reader"))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        client.get_object(**read)
    iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert client.get_object(**read)["Body"].read() == b"picture"


def session(system: System, role: str) -> dict[str, str]:
    credentials: dict[str, str] = system.stack.aws.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test"
    )["Credentials"]
    return credentials


def test_a_presigned_upload_is_held_to_its_signers_grants(example: System) -> None:
    """The role may put into the processed bucket only, whoever uses the form it signs."""
    signer = example.stack.aws.client("s3", session(example, example.names["Role"]))
    for bucket, status in ((example.names["Processed"], 204), (example.names["Uploads"], 403)):
        form = signer.generate_presigned_post(bucket, "a-form")
        assert post(form, b"body") == status, bucket


def post(form: dict[str, Any], body: bytes) -> int:
    return httpx.post(
        form["url"], data=form["fields"], files={"file": body}, verify=NO_CERTIFICATES
    ).status_code


def test_no_racing_conditional_write_is_lost(example: System) -> None:
    key = {"id": {"S": "counter"}}
    table = {"TableName": example.names["Table"], "Key": key}
    clients = [example.stack.aws.client("dynamodb") for _ in range(8)]
    example.dynamodb.update_item(
        **table, UpdateExpression="SET n = :zero", ExpressionAttributeValues={":zero": {"N": "0"}}
    )

    def raise_by_one(client: Any) -> None:
        while True:
            now = client.get_item(**table)["Item"]["n"]["N"]
            try:
                client.update_item(
                    **table,
                    UpdateExpression="SET n = :next",
                    ConditionExpression="n = :now",
                    ExpressionAttributeValues={":now": {"N": now}, ":next": {"N": str(int(now) + 1)}},
                )
            except client.exceptions.ConditionalCheckFailedException:
                continue
            return

    with example.stack.aws.racing(), ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(raise_by_one, clients * 8))
    assert example.dynamodb.get_item(**table)["Item"]["n"]["N"] == "64"


def test_invalidations_are_limited_and_idempotent(aws: EmulatedAws) -> None:
    cloudfront = aws.client("cloudfront")

    def create(reference: str, *paths: str) -> int:
        batch = {"CallerReference": reference, "Paths": {"Quantity": len(paths), "Items": list(paths)}}
        answer = cloudfront.create_invalidation(DistributionId="E1", InvalidationBatch=batch)
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    paths = [f"/{number}*" for number in range(15)]
    assert [create("one", *paths), create("one", *paths), create("two", "/exact.jpg")] == [201, 201, 201]
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidationBatchAlreadyExists"):
        create("one", "/other*")
    with pytest.raises(botocore.exceptions.ClientError, match="TooManyInvalidationsInProgress"):
        create("three", "/16*")
    url = f"{aws.endpoint}/2020-05-31/distribution/E1/invalidation"
    httpx.delete(url, verify=NO_CERTIFICATES)
    assert create("three", "/16*") == 201
    assert httpx.get(url, verify=NO_CERTIFICATES).json() == [paths, ["/exact.jpg"], ["/16*"]]


def test_a_custom_resource_is_what_its_function_responds(aws: EmulatedAws) -> None:
    upload_code(aws, HERE, "answer.zip")
    template = (HERE / "custom_resource.yaml").read_text()
    stack = deploy(aws, "custom", template, {"CodeKey": "answer.zip", "Word": "yes"})
    assert stack.outputs["Id"] == "said-yes"
    with pytest.raises(RuntimeError, match="Answer: the word is no"):
        deploy(aws, "custom-failed", template, {"CodeKey": "answer.zip", "Word": "no"})
