"""`dead-letters` as an operator meets it, against emulated SQS and S3."""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote_plus

import pytest
from pictures_for_cli import RECIPE
from PIL import Image

from image_processor.aws import client as client_module
from image_processor.aws import queue as queue_module
from image_processor.aws.client import Client
from image_processor.aws.endpoints import parse_endpoint
from image_processor.aws.json_protocol import json_request, parse_response
from image_processor.aws.queue import Queue
from image_processor.aws.signature import Scope
from image_processor.bootstrap.aws import open_aws_context
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


class Post:
    """Two fresh queues, and what lies in them."""

    def __init__(self):
        self._client = Client(parse_endpoint(aws.address()), Scope(aws.REGION, "sqs"), aws.credentials)
        self.dead, self.live = self.new(), self.new()

    def ask(self, operation, **arguments):
        answer = self._client.send(json_request(f"AmazonSQS.{operation}", arguments))
        assert answer.status == 200, answer.body
        return parse_response(answer)

    def new(self):
        return self.ask("CreateQueue", QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]

    def write(self, *bodies, **more):
        return [
            self.ask("SendMessage", QueueUrl=self.dead, MessageBody=one, **more)["MessageId"]
            for one in bodies
        ]

    def lying(self, url):
        """The bodies of all messages that anybody could receive now."""
        queue = Queue(url, credentials=aws.credentials)
        letters = queue.collect(60)
        queue.give_back(letters)
        return sorted(letter.body for letter in letters)


@pytest.fixture
def post(run, monkeypatch):  # noqa: ARG001 - it empties the environment first
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.address())
    monkeypatch.setenv("AWS_REGION", aws.REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(queue_module, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0)
    post = Post()
    monkeypatch.setenv("IMAGE_PROCESSOR_DEAD_LETTERS", post.dead)
    monkeypatch.setenv("IMAGE_PROCESSOR_QUEUE", post.live)
    return post


def listed(run, *arguments):
    status, out, err = run("dead-letters", "list", "--json", *arguments)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_each_letter_is_listed_once_and_may_be_looked_at_again_at_once(run, post):
    ids = post.write(*(notification(f"{number}.jpg", version=f"v{number}") for number in range(25)))
    for _ in range(2):
        found = listed(run)
        assert {one["id"] for one in found} == set(ids)
        assert len(found) == 25
    assert [
        (one["key"], one["version"]) for case in found for one in case["uploads"] if one["key"] == "7.jpg"
    ] == [("7.jpg", "v7")]
    assert {case["receives"] for case in found} == {2}
    assert {case["reason"] for case in found} == {"unknown"}
    assert all(case["sent_at"].startswith("20") for case in found)


def test_malformed_letters_are_told_with_the_parsers_reason_and_steer_no_terminal(run, post):
    post.write("no json \x1bc\u202e", "[]", "{}", json.dumps({"Event": "s3:TestEvent"}), "[" * 100_000)
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


def test_ten_records_in_one_letter_and_unicode_keys(run, post):
    keys = [f"häuser/猫 +%{number}🐈‍.jpg" for number in range(9)] + ["up\x1b[2J\n\u202e.jpg"]
    (id_,) = post.write(notification(*keys))
    (case,) = listed(run)
    assert [one["key"] for one in case["uploads"]] == keys
    status, out, _ = run("dead-letters", "list")
    assert status == 0
    assert id_[:8] in out
    assert "\x1b" not in out
    assert "\\x1b[2J\\n\\u202e.jpg" in out
    whole = json.loads(run("dead-letters", "show", id_[:8], "--json")[1])
    assert whole["body"] == notification(*keys)
    assert run("dead-letters", "redrive", id_)[:2] == (0, "1 redriven, 0 not, 0 left alone\n")
    assert post.lying(post.live) == [notification(*keys)]


@pytest.fixture
def library(post, monkeypatch, tmp_path):  # noqa: ARG001 - its environment says where S3 answers
    uploads, processed = aws.make_bucket(aws.address()), aws.make_bucket(aws.address())
    monkeypatch.setenv("IMAGE_PROCESSOR_UPLOAD_BUCKET", uploads)
    monkeypatch.setenv("IMAGE_PROCESSOR_PROCESSED_BUCKET", processed)
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


def test_the_reason_is_what_another_try_would_meet(run, post, library):
    bucket = library.bucket
    post.write(
        *(notification(key, bucket=bucket) for key in ("done.png", "new.png", "bad.png", "gone.png")),
        notification("done.png", bucket="another"),
        notification("done.png", "new.png", "gone.png", bucket=bucket),
    )
    found = {
        (*(one["key"] for one in case["uploads"]), case["uploads"][0]["bucket"] == bucket): case
        for case in listed(run)
    }
    told = {place: (case["reason"], case["detail"]) for place, case in found.items()}
    assert told == {
        ("done.png", True): ("settled", None),
        ("new.png", True): ("unfinished", "missing"),
        ("bad.png", True): ("refused", told[("bad.png", True)][1]),
        ("gone.png", True): ("gone", None),
        ("done.png", False): ("foreign-bucket", f"expected {bucket}, got another"),
        ("done.png", "new.png", "gone.png", True): ("unfinished", "missing"),
    }
    assert told[("bad.png", True)][1].startswith("not-an-image: ")


def test_a_redriven_letter_is_work_as_ever_and_a_second_redrive_harmless(run, post, library):
    first = notification("done.png", "new.png", bucket=library.bucket)
    for results in (["unchanged", "processed"], ["unchanged", "unchanged"]):
        post.write(first)
        assert run("dead-letters", "redrive", "--all")[0] == 0
        queue = Queue(post.live)
        (letter,) = queue.collect(60)
        (message,) = read_messages(json.loads(letter.body))
        assert [library.process(upload).status for upload in message.uploads] == results
        queue.delete(letter)
    assert run("dead-letters", "list") == (0, "No dead letters.\n", "")


def test_only_the_named_letters_are_moved_with_their_attributes(run, post):
    extras = {"from": {"DataType": "String", "StringValue": "me"}}
    ids = post.write(notification("a.jpg"), notification("b.jpg"), MessageAttributes=extras)
    assert run("dead-letters", "redrive", ids[0], ids[0][:8]) == (0, "1 redriven, 0 not, 1 left alone\n", "")
    assert post.lying(post.dead) == [notification("b.jpg")]
    (letter,) = Queue(post.live).collect(60)
    assert letter.body == notification("a.jpg")
    assert letter.extras["from"]["StringValue"] == "me"


def test_a_dry_run_moves_nothing(run, post):
    post.write(notification("a.jpg"), "junk")
    status, out, _ = run("dead-letters", "redrive", "--all", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "2 to redrive, nothing done (--dry-run)")
    assert "a.jpg" in out
    assert len(post.lying(post.dead)) == 2
    assert post.lying(post.live) == []


def test_an_interruption_between_send_and_delete_loses_nothing(run, post, monkeypatch):
    bodies = sorted(notification(f"{number}.jpg") for number in range(3))
    post.write(*bodies)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "delete", interrupted)
        assert run("dead-letters", "redrive", "--all")[0] == 130
    assert post.lying(post.dead) == bodies
    assert len(post.lying(post.live)) == 1
    assert run("dead-letters", "redrive", "--all")[0] == 0
    assert post.lying(post.dead) == []
    assert set(post.lying(post.live)) == set(bodies)


@pytest.mark.parametrize("failing", ["send", "delete"])
def test_what_cannot_be_moved_is_told_and_stays(run, post, monkeypatch, failing):
    post.write(notification("a.jpg"), notification("b.jpg"))
    real = getattr(Queue, failing)

    def sometimes(self, letter):
        if "a.jpg" in letter.body:
            raise Unavailable("SQS cannot answer")
        real(self, letter)

    monkeypatch.setattr(Queue, failing, sometimes)
    status, out, err = run("dead-letters", "redrive", "--all")
    assert (status, out) == (3, "1 redriven, 1 not, 0 left alone\n")
    assert "SQS cannot answer" in err
    assert post.lying(post.dead) == [notification("a.jpg")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["redrive"], "expected either IDs or --all for redrive, got 'neither'"),
        (["redrive", "abc", "--all"], "expected either IDs or --all for redrive, got 'both'"),
        (["redrive", "abc"], "expected the id of a dead letter for ID, got 'abc'"),
        (["show", ""], "expected the id of a dead letter for ID, got ''"),
        (["list", "--from", "images"], "expected a queue URL for --from, got 'images'"),
        (["redrive", "--all", "--to", "x y"], "expected a queue URL for --to, got 'x y'"),
    ],
)
@pytest.mark.usefixtures("post")
def test_mistakes(run, arguments, told):
    assert run("dead-letters", *arguments) == (2, "", f"error: {told}\n")


def test_an_unknown_id_moves_none_of_the_others(run, post):
    (id_,) = post.write(notification("a.jpg"))
    assert run("dead-letters", "redrive", id_, "nobody")[0] == 2
    assert post.lying(post.dead) == [notification("a.jpg")]
    assert post.lying(post.live) == []


def test_a_queue_into_itself_and_one_that_is_not_there(run, post):
    status, _, err = run("dead-letters", "redrive", "--all", "--to", post.dead)
    assert (status, "another queue than the dead letters'" in err) == (2, True)
    status, _, err = run("dead-letters", "list", "--from", post.dead + "x")
    assert (status, err.startswith("error: there is no queue")) == (2, True)


def test_on_one_machine_it_says_where_to_look(run):
    status, out, err = run("dead-letters", "list")
    assert (status, out) == (2, "")
    assert "IMAGE_PROCESSOR_DEAD_LETTERS" in err
    assert "DeadLetterQueueUrl" in err
    assert "image-processor reconcile" in err
    assert "image-processor list --status processing" in err
