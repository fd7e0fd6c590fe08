"""The function `process` over fakes: responses to each source, partial batches, logs and metrics."""

from __future__ import annotations

import json

import pytest

from image_processor.aws_lambda.process_function import IsolatedProcessing, RetryLater, handle
from image_processor.domain.errors import ImageProcessorError, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import MessageKind
from image_processor.ingest.outbox import Outbox
from support.ingest import IngestFixture

PLENTY = 60_000


def s3(*keys, bucket="uploads", name="ObjectCreated:Put"):
    return {
        "Records": [
            {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}} for key in keys
        ]
    }


def sqs(*contents):
    records = [
        {"eventSource": "aws:sqs", "messageId": f"m{number}", "body": json.dumps(content)}
        for number, content in enumerate(contents)
    ]
    return {"Records": records}


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    for key, body in {"a.jpg": b"a", "b.jpg": b"b", "bad.jpg": b"bad"}.items():
        ingest.put(key, body)
    return ingest


def run(ingest, event, process=None, remaining=lambda: PLENTY):
    return handle(event, process or ingest.processor().process, "uploads", remaining)


def logged(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def failing(ingest, *keys, error=Unavailable):
    """A process that fails for these keys, and records its calls."""
    calls = []

    def process(upload):
        calls.append(upload.key)
        if upload.key in keys:
            raise error("not now")
        return ingest.processor().process(upload)

    process.calls = calls
    return process


def test_a_notification_is_processed(ingest):
    assert run(ingest, s3("a.jpg", "b.jpg")) == {"results": ["processed", "processed"]}
    assert set(ingest.processed.bodies()) == {key for key in ingest.expected() if not key.startswith("bad")}


def test_one_bad_message_never_fails_its_batch(ingest):
    process = failing(ingest, "a.jpg")
    response = run(ingest, sqs(s3("a.jpg"), s3("b.jpg"), s3("bad.jpg"), s3("gone.jpg")), process)
    assert response == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert process.calls == ["a.jpg", "b.jpg", "bad.jpg", "gone.jpg"]
    assert ingest.record("b.jpg").status == "processed"
    assert ingest.record("bad.jpg").status == "refused"


def test_a_message_is_received_again_if_one_of_its_records_must_be(ingest):
    process = failing(ingest, "a.jpg")
    response = run(ingest, sqs(s3("a.jpg", "b.jpg")), process)
    assert response == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert process.calls == ["a.jpg", "b.jpg"]


def test_permanent_errors_are_not_retried(ingest):
    process = failing(ingest, "a.jpg", error=ImageProcessorError)
    assert run(ingest, sqs(s3("a.jpg")), process) == {"batchItemFailures": []}


def test_an_unexpected_error_is_retried_and_so_becomes_a_dead_letter(ingest, capsys):
    process = failing(ingest, "a.jpg", error=ZeroDivisionError)
    assert run(ingest, sqs(s3("a.jpg")), process) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert [line["message"] for line in logged(capsys) if "message" in line] == ["bug"]


def test_a_source_without_partial_results_gets_the_error(ingest):
    with pytest.raises(RetryLater, match="not now"):
        run(ingest, s3("a.jpg"), failing(ingest, "a.jpg"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"Event": "s3:TestEvent"}, "s3:TestEvent"),
        ({"hello": "world"}, "expected a notification, got an object of another kind"),
        (s3("a.jpg", bucket="other"), "expected bucket uploads, got other"),
        (s3("../a.jpg"), "expected a key inside the bucket's root for key, got '../a.jpg'"),
    ],
)
def test_foreign_messages_are_logged_with_a_reason_and_done(ingest, capsys, content, reason):
    assert run(ingest, sqs(content)) == {"batchItemFailures": []}
    assert run(ingest, content) == {"results": []}
    assert {line["reason"] for line in logged(capsys) if line.get("message") == "ignored"} == {reason}
    assert ingest.processed.bodies() == {}


def test_a_deleted_original_is_done(ingest):
    assert run(ingest, sqs(s3("gone.jpg"))) == {"batchItemFailures": []}
    assert ingest.record("gone.jpg") is None


def test_our_own_output_as_an_event_is_ignored(ingest):
    run(ingest, s3("a.jpg"))
    before = ingest.processed.bodies()
    run(ingest, s3(*before, bucket="processed"))
    assert ingest.processed.bodies() == before


def test_an_upload_without_enough_time_returns_to_the_queue(ingest):
    left = iter([PLENTY, 100])
    response = run(ingest, sqs(s3("a.jpg"), s3("b.jpg")), remaining=lambda: next(left))
    assert response == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert ingest.record("b.jpg") is None


def test_batch_operations_get_one_result_per_task(ingest):
    keys = ["a.jpg", "b.jpg", "gone.jpg", "../x"]
    tasks = [{"taskId": key, "s3Key": key, "s3BucketArn": "arn:aws:s3:::uploads"} for key in keys]
    tasks.append({"taskId": "foreign", "s3Key": "a.jpg", "s3BucketArn": "arn:aws:s3:::other"})
    event = {"invocationSchemaVersion": "1.0", "invocationId": "i", "job": {"id": "j"}, "tasks": tasks}
    response = run(ingest, event, failing(ingest, "b.jpg"))
    assert (response["invocationId"], response["invocationSchemaVersion"]) == ("i", "1.0")
    assert {result["taskId"]: result["resultCode"] for result in response["results"]} == {
        "a.jpg": "Succeeded",
        "b.jpg": "TemporaryFailure",
        "gone.jpg": "Succeeded",
        "../x": "PermanentFailure",
        "foreign": "PermanentFailure",
    }


def test_outcomes_and_metrics_are_lines_of_json(ingest, capsys):
    run(ingest, sqs(s3("a.jpg"), s3("bad.jpg"), s3("b.jpg")), failing(ingest, "b.jpg"))
    lines = logged(capsys)
    outcome = next(line for line in lines if line.get("key") == "a.jpg")
    assert (outcome["level"], outcome["message"], outcome["renditions"]) == ("INFO", "processed", 4)
    refused = next(line for line in lines if line.get("key") == "bad.jpg")
    assert (refused["message"], refused["reason"]) == ("refused", "not-an-image")
    retried = next(line for line in lines if line.get("key") == "b.jpg")
    assert (retried["level"], retried["message"], retried["retry"]) == ("WARN", "unavailable", True)
    (embedded,) = [line for line in lines if "_aws" in line]
    assert (embedded["Processed"], embedded["Refused"], embedded["Retried"]) == (1, 1, 1)
    (directive,) = embedded["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(embedded)
    assert directive["Dimensions"] == [["Function"]]


def test_metrics_of_two_stacks_do_not_mix(ingest, capsys, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "my-stack-process")
    run(ingest, sqs(s3("a.jpg")))
    (embedded,) = [line for line in logged(capsys) if "_aws" in line]
    assert embedded["Function"] == "my-stack-process"


def test_a_line_break_in_a_key_is_no_second_log_line(ingest, capsys):
    ingest.put('a\n{"level": "INFO"}.jpg', b"x")
    run(ingest, s3("a%0A%7B%22level%22%3A+%22INFO%22%7D.jpg"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["key"] == 'a\n{"level": "INFO"}.jpg'
    assert any(
        key.startswith(rendition_prefix('a\n{"level": "INFO"}.jpg')) for key in ingest.processed.bodies()
    )


def received(event, *receives):
    """The SQS event with these receive counts."""
    for record, count in zip(event["Records"], receives, strict=True):
        record["attributes"] = {"ApproximateReceiveCount": str(count)}
    return event


class IsolatedProcess:
    """Records what was processed in isolation, and within how many seconds."""

    def __init__(self, ingest):
        self.ingest, self.seen = ingest, []

    def __call__(self, upload, seconds):
        self.seen.append((upload.key, seconds))
        return self.ingest.processor().process(upload)


def test_a_repeated_message_is_processed_in_isolation_and_in_time(ingest):
    isolated = IsolatedProcess(ingest)
    event = received(sqs(s3("a.jpg"), s3("b.jpg")), 1, 2)
    process = failing(ingest)
    assert handle(event, process, "uploads", lambda: PLENTY, IsolatedProcessing(isolated, 30_000)) == {
        "batchItemFailures": []
    }
    assert process.calls == ["a.jpg"]
    assert isolated.seen == [("b.jpg", 55.0)]
    assert ingest.record("b.jpg").status == "processed"


@pytest.mark.parametrize(("at_first", "left", "begun"), [(60, 60, True), (100, 51, True), (100, 49, False)])
def test_a_repeated_message_needs_its_time_or_half_of_all_time(ingest, at_first, left, begun):
    isolated, times = IsolatedProcess(ingest), iter([at_first, left, left])
    event = received(sqs(s3("a.jpg")), 2)
    response = handle(
        event, failing(ingest), "uploads", lambda: 1000 * next(times), IsolatedProcessing(isolated, 65_000)
    )
    assert [key for key, _ in isolated.seen] == ["a.jpg"] * begun
    assert response == {"batchItemFailures": [{"itemIdentifier": "m0"}] * (not begun)}


def test_messages_that_cannot_be_sent_are_retried_but_never_make_a_dead_letter(ingest, capsys):
    def down(_messages):
        raise Unavailable("the queue does not answer")

    ingest.outbox = Outbox(frozenset({MessageKind.EVENT}), {MessageKind.EVENT: down})
    event = sqs(s3("a.jpg"))
    for receives, failures in ((1, ["m0"]), (2, ["m0"]), (3, []), (9, [])):
        answer = run(ingest, received(event, receives))
        assert [item["itemIdentifier"] for item in answer["batchItemFailures"]] == failures
        lines = logged(capsys)
        reported = next(line for line in lines if line.get("message") == "unsent")
        assert (reported["level"], reported["key"], reported["retry"]) == ("ERROR", "a.jpg", bool(failures))
    assert ingest.record("a.jpg").revision == 1
