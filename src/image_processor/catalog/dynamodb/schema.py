"""DynamoDB catalog: the table, and a Record as an item in it.

An item's attributes are the columns of catalog.rows, except that `key` is called `original_file`.
`processed_file` is the key of the rendition to show first. `shelf` (the partition key of the
`newest` index) and `position` order the listings, `similar_group` and `similar_hash` the
perceptual hashes. Attributes whose value is None are left out.
`outbox` is a set of texts, so that messages are added and removed without reading it. An item that
has only an outbox is what is left of a deleted record.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from image_processor.catalog.rows import COLUMNS, to_message_text, to_messages, to_micros, to_record, to_row
from image_processor.domain.models import OutboxMessage, Record

from .similar import index_key

Value = dict[str, Any]
Item = dict[str, Value]
"""Attributes in DynamoDB's JSON: {"id": {"S": "..."}, "revision": {"N": "1"}, "outbox": {"SS": ["..."]}}."""

NEWEST_INDEX = "newest"
"""The index for listings: all records in SHARDS partitions, each ordered by position.

What it projects does not change with a lease, so a lease costs it no write and a completed record
costs two. A partition takes 1,000 write units a second ("Best practices for designing and using
partition keys effectively in DynamoDB"), so 16 of them take 8,000 new originals a second; beyond
that DynamoDB throttles the table, too, and the queue waits (docs/scale.md).
"""

SHARDS = 16

UNSHARDED = "records"
"""The value of `shelf` in items that version 0.1 wrote: all in one partition."""


def shard_of(id_: str) -> str:
    """The value of `shelf` in the item of a record: `records-0` to `records-f`."""
    return f"{UNSHARDED}-{zlib.crc32(id_.encode()) % SHARDS:x}"


SHARD_NAMES = tuple(f"{UNSHARDED}-{number:x}" for number in range(SHARDS))

SIMILAR_INDEX = "similar"
"""The index of perceptual hashes; the module `similar` says how it is ordered and read."""

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "original_file", "AttributeType": "S"},
        {"AttributeName": "shelf", "AttributeType": "S"},
        {"AttributeName": "position", "AttributeType": "S"},
        {"AttributeName": "similar_group", "AttributeType": "S"},
        {"AttributeName": "similar_hash", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            # For people and other programs that look up the state of a key.
            "IndexName": "original_file",
            "KeySchema": [{"AttributeName": "original_file", "KeyType": "HASH"}],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["bucket", "processed_file", "status"],
            },
        },
        {
            "IndexName": NEWEST_INDEX,
            "KeySchema": [
                {"AttributeName": "shelf", "KeyType": "HASH"},
                {"AttributeName": "position", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["original_file", "status"]},
        },
        {
            # Sparse: records without a perceptual hash are not in it. It costs a new record one write.
            "IndexName": SIMILAR_INDEX,
            "KeySchema": [
                {"AttributeName": "similar_group", "KeyType": "HASH"},
                {"AttributeName": "similar_hash", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""The arguments of CreateTable. deployment/template.yaml declares the same; a test compares them."""

# Makes the microseconds of every moment in datetime's range a positive number of 19 digits.
_OFFSET = 10**18


def to_value(value: str | int) -> Value:
    """A string or an integer in DynamoDB's JSON."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def position(micros: int, id_: str = "") -> str:
    """A text that sorts like (micros, id). Without an id it sorts before all records of that time."""
    return f"{micros + _OFFSET:019d}#{id_}" if id_ else f"{micros + _OFFSET:019d}"


RECORD_ATTRIBUTES = frozenset(
    {*COLUMNS, "original_file", "processed_file", "shelf", "position", "similar_group", "similar_hash"}
    - {"id", "key"}
)
"""All attributes of a record but the table's key."""


def to_item(record: Record) -> Item:
    """The item of a record."""
    row = to_row(record)
    row["original_file"] = row.pop("key")
    row["processed_file"] = record.processed.key if record.processed else None
    row["shelf"] = shard_of(record.id)
    row["position"] = position(to_micros(record.created_at), record.id)
    if record.summary is not None:
        row["similar_group"], row["similar_hash"] = index_key(record.summary.perceptual_hash)
    return {name: to_value(value) for name, value in row.items() if value is not None}


def from_item(item: Mapping[str, Value]) -> Record:
    """The record of an item that has one. Ignores attributes that are not part of a record."""
    row: dict[str, str | int | None] = dict.fromkeys(COLUMNS)
    for name, value in item.items():
        row[name] = int(value["N"]) if "N" in value else value.get("S")
    row["key"] = row["original_file"]
    return to_record(row)


def has_record(item: Mapping[str, Value]) -> bool:
    """Whether an item has a record, or only the outbox of a deleted one."""
    return "original_file" in item


def outbox_value(messages: Iterable[OutboxMessage]) -> Value:
    """The value of the attribute `outbox` with these messages; DynamoDB has no empty set."""
    return {"SS": [to_message_text(message) for message in messages]}


def outbox_of(item: Mapping[str, Value]) -> tuple[OutboxMessage, ...]:
    """The messages in the outbox of an item."""
    return to_messages(item["outbox"]["SS"]) if "outbox" in item else ()
