"""Events of all sources become uploads; other content becomes a reason, never an exception."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.models import Upload, UploadKind
from image_processor.ingest.events import Message, read_messages


def notification(key="photos/cat.jpg", name="ObjectCreated:Put", bucket="in", sequencer="0055AED6DCD90281E5"):
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": quote_plus(key, safe="/"), "size": 1, "eTag": "e", "sequencer": sequencer},
        },
    }


def sqs(*bodies):
    records = [
        {
            "messageId": f"m{number}",
            "eventSource": "aws:sqs",
            "body": body if isinstance(body, str) else json.dumps(body),
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def sns(content):
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(content)}}]}


def event_bridge(key="photos/cat.jpg", kind="Object Created"):
    detail = {"bucket": {"name": "in"}, "object": {"key": key, "sequencer": "0055AED6DCD90281E5"}}
    return {"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail}


def with_s3(**parts):
    """A notification with other parts."""
    record = notification()
    return {"Records": [{**record, "s3": {**record["s3"], **parts}}]}


CAT = Upload("in", "photos/cat.jpg", UploadKind.CREATED, None, "0055AED6DCD90281E5")
S3 = {"Records": [notification()]}


@pytest.mark.parametrize(
    ("event", "id_"),
    [
        (S3, None),
        (sns(S3), None),
        (event_bridge(), None),
        (sqs(S3), "m0"),
        (sqs(event_bridge()), "m0"),
        (sqs({"Type": "Notification", "Message": json.dumps(S3)}), "m0"),
        (sqs(sns(S3)), "m0"),
    ],
    ids=["s3", "sns", "eventbridge", "sqs-s3", "sqs-eventbridge", "sqs-sns-envelope", "sqs-sns"],
)
def test_every_source_gives_the_same_upload(event, id_):
    assert read_messages(event) == (Message(id_, (CAT,)),)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", UploadKind.CREATED),
        ("s3:ObjectCreated:Copy", UploadKind.CREATED),
        ("ObjectRestore:Completed", UploadKind.CREATED),
        ("ObjectRemoved:Delete", UploadKind.DELETED),
        ("ObjectRemoved:DeleteMarkerCreated", UploadKind.DELETED),
        ("LifecycleExpiration:Delete", UploadKind.DELETED),
        ("LifecycleExpiration:DeleteMarkerCreated", UploadKind.DELETED),
    ],
)
def test_the_event_name_determines_the_kind(name, kind):
    (message,) = read_messages({"Records": [notification(name=name)]})
    assert message.uploads[0].kind is kind


@pytest.mark.parametrize(
    "more",
    [
        {"reason": "DeleteObject", "deletion-type": "Permanently Deleted"},
        {"reason": "Lifecycle Expiration", "deletion-type": "Permanently Deleted"},
        {"reason": "Lifecycle Expiration", "deletion-type": "Delete Marker Created"},
    ],
    ids=lambda more: " ".join(more.values()),
)
def test_event_bridge_reports_a_deletion(more):
    event = event_bridge(kind="Object Deleted")
    (message,) = read_messages({**event, "detail": {**event["detail"], **more}})
    assert message.uploads[0].kind is UploadKind.DELETED


KEYS = [
    "a b.jpg",
    "a+b.jpg",
    "100%.jpg",
    "%2e%2e/x",
    "ключ/😀.jpg",
    "a//b/",
    "?&=#.jpg",
    'quo"te\\.jpg',
    "\x01.jpg",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_decoded_only_if_the_source_encodes_them(key):
    assert read_messages({"Records": [notification(key)]})[0].uploads[0].key == key
    assert read_messages(event_bridge(key))[0].uploads[0].key == key
    task = {"taskId": "t", "s3Key": quote_plus(key), "s3BucketArn": "arn:aws:s3:::in"}
    assert read_messages({"tasks": [task]})[0].uploads[0].key == key


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
def test_any_key_survives_its_encoding(key):
    uploads = read_messages({"Records": [notification(f"x/{key}")]})[0].uploads
    assert [upload.key for upload in uploads] in ([f"x/{key}"], [])
    assert uploads or ".." in key


def test_each_message_of_a_batch_is_read_on_its_own():
    event = sqs(S3, "no json", {"Records": [notification("a"), notification("b", bucket="other")]})
    first, broken, third = read_messages(event)
    assert (first.id, first.uploads) == ("m0", (CAT,))
    assert (broken.id, broken.uploads) == ("m1", ())
    assert broken.ignored == ("expected a notification, got NoneType",)
    assert [(upload.bucket, upload.key) for upload in third.uploads] == [("in", "a"), ("other", "b")]


def test_a_batch_operations_task_becomes_a_reconcile_upload():
    event = {
        "invocationId": "i",
        "job": {"id": "j"},
        "tasks": [{"taskId": "t", "s3Key": "a", "s3Bucket": "in"}],
    }
    assert read_messages(event) == (Message("t", (Upload("in", "a", UploadKind.RECONCILE),)),)


def test_a_direct_call_names_bucket_and_key():
    assert read_messages({"bucket": "in", "key": "a+b"})[0].uploads == (
        Upload("in", "a+b", UploadKind.RECONCILE),
    )
    again = {"bucket": "in", "key": "a", "reprocess": True}
    assert read_messages(again)[0].uploads == (Upload("in", "a", UploadKind.REPROCESS),)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in"}, "s3:TestEvent"),
        (
            {"Records": [notification(name="ObjectTagging:Put")]},
            "an event that changes no image: ObjectTagging:Put",
        ),
        (
            {"Records": [notification(name="ObjectRestore:Post")]},
            "an event that changes no image: ObjectRestore:Post",
        ),
        ({"Records": [notification(name="a\nb")]}, r"an event that changes no image: 'a\nb'"),
        (event_bridge(kind="a\ud800"), r"an event that changes no image: 'a\ud800'"),
        (event_bridge(kind="Object Tags Added"), "an event that changes no image: Object Tags Added"),
        (
            {"Records": [notification("../up.jpg")]},
            "expected a key inside the bucket's root for key, got '../up.jpg'",
        ),
        ({"Records": [{"eventSource": "aws:kinesis"}]}, "expected a record of S3, SNS or SQS, got another"),
        ({"Records": [5]}, "expected a record, got int"),
        ({"Records": [{"s3": {}}]}, "an event that changes no image: "),
        ({"bucket": "in", "key": 5}, "expected the names of a bucket and a key"),
        (with_s3(object={"key": 5}), "expected the names of a bucket and a key"),
        (with_s3(object={"key": "%FF"}), "expected valid Unicode for key, got '\\udcff'"),
        (with_s3(bucket="in"), "expected a bucket and an object in the record"),
        (with_s3(object=None), "expected a bucket and an object in the record"),
        ({"hello": "world"}, "expected a notification, got an object of another kind"),
        ([], "expected a notification, got list"),
    ],
)
def test_content_without_an_upload_has_a_reason(content, reason):
    for event, id_ in ((content, None), (sqs(content), "m0")):
        assert read_messages(event) == (Message(id_, (), (reason,)),)


def test_deeply_nested_messages_are_ignored():
    content = S3
    for _ in range(10):
        content = sns(content)
    assert read_messages(content)[0].uploads == ()
    deep = "[" * 100_000
    assert read_messages(sqs(deep))[0].uploads == ()


@pytest.mark.parametrize("sequencer", ["xyz", "1" * 33, 5, None, ""])
def test_an_invalid_sequencer_is_dropped(sequencer):
    assert read_messages({"Records": [notification(sequencer=sequencer)]})[0].uploads[0].sequencer is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records",
                    "s3",
                    "bucket",
                    "object",
                    "key",
                    "name",
                    "eventName",
                    "detail",
                    "detail-type",
                    "tasks",
                    "taskId",
                    "s3Key",
                    "Sns",
                    "Message",
                    "Type",
                    "body",
                    "messageId",
                    "eventSource",
                    "Event",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_no_event_raises(event):
    for message in read_messages(event):
        assert all(isinstance(upload, Upload) for upload in message.uploads)
        assert all(isinstance(reason, str) for reason in message.ignored)


@given(st.data())
def test_no_mutated_event_raises(data):
    event = json.dumps(data.draw(st.sampled_from([S3, sns(S3), event_bridge(), sqs(S3, S3)])))
    start = data.draw(st.integers(0, len(event)))
    mutated = event[:start] + data.draw(st.text(max_size=5)) + event[start + data.draw(st.integers(0, 9)) :]
    assert read_messages(sqs(mutated))
    try:
        parsed = json.loads(mutated)
    except ValueError:
        return
    assert read_messages(parsed)


@pytest.mark.parametrize(
    ("attributes", "receives"),
    [
        ({"ApproximateReceiveCount": "3"}, 3),
        ({"ApproximateReceiveCount": "many"}, 1),
        ({"ApproximateReceiveCount": 3}, 1),
        ({"ApproximateReceiveCount": "\u0663"}, 1),
        ({}, 1),
        ("none", 1),
        (None, 1),
    ],
)
def test_the_receive_count_is_read(attributes, receives):
    event = sqs({"Records": [notification()]})
    event["Records"][0]["attributes"] = attributes
    (message,) = read_messages(event)
    assert (message.receives, len(message.uploads)) == (receives, 1)


@pytest.mark.parametrize(
    ("sequencer", "read"),
    [
        ("0055aed6DCD90281E5", "000000000000000055aed6dcd90281e5"),
        ("0123456789abcdefABCDEF0123456789", "0123456789abcdefabcdef0123456789"),
        ("0" * 33, None),
        ("X0", None),
        ("", None),
        (5, None),
    ],
)
def test_a_sequencer_is_up_to_32_hex_digits(sequencer, read):
    ((upload,),) = (
        message.uploads for message in read_messages({"Records": [notification(sequencer=sequencer)]})
    )
    assert upload.sequencer == read


def test_the_version_of_a_versioned_bucket_is_read():
    content = with_s3(object={"key": "a", "versionId": "v1"})
    bridge = event_bridge("a")
    bridge["detail"]["object"]["version-id"] = "v1"
    assert [read_messages(event)[0].uploads[0].version for event in (content, bridge)] == ["v1", "v1"]


@pytest.mark.parametrize("task", [5, None, {}, {"taskId": 5, "s3Key": "a", "s3Bucket": "in"}])
def test_a_task_without_an_id_is_ignored(task):
    assert read_messages({"tasks": [task]}) == (Message(None, (), ("expected a task with a taskId",)),)


def test_a_task_has_a_bucket_or_its_arn_and_a_version():
    key = {"taskId": "t", "s3Key": "a+b", "s3VersionId": "v1"}
    upload = Upload("in", "a b", UploadKind.RECONCILE, "v1")
    for bucket in ({"s3Bucket": "in"}, {"s3BucketArn": "arn:aws:s3:::in"}):
        assert read_messages({"tasks": [key | bucket]}) == (Message("t", (upload,)),)
    assert read_messages({"tasks": [key]}) == (
        Message("t", (), ("expected the names of a bucket and a key",)),
    )
