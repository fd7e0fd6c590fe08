"""The project's own system, deployed: asked as its owner, its callers and its events would."""

from __future__ import annotations

import itertools
import json
import platform
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx

from image_processor.aws.credentials import Credentials, StaticCredentials
from image_processor.aws.key_value_store import KeyValueStore
from image_processor.domain.keys import image_id, rendition_prefix
from support.plain_http import NO_CERTIFICATES
from support.waiting import wait_for

from .stacks import Stack

Cli = Callable[..., str]
"""Runs a script of deployment/ with arguments and returns what it said."""
STACK = "pictures"
"""The stack that most tests share."""
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
"""The template's name for this machine's processor, on which functions run here."""
MAPPINGS = {"ProcessMapping": "IngestQueue", "InvalidateMapping": "InvalidationQueue"}
"""Event source mappings and the queues that they read, by their names in the template."""
VISIBILITY = 2
"""Seconds until a failed message comes again. The template's twelve minutes are for a linter to
judge; nobody waits for them here."""


# Greater than those of s3_events.py.
_sequencers = itertools.count(1 << 64)


class Deployed:
    """A stack of deployment/template.yaml."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.outputs = stack, stack.outputs
        self.uploads, self.processed = stack.outputs["UploadBucketName"], stack.outputs["ProcessedBucketName"]
        client = stack.aws.client
        self.s3, self.sqs, self.dynamodb = client("s3"), client("sqs"), client("dynamodb")
        self.functions, self.logs = client("lambda"), client("logs")
        ids = stack.resources
        # An update that removes a mapping leaves it in LocalStack's list, without its queue.
        self.queues = {mapping: ids[queue] for mapping, queue in MAPPINGS.items() if queue in ids}
        for url in self.queues.values():
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY)})

    def edge_store(self) -> KeyValueStore:
        """What the CloudFront function may read."""
        owner = StaticCredentials(Credentials("test", "test"))
        return KeyValueStore(
            self.outputs["EdgeStoreArn"], endpoint=self.stack.aws.endpoint, credentials=owner
        )

    # ------------------------------------------------------------------ the distribution's invalidations
    def invalidations(self) -> list[list[str]]:
        """The paths of each."""
        found: list[list[str]] = httpx.get(self._invalidations(), timeout=60, verify=NO_CERTIFICATES).json()
        return found

    def complete_invalidations(self) -> None:
        httpx.delete(self._invalidations(), timeout=60, verify=NO_CERTIFICATES).raise_for_status()

    def invalidate(self, paths: list[str]) -> None:
        """As the account's owner, past the functions."""
        batch = {"CallerReference": str(uuid.uuid4()), "Paths": {"Quantity": len(paths), "Items": paths}}
        self.stack.aws.client("cloudfront").create_invalidation(
            DistributionId=self.stack.resources["Distribution"], InvalidationBatch=batch
        )

    def _invalidations(self) -> str:
        path = f"/2020-05-31/distribution/{self.stack.resources['Distribution']}/invalidation"
        return self.stack.aws.endpoint + path

    # ------------------------------------------------------------------ the two buckets and the table
    def upload(self, body: bytes, key: str | None = None) -> str:
        key = key or f"{uuid.uuid4()}.png"
        self.s3.put_object(Bucket=self.uploads, Key=key, Body=body)
        return key

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.uploads, Key=key)

    def renditions(self, key: str) -> list[str]:
        """The keys of all renditions of an original, records left out."""
        found = self.s3.list_objects_v2(Bucket=self.processed, Prefix=rendition_prefix(key))
        return [each["Key"] for each in found.get("Contents", ())]

    def everything_processed(self) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.processed)
        return [each["Key"] for each in found.get("Contents", ())]

    def rendition(self, key: str) -> Any:
        """The answer to GetObject, with the body's bytes."""
        answer = self.s3.get_object(Bucket=self.processed, Key=key)
        return {**answer, "Body": answer["Body"].read()}

    def record(self, key: str) -> dict[str, Any] | None:
        """The table's row of an original, with its values as plain ones."""
        row = self.dynamodb.get_item(
            TableName=self.outputs["TableName"], Key={"id": {"S": image_id(self.uploads, key)}}
        ).get("Item")
        return {name: next(iter(value.values())) for name, value in row.items()} if row else None

    def has_status(self, key: str, status: str) -> bool:
        return (self.record(key) or {}).get("status") == status

    def wait_until_processed(self, key: str) -> dict[str, Any]:
        wait_for(lambda: self.has_status(key, "processed"), f"the renditions of {key}")
        record = self.record(key)
        assert record is not None
        return record

    # ------------------------------------------------------------------ the queues
    def dead_letters(self, seconds: int = 20) -> list[Any]:
        """What lies in the dead-letter queue, waiting for the first; it stays there no longer."""
        queue = self.outputs["DeadLetterQueueUrl"]
        found = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=seconds).get(
            "Messages", []
        )
        for message in found:
            self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    def send(self, body: Any, mapping: str = "ProcessMapping") -> None:
        """Put a message into the queue that `process`, or another mapping's function, reads."""
        self.sqs.send_message(QueueUrl=self.queues[mapping], MessageBody=json.dumps(body))

    def backlog(self, mapping: str = "ProcessMapping") -> int:
        """Messages that wait or are in work."""
        counted = self.sqs.get_queue_attributes(
            QueueUrl=self.queues[mapping],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(map(int, counted.values()))

    def wait_until_idle(self) -> None:
        wait_for(lambda: not any(map(self.backlog, self.queues)), "the end of the queues' work")

    def listen(self, mapping: str = "ProcessMapping", *, enabled: bool) -> None:
        """Switch the reading of a queue on or off. Raises ClientError if the role may not read."""
        named, state = {"UUID": self.stack.resources[mapping]}, ("Disabled", "Enabled")[enabled]

        def switched() -> bool:
            described = self.functions.get_event_source_mapping(**named)
            return bool(described["State"] == state)

        if not switched():
            self.functions.update_event_source_mapping(**named, Enabled=enabled)
            wait_for(switched, f"the mapping to be {state}")

    @contextmanager
    def without_notifications(self) -> Iterator[None]:
        """For a while, uploads are told to nobody."""
        described = self.s3.get_bucket_notification_configuration(Bucket=self.uploads)
        before = {name: value for name, value in described.items() if name != "ResponseMetadata"}
        put = self.s3.put_bucket_notification_configuration
        put(Bucket=self.uploads, NotificationConfiguration={})
        try:
            yield
        finally:
            put(Bucket=self.uploads, NotificationConfiguration=before)

    # ------------------------------------------------------------------ the functions
    def invoke(self, function: str, event: Any) -> Any:
        """The answer of `process`, `api` or `deliver`. Raises RuntimeError with the function's error."""
        return _answer(
            self.functions.invoke(
                FunctionName=f"{self.stack.name}-{function}",
                Qualifier="live",
                Payload=json.dumps(event).encode(),
            )
        )

    def event(self, key: str, event: str = "ObjectCreated:Put", bucket: str | None = None) -> dict[str, Any]:
        """S3's record of what happened to a key."""
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": event,
            "s3": {
                "bucket": {"name": bucket or self.uploads},
                "object": {"key": quote_plus(key), "sequencer": f"{next(_sequencers):X}"},
            },
        }

    def tell(self, key: str, event: str = "ObjectCreated:Put") -> Any:
        """Hand a key's event to `process` as one message, past the queue. Returns its answer."""
        body = json.dumps({"Records": [self.event(key, event)]})
        message = {"messageId": "m", "eventSource": "aws:sqs", "body": body}
        return self.invoke("process", {"Records": [message]})

    def tick(self, schedule: str = "ReconcileStart") -> Any:
        """What EventBridge Scheduler does when a schedule is due: it assumes the schedule's role and invokes
        its target. Returns the function's answer, which AWS would drop."""
        name = self.stack.resources[schedule].rpartition("|")[2]
        target = self.stack.aws.client("scheduler").get_schedule(Name=name)["Target"]
        functions = self.stack.aws.client("lambda", self.session(target["RoleArn"]))
        return _answer(functions.invoke(FunctionName=target["Arn"], Payload=target["Input"].encode()))

    def reconcile(self) -> dict[str, Any]:
        """A whole run of the schedule, from its first tick on. Returns the last answer."""
        self.s3.delete_object(Bucket=self.processed, Key=".image-processor/reconcile.json")
        answer: dict[str, Any] = self.tick()
        while answer["status"] != "finished":
            self.wait_until_idle()
            answer = self.tick("ReconcileContinue")
        return answer

    def session(self, role_arn: str) -> Any:
        """The credentials of a session of the role."""
        sts = self.stack.aws.client("sts")
        return sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]

    def role(self, name: str) -> str:
        """The role of `Process`, `Api` or `Deliver`."""
        return self.stack.resources[f"{name}Role"]

    def log_lines(self, function: str) -> list[Any]:
        """What the function has printed, each line as the JSON that it is."""
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.stack.name}-{function}"
        )
        return [json.loads(event["message"]) for page in pages for event in page["events"]]

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request through API Gateway."""
        base = f"{self.stack.aws.endpoint}/_aws/execute-api/{self.stack.resources['Api']}/v1"
        return httpx.request(method, base + path, timeout=60, verify=NO_CERTIFICATES, **more)

    def deliver(self, path: str, method: str = "GET") -> httpx.Response:
        """A request to the function URL, as CloudFront makes it."""
        listed = self.functions.list_function_url_configs(FunctionName=f"{self.stack.name}-deliver")
        (configured,) = listed["FunctionUrlConfigs"]
        host = urlsplit(configured["FunctionUrl"]).netloc
        return httpx.request(
            method, self.stack.aws.endpoint + path, headers={"host": host}, timeout=60, verify=NO_CERTIFICATES
        )


def _answer(invoked: Any) -> Any:
    """The function's answer. Raises RuntimeError with its error."""
    value = json.load(invoked["Payload"])
    if "FunctionError" in invoked:
        raise RuntimeError(value)
    return value
