"""`dead-letters` as an operator uses it, against emulated SQS and S3.

The emulation cannot move all messages at once: tests/aws/test_redrive.py tests that, and Client stands in for
it here.
"""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote_plus

import boto3
import pytest
from pictures_for_cli import RECIPE
from PIL import Image

from image_processor.bootstrap.aws import open_aws_context
from image_processor.cli import sqs
from image_processor.cli.sqs import MoveResult, Queue
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload
from image_processor.domain.ports import Attributes
from image_processor.ingest.events import read_messages
from support import aws


def notification(*keys, bucket="ours", version=None):
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "versionId": version}},
        }
        for key in keys
    ]
    return json.dumps({"Records": records})


class Queues:
    """Two fresh queues, and the messages in them."""

    def __init__(self):
        self._client = boto3.client("sqs")
        self.dead, self.live = self.create(), self.create()

    def create(self):
        return self._client.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]

    def send(self, *bodies, **more):
        """Put messages into the dead-letter queue; gives their ids."""
        return [
            self._client.send_message(QueueUrl=self.dead, MessageBody=body, **more)["MessageId"]
            for body in bodies
        ]

    def receive(self, url):
        return self.queue(url).receive_all(60)

    def bodies(self, url):
        """The bodies of all visible messages, which stay visible."""
        messages = self.receive(url)
        self.queue(url).release(messages)
        return sorted(message.body for message in messages)

    def queue(self, url):
        return Queue(boto3.Session(), url)


@pytest.fixture
def queues(run, monkeypatch, tmp_path):  # noqa: ARG001 - it empties the environment first
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.address())
    monkeypatch.setenv("AWS_REGION", aws.REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", aws.REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(sqs, "_WAIT_SECONDS", 0)
    queues = Queues()
    monkeypatch.setenv("IMAGE_PROCESSOR_DEAD_LETTERS", queues.dead)
    monkeypatch.setenv("IMAGE_PROCESSOR_QUEUE", queues.live)
    return queues


def listed(run, *arguments):
    status, out, err = run("dead-letters", "list", "--json", *arguments)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_each_message_is_listed_once_and_is_visible_again_at_once(run, queues):
    ids = queues.send(*(notification(f"{number}.jpg", version=f"v{number}") for number in range(25)))
    for _ in range(2):
        found = listed(run)
        assert {item["id"] for item in found} == set(ids)
        assert len(found) == 25
    assert [
        (item["key"], item["version"]) for case in found for item in case["uploads"] if item["key"] == "7.jpg"
    ] == [("7.jpg", "v7")]
    assert {case["receives"] for case in found} == {2}
    assert {case["reason"] for case in found} == {"unknown"}
    assert all(case["sent_at"].startswith("20") for case in found)


def test_malformed_messages_have_the_parsers_reason_and_cannot_control_the_terminal(run, queues):
    queues.send("no json \x1bc\u202e", "[]", "{}", json.dumps({"Event": "s3:TestEvent"}), "[" * 100_000)
    cases = listed(run)
    assert [case["reason"] for case in cases] == ["malformed"] * 5
    assert "s3:TestEvent" in {case["detail"] for case in cases}
    shown = []
    for case in cases:
        status, out, _ = run("dead-letters", "show", case["id"])
        shown.append(out.splitlines()[-1])
        assert status == 0
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert out.splitlines()[1].startswith("malformed (")
    assert "no json \\x1bc\\u202e" in shown


def test_ten_records_in_one_message_and_unicode_keys(run, queues):
    keys = [f"häuser/猫 +%{number}🐈‍.jpg" for number in range(9)] + ["up\x1b[2J\n\u202e.jpg"]
    (id_,) = queues.send(notification(*keys))
    (case,) = listed(run)
    assert [item["key"] for item in case["uploads"]] == keys
    status, out, _ = run("dead-letters", "list")
    assert status == 0
    assert id_[:8] in out
    assert "\x1b" not in out
    assert "\\x1b[2J\\n\\u202e.jpg" in out
    whole = json.loads(run("dead-letters", "show", id_[:8], "--json")[1])
    assert whole["body"] == notification(*keys)
    assert run("dead-letters", "redrive", id_)[:2] == (0, "1 redriven, 0 not, 0 left alone\n")
    assert queues.bodies(queues.live) == [notification(*keys)]


@pytest.fixture
def library(queues, monkeypatch, tmp_path):  # noqa: ARG001 - its environment says where S3 answers
    uploads, processed = aws.make_bucket(aws.address()), aws.make_bucket(aws.address())
    monkeypatch.setenv("IMAGE_PROCESSOR_UPLOAD_BUCKET", uploads)
    monkeypatch.setenv("IMAGE_PROCESSOR_PROCESSED_BUCKET", processed)
    monkeypatch.setenv("IMAGE_PROCESSOR_TABLE", "objects://")
    (tmp_path / "r.toml").write_text(RECIPE)
    monkeypatch.setenv("IMAGE_PROCESSOR_RECIPE", str(tmp_path / "r.toml"))
    cloud = open_aws_context()
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.png")
    body = (tmp_path / "a.png").read_bytes()
    for key, content in (("done.png", body), ("new.png", body), ("bad.png", b"hello")):
        cloud.uploads.put(key, content, Attributes())
    for key in ("done.png", "bad.png"):
        cloud.process(Upload(uploads, key))
    return cloud


def test_the_reason_is_derived_from_the_current_state(run, queues, library):
    bucket = library.bucket
    queues.send(
        *(notification(key, bucket=bucket) for key in ("done.png", "new.png", "bad.png", "gone.png")),
        notification("done.png", bucket="another"),
        notification("done.png", "new.png", "gone.png", bucket=bucket),
    )
    found = {
        (*(item["key"] for item in case["uploads"]), case["uploads"][0]["bucket"] == bucket): case
        for case in listed(run)
    }
    reasons = {place: (case["reason"], case["detail"]) for place, case in found.items()}
    assert reasons == {
        ("done.png", True): ("settled", None),
        ("new.png", True): ("unfinished", "missing"),
        ("bad.png", True): ("refused", reasons[("bad.png", True)][1]),
        ("gone.png", True): ("gone", None),
        ("done.png", False): ("foreign-bucket", f"expected {bucket}, got another"),
        ("done.png", "new.png", "gone.png", True): ("unfinished", "missing"),
    }
    assert reasons[("bad.png", True)][1].startswith("not-an-image: ")


def test_a_redriven_message_is_processed_and_a_second_redrive_is_harmless(run, queues, library):
    first = notification("done.png", "new.png", bucket=library.bucket)
    for statuses in (["unchanged", "processed"], ["unchanged", "unchanged"]):
        assert run("dead-letters", "redrive", *queues.send(first))[0] == 0
        (received,) = queues.receive(queues.live)
        (message,) = read_messages(json.loads(received.body))
        assert [library.process(upload).status for upload in message.uploads] == statuses
        queues.queue(queues.live).delete(received)
    assert run("dead-letters", "list") == (0, "No dead letters.\n", "")


def test_only_the_named_messages_are_moved_with_their_attributes(run, queues):
    extras = {"from": {"DataType": "String", "StringValue": "me"}}
    ids = queues.send(notification("a.jpg"), notification("b.jpg"), MessageAttributes=extras)
    assert run("dead-letters", "redrive", ids[0], ids[0][:8]) == (0, "1 redriven, 0 not, 1 left alone\n", "")
    assert queues.bodies(queues.dead) == [notification("b.jpg")]
    (message,) = queues.receive(queues.live)
    assert message.body == notification("a.jpg")
    assert message.message_attributes["from"]["StringValue"] == "me"


def test_a_dry_run_moves_nothing(run, queues):
    queues.send(notification("a.jpg"), "junk")
    status, out, _ = run("dead-letters", "redrive", "--all", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "2 to redrive, nothing done (--dry-run)")
    assert "a.jpg" in out
    assert len(queues.bodies(queues.dead)) == 2
    assert queues.bodies(queues.live) == []


def test_an_interruption_between_send_and_delete_loses_nothing(run, queues, monkeypatch):
    bodies = sorted(notification(f"{number}.jpg") for number in range(3))
    ids = queues.send(*bodies)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "delete", interrupted)
        assert run("dead-letters", "redrive", *ids)[0] == 130
    assert queues.bodies(queues.dead) == bodies
    assert len(queues.bodies(queues.live)) == 1
    assert run("dead-letters", "redrive", *ids)[0] == 0
    assert queues.bodies(queues.dead) == []
    assert set(queues.bodies(queues.live)) == set(bodies)


@pytest.mark.parametrize("failing", ["send", "delete"])
def test_a_message_that_cannot_be_moved_is_reported_and_stays(run, queues, monkeypatch, failing):
    ids = queues.send(notification("a.jpg"), notification("b.jpg"))
    real = getattr(Queue, failing)

    def sometimes(self, message):
        if "a.jpg" in message.body:
            raise Unavailable("SQS cannot answer")
        real(self, message)

    monkeypatch.setattr(Queue, failing, sometimes)
    status, out, err = run("dead-letters", "redrive", *ids)
    assert (status, out) == (3, "1 redriven, 1 not, 0 left alone\n")
    assert "SQS cannot answer" in err
    assert queues.bodies(queues.dead) == [notification("a.jpg")]


@pytest.mark.parametrize(
    ("arguments", "reasons"),
    [
        (["redrive"], "expected either IDs or --all for redrive, got 'neither'"),
        (["redrive", "abc", "--all"], "expected either IDs or --all for redrive, got 'both'"),
        (["redrive", "abc"], "expected the id of a dead letter for ID, got 'abc'"),
        (["show", ""], "expected the id of a dead letter for ID, got ''"),
        (["list", "--from", "images"], "expected a queue URL for --from, got 'images'"),
        (["redrive", "--all", "--to", "x y"], "expected a queue URL for --to, got 'x y'"),
    ],
)
@pytest.mark.usefixtures("queues")
def test_invalid_commands(run, arguments, reasons):
    assert run("dead-letters", *arguments) == (2, "", f"error: {reasons}\n")


def test_an_unknown_id_moves_none_of_the_others(run, queues):
    (id_,) = queues.send(notification("a.jpg"))
    assert run("dead-letters", "redrive", id_, "nobody")[0] == 2
    assert queues.bodies(queues.dead) == [notification("a.jpg")]
    assert queues.bodies(queues.live) == []


def test_equal_queues_and_a_missing_queue_are_errors(run, queues):
    status, _, err = run("dead-letters", "redrive", "--all", "--to", queues.dead)
    assert (status, "another queue than the dead letters'" in err) == (2, True)
    status, _, err = run("dead-letters", "list", "--from", queues.dead + "x")
    assert (status, err.startswith("error: there is no queue")) == (2, True)


def test_on_one_machine_the_error_names_the_alternatives(run):
    status, out, err = run("dead-letters", "list")
    assert (status, out) == (2, "")
    assert "IMAGE_PROCESSOR_DEAD_LETTERS" in err
    assert "DeadLetterQueueUrl" in err
    assert "image-processor reconcile" in err
    assert "image-processor list --status processing" in err


class Client:
    """A boto3 client whose move of all messages passes through ``states``."""

    def __init__(self, *states):
        self._states = list(states)
        self.cancelled = []

    def get_queue_attributes(self, QueueUrl, **_):  # noqa: N803 - boto3's name
        return {"Attributes": {"QueueArn": f"arn:{QueueUrl}"}}

    def start_message_move_task(self, SourceArn, DestinationArn):  # noqa: N803 - boto3's names
        assert (SourceArn, DestinationArn) == ("arn:dead", "arn:live")
        return {"TaskHandle": "task"}

    def list_message_move_tasks(self, **_):
        return {"Results": [self._states.pop(0)]}

    def cancel_message_move_task(self, TaskHandle):  # noqa: N803 - boto3's name
        self.cancelled.append(TaskHandle)
        return {}

    class exceptions:  # noqa: N801 - boto3's name
        class QueueDoesNotExist(Exception):
            pass


def queue(url, client):
    result = object.__new__(Queue)
    result._url, result._client = url, client
    return result


@pytest.mark.parametrize(
    ("states", "result"),
    [
        (
            [
                {"Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 1},
                {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 3},
            ],
            MoveResult(3, 0),
        ),
        (
            [
                {
                    "Status": "FAILED",
                    "FailureReason": "CouldNotDetermineMessageSource",
                    "ApproximateNumberOfMessagesMoved": 1,
                    "ApproximateNumberOfMessagesToMove": 4,
                }
            ],
            MoveResult(1, 3, "CouldNotDetermineMessageSource"),
        ),
        ([{"Status": "CANCELLED"}], MoveResult(0, 0, "CANCELLED")),
    ],
)
def test_a_move_of_all_messages_is_waited_for(states, result):
    client = Client(*states)
    assert queue("dead", client).move_all(queue("live", client), pause=lambda _: None) == result
    assert client.cancelled == []


def test_an_interrupted_move_of_all_messages_is_cancelled():
    client = Client({"Status": "RUNNING"})

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue("dead", client).move_all(queue("live", client), pause=interrupt)
    assert client.cancelled == ["task"]


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [
        (MoveResult(3, 0), 0, "3 redriven, 0 not, 0 left alone\n"),
        (MoveResult(1, 2, "it failed"), 3, "1 redriven, 2 not, 0 left alone\n"),
    ],
)
def test_redrive_all_reports_how_the_move_ended(run, monkeypatch, result, status, expected):
    monkeypatch.setattr(Queue, "move_all", lambda *_: result)
    ended, out, err = run("dead-letters", "redrive", "--all")
    assert (ended, out) == (status, expected)
    assert err == (f"not done: {result.failure}\n" if result.failure else "")
