"""`reconcile` on AWS: settings from the stack, findings into the queue, and a run that continues.

Buckets are in memory, the queue is emulated, and Lambda answers by a script.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from image_processor.bootstrap import aws as bootstrap_aws
from image_processor.cli import enqueueing
from image_processor.cli.enqueueing import RateLimit
from image_processor.domain.ports import Attributes
from image_processor.ingest import reconcile
from image_processor.ingest.events import read_messages
from support import aws
from support.memory_store import MemoryStore
from support.scripted_http import Reply, scripted

RECIPE = '[presets.a]\nwidth = 5\n[[rules]]\nmatch = "*.jpg"\npresets = ["a"]\n'
KEYS = [f"{number:02}.jpg" for number in range(12)]


class Stack:
    """What a stack is to the commands: two buckets, a queue, and a function with settings and a package."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uploads, self.processed = MemoryStore(), MemoryStore()
        stores = {"s3://my-uploads": self.uploads, "s3://my-renditions": self.processed}
        monkeypatch.setattr(bootstrap_aws, "store_from_url", lambda url, **_: stores[url])
        self._sqs = boto3.client("sqs", region_name=aws.REGION, endpoint_url=aws.address())
        self.queue = self._sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
        self.variables = {
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": "my-uploads",
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": "my-renditions",
            "IMAGE_PROCESSOR_QUEUE": self.queue,
            "IMAGE_PROCESSOR_CACHE_CONTROL": "no-store",
            "MALLOC_ARENA_MAX": "2",
        }
        for key in KEYS:
            self.uploads.put(key, key.encode(), Attributes())

    def messages(self) -> list[tuple[str, str]]:
        """Bucket and key of every message, which is removed."""
        uploads = []
        for body in self._take():
            event = {"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": body}]}
            uploads += [upload for item in read_messages(event) for upload in item.uploads]
        return sorted((upload.bucket, upload.key) for upload in uploads)

    def bodies(self) -> list[Any]:
        """The JSON of every message, which is removed."""
        return [json.loads(body) for body in self._take()]

    def _take(self) -> Iterator[str]:
        while found := self._sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                yield message["Body"]
                self._sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def stack(run: Any, monkeypatch: pytest.MonkeyPatch) -> Stack:
    del run  # it empties the environment first
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "none")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_REGION", aws.REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.address())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Stack(monkeypatch)


@pytest.fixture
def lambda_api(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Answers GetFunction with the stack's variables, and then the package with our recipe."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("recipe.toml", RECIPE)
    with scripted() as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", script.address)

        def answer(**configuration: str) -> None:
            environment = {"Variables": stack.variables}
            function = {
                "Configuration": {"Environment": environment, **configuration},
                "Code": {"Location": f"{script.address}/package"},
            }
            script.replies[:] = [
                Reply(200, json.dumps(function).encode()),
                Reply(200, package.getvalue()),
            ]

        answer()
        script.answer = answer
        yield script


@pytest.fixture
def environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The settings in the environment instead of the stack."""
    for name, value in (stack.variables | {"IMAGE_PROCESSOR_TABLE": "objects://"}).items():
        monkeypatch.setenv(name, value)
    return stack


def test_here_sends_the_events_and_invalidations_of_the_stack(
    run: Any, environment: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS[1:]:
        environment.uploads.delete(key)
    # Of an earlier original, which the CDN may hold. The new one is no image.
    environment.processed.put(f"{KEYS[0]}/w=9,fm=jpeg.jpg", b"old", Attributes())
    monkeypatch.setenv("IMAGE_PROCESSOR_INVALIDATION_QUEUE", environment.queue)
    monkeypatch.setenv("IMAGE_PROCESSOR_EVENT_BUS", "ours")
    accepted = Reply(200, b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}')
    with scripted(accepted) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTS", script.address)
        status, _, err = run("reconcile", "--aws", "--here")
    assert (status, err.partition(" (")[0]) == (1, f"refused: {KEYS[0]}")
    (entry,) = json.loads(script.seen[0].body)["Entries"]
    assert (entry["EventBusName"], entry["DetailType"]) == ("ours", "image.refused")
    assert environment.bodies() == [{"id": json.loads(entry["Detail"])["id"], "key": KEYS[0]}]
    assert run("reconcile", "--aws", "--here") == (0, "0 found\n", "")


def test_findings_are_enqueued_and_nothing_is_rendered(run: Any, environment: Stack) -> None:
    status, out, err = run("reconcile", "--aws")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "12 found (12 missing), 12 enqueued, 0 deleted; checked 12 originals"
    assert environment.messages() == [("my-uploads", key) for key in KEYS]
    assert environment.processed.bodies() == {}


def test_the_stack_tells_settings_and_recipe(run: Any, stack: Stack, lambda_api: Any) -> None:
    """The recipe in its package ignores all keys but one folder's."""
    stack.variables["IMAGE_PROCESSOR_RECIPE"] = "recipe.toml"
    lambda_api.answer()
    stack.uploads.put("ignored.txt", b"", Attributes())
    status, out, err = run("reconcile", "--stack", "pictures", "--json")
    assert (status, err.startswith("12 found (12 missing), 12 enqueued")) == (0, True)
    assert [json.loads(line)["key"] for line in out.splitlines()] == KEYS
    assert stack.messages() == [("my-uploads", key) for key in KEYS]
    asked = [seen.target for seen in lambda_api.seen]
    assert asked == ["/2015-03-31/functions/pictures-process?Qualifier=live", "/package"]


def test_variables_of_the_operator_do_not_change_a_stacks_settings(
    run: Any, stack: Stack, lambda_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stack, lambda_api
    monkeypatch.setenv("IMAGE_PROCESSOR_CACHE_CONTROL", "private")
    status, out, _ = run("doctor", "--stack", "pictures")
    assert status == 0
    assert "  IMAGE_PROCESSOR_CACHE_CONTROL=no-store\n" in out
    assert "  IMAGE_PROCESSOR_TABLE=objects://\n" in out


def test_a_stack_that_does_not_exist_is_named(run: Any, stack: Stack, lambda_api: Any) -> None:
    del stack
    body = json.dumps({"Message": "Function not found", "Type": "User"}).encode()
    lambda_api.replies[:] = [Reply(404, body, {"x-amzn-errortype": "ResourceNotFoundException"})]
    status, out, err = run("reconcile", "--stack", "picture")
    assert (status, out) == (2, "")
    assert err.startswith("error: expected a deployed stack for --stack, got 'picture': ")


def test_a_stack_that_may_not_be_read_is_no_empty_one(run: Any, stack: Stack, lambda_api: Any) -> None:
    del stack
    body = json.dumps({"Message": "not authorized"}).encode()
    lambda_api.replies[:] = [Reply(403, body, {"x-amzn-errortype": "AccessDeniedException"})]
    status, out, err = run("dead-letters", "list", "--stack", "pictures")
    assert (status, out, "lambda:GetFunction" in err) == (3, "", True)


def test_variables_under_a_key_that_may_not_be_used_are_no_empty_ones(
    run: Any, stack: Stack, lambda_api: Any
) -> None:
    del stack
    error = {"ErrorCode": "AccessDeniedException", "Message": "not authorized to perform kms:Decrypt"}
    function = {"Configuration": {"Environment": {"Error": error}}, "Code": {}}
    lambda_api.replies[:] = [Reply(200, json.dumps(function).encode())]
    status, out, err = run("reconcile", "--stack", "pictures")
    assert (status, out) == (3, "")
    assert "expected kms:Decrypt on the key of its functions, got AccessDeniedException" in err


def test_a_stack_of_another_version_is_named(run: Any, stack: Stack, lambda_api: Any) -> None:
    stack.variables["IMAGE_PROCESSOR_FUTURE"] = "1"
    lambda_api.answer()
    status, _, err = run("reconcile", "--stack", "pictures")
    assert (status, "IMAGE_PROCESSOR_FUTURE" in err, "this version" in err) == (2, True, True)


def test_dead_letters_of_a_stack_need_no_variables(run: Any, stack: Stack, lambda_api: Any) -> None:
    stack.variables["IMAGE_PROCESSOR_DEAD_LETTERS"] = stack.queue
    lambda_api.answer()
    boto3.client("sqs", region_name=aws.REGION, endpoint_url=aws.address()).send_message(
        QueueUrl=stack.queue, MessageBody=json.dumps({"bucket": "my-uploads", "key": KEYS[0]})
    )
    status, out, err = run("dead-letters", "list", "--stack", "pictures", "--json")
    assert (status, err) == (0, "")
    case = json.loads(out)
    assert (case["reason"], case["detail"]) == ("unfinished", "missing")


def test_a_missing_table_is_an_error_and_not_an_empty_catalog(
    run: Any, environment: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_PROCESSOR_TABLE")
    status, out, err = run("reconcile", "--aws")
    assert (status, out) == (2, "")
    assert err == (
        "error: expected a table name, or objects:// for a stack without a table for "
        "IMAGE_PROCESSOR_TABLE, got nothing\n"
    )
    assert environment.messages() == []


def test_without_a_queue_nothing_is_searched(
    run: Any, environment: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    del environment
    monkeypatch.delenv("IMAGE_PROCESSOR_QUEUE")
    status, out, err = run("reconcile", "--aws")
    assert (status, out) == (2, "")
    assert "expected a queue URL for IMAGE_PROCESSOR_QUEUE, got nothing" in err


def test_an_interrupted_run_continues(run: Any, environment: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_PAGE", 5)
    send = enqueueing._batches

    def interrupted(uploads: Any) -> Any:
        for batch in send(uploads):
            if batch[0].key == KEYS[5]:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(enqueueing, "_batches", interrupted)
        assert run("reconcile", "--aws", "--resume", "position.json")[0] == 130
    assert environment.messages() == [("my-uploads", key) for key in KEYS[:5]]
    status, out, _ = run("reconcile", "--aws", "--resume", "position.json")
    assert status == 0
    assert out.splitlines()[-1].startswith("12 found (12 missing), 12 enqueued")
    assert environment.messages() == [("my-uploads", key) for key in KEYS[5:]]
    assert not Path("position.json").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no json", "expected a checkpoint of reconcile for --resume"),
        (
            b'{"bucket": "theirs", "started_at": "2026-01-01T00:00:00Z"}',
            "expected a checkpoint of my-uploads for --resume, got 'theirs'",
        ),
    ],
)
def test_a_file_of_another_run_is_refused(
    run: Any, environment: Stack, content: bytes, expected: str
) -> None:
    Path("position.json").write_bytes(content)
    status, _, err = run("reconcile", "--aws", "--resume", "position.json")
    assert (status, expected in err) == (2, True)
    assert Path("position.json").read_bytes() == content
    assert environment.messages() == []


def test_a_resume_file_that_cannot_be_written_is_reported_first(run: Any, environment: Stack) -> None:
    status, _, err = run("reconcile", "--aws", "--resume", "missing/position.json")
    assert (status, "expected a writable file for --resume" in err) == (2, True)
    assert environment.messages() == []


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--here"], "--here"),
        (["--stack", "pictures", "--data", "data"], "--data"),
        (["--stack", "pictures", "--recipe", "r.toml"], "--recipe"),
        (["--per-second", "5"], "--per-second"),
        (["--aws", "--here", "--resume", "file"], "--resume"),
        (["--aws", "--dry-run", "--resume", "file"], "--resume"),
    ],
)
def test_options_that_do_not_go_together(run: Any, options: list[str], name: str) -> None:
    status, out, err = run("reconcile", *options)
    assert (status, out) == (2, "")
    assert f" for {name}, got " in err


def test_a_new_recipe_is_tried_on_a_stack_without_enqueueing(run: Any, stack: Stack, lambda_api: Any) -> None:
    del lambda_api
    Path("none.toml").write_text('[presets.a]\nwidth = 5\n[[rules]]\nmatch = "0*"\npresets = ["a"]\n')
    status, out, _ = run("reconcile", "--stack", "pictures", "--recipe", "none.toml", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "10 found, nothing done (--dry-run)")
    assert stack.messages() == []


def test_messages_are_spread_over_time() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    limit = RateLimit(5, lambda: now[0], sleep)
    for _ in range(4):
        limit.wait(10)
    assert now[0] == 6
    now[0] = 100
    limit.wait(10)
    assert now[0] == 100
