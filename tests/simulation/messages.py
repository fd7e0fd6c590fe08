"""Message bodies: notifications in all envelopes that AWS uses, and malformed messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from urllib.parse import quote_plus

from support.ingest import BUCKET

CREATED = ("ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy")
DELETED = ("ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:Delete")


def notification(
    random: Random, key: str, *, deleted: bool, sequencer: int | None = None, bucket: str = BUCKET
) -> str:
    """The body of a message about ``key``, in one of four envelopes."""
    number = None if sequencer is None else f"{sequencer:016X}"
    if random.random() < 0.2:
        return json.dumps(
            {
                "detail-type": "Object Deleted" if deleted else "Object Created",
                "detail": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": number}},
            }
        )
    object_ = {"key": quote_plus(key), "sequencer": number}
    record = {
        "eventSource": "aws:s3",
        "eventName": random.choice(DELETED if deleted else CREATED),
        "s3": {"bucket": {"name": bucket}, "object": object_},
    }
    body = json.dumps({"Records": [record]})
    if random.random() < 0.2:
        return json.dumps({"Type": "Notification", "Message": body})
    return body


NOISE = (
    '{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"uploads"}',
    "",
    "null",
    "[]",
    "{",
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"uploads"},"object":{}}}]}',
    '{"Records":[{"eventName":"ObjectTagging:Put","s3":{"bucket":{"name":"uploads"},"object":{"key":"a"}}}]}',
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"uploads"},"object":{"key":"../a"}}}]}',
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"elsewhere"},"object":{"key":"a"}}}]}',
    '{"key":5,"bucket":"uploads"}',
    '{"detail-type":"Object Created","detail":"?"}',
    '{"Type":"Notification","Message":"{"}',
)

BATCH = "aws:sqs"


def batch(messages: list[tuple[str, str]], receives: Mapping[str, int] | None = None) -> dict[str, object]:
    """The Lambda event of a batch of messages, each an id and a body. ``receives`` is how often a message was
    received, by id."""
    counts = receives or {}
    return {
        "Records": [
            {
                "eventSource": BATCH,
                "messageId": id_,
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(counts.get(id_, 1))},
            }
            for id_, body in messages
        ]
    }


def mutated(random: Random, text: str) -> str:
    """``text`` with some characters changed, removed or repeated, or with its end cut off."""
    chars = list(text)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(chars)) if chars else 0
        change = random.randrange(4)
        if change == 0:
            chars[at : at + 1] = [
                chr(random.choice([0, 34, 92, 123, 125, 0x1F600, random.randrange(32, 127)]))
            ]
        elif change == 1:
            del chars[at : at + random.randint(1, 20)]
        elif change == 2:
            chars[at:at] = chars[at : at + random.randint(1, 20)]
        else:
            del chars[max(at, 1) :]
    return "".join(chars)
