"""DynamoDB catalog: the table, and a Record as an item of it.

An item's attributes are the columns of catalog.rows, except that the key is called `original_file`.
`processed_file` is the key of the rendition to show first. `shelf` (the partition of the index of
listings) and `position` order the listings. Attributes with the value None are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_processor.catalog.rows import COLUMNS, to_record, to_row, to_ticks
from image_processor.domain.models import Record

Value = dict[str, str]
Item = dict[str, Value]
"""Attributes in DynamoDB's JSON: {"id": {"S": "..."}, "revision": {"N": "1"}}."""

PARTITION = "records"

# Makes the ticks of every moment that Python knows a positive number of 19 digits.
_OFFSET = 10**18


def to_value(value: str | int) -> Value:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def position(ticks: int, id_: str = "") -> str:
    """A text that sorts as (ticks, id) does. Without an id it comes before every record of then."""
    return f"{ticks + _OFFSET:019d}#{id_}" if id_ else f"{ticks + _OFFSET:019d}"


def to_item(record: Record) -> Item:
    row = to_row(record)
    row["original_file"] = row.pop("key")
    row["processed_file"] = record.processed.key if record.processed else None
    row["shelf"] = PARTITION
    row["position"] = position(to_ticks(record.created_at), record.id)
    return {name: to_value(value) for name, value in row.items() if value is not None}


def from_item(item: Mapping[str, Value]) -> Record:
    """The record of an item; attributes that are no part of a record are left alone."""
    row: dict[str, str | int | None] = dict.fromkeys(COLUMNS)
    for name, value in item.items():
        row[name] = int(value["N"]) if "N" in value else value["S"]
    row["key"] = row["original_file"]
    return to_record(row)


NEWEST = "newest"
"""The index of listings: one shelf of all records, in the order of their positions.

What it projects never changes with a claim, so a claim is no write to it, and a record is two.
One shelf takes 1,000 writes a second: 500 new originals. Then DynamoDB throttles, and the queue
waits; several shelves would push that further, at several reads for every page.
"""

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "original_file", "AttributeType": "S"},
        {"AttributeName": "shelf", "AttributeType": "S"},
        {"AttributeName": "position", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            # For people and other programs that know a key and ask what became of it.
            "IndexName": "original_file",
            "KeySchema": [{"AttributeName": "original_file", "KeyType": "HASH"}],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["bucket", "processed_file", "status"],
            },
        },
        {
            "IndexName": NEWEST,
            "KeySchema": [
                {"AttributeName": "shelf", "KeyType": "HASH"},
                {"AttributeName": "position", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["original_file", "status"]},
        },
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
