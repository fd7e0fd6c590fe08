"""DynamoDB catalog: a Record as an item of the table, and back.

The key is called `original_file`, and `processed_file` is the key of the rendition to show first;
`shelf` and `position` place the record in listings. What is None is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from image_processor.catalog.rows import COLUMNS, to_record, to_row, to_ticks
from image_processor.domain.models import Record

Value = dict[str, str]
Item = dict[str, Value]
"""Attributes in DynamoDB's JSON: {"id": {"S": "..."}, "revision": {"N": "1"}}."""

SHELF = "records"

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
    row["shelf"] = SHELF
    row["position"] = position(to_ticks(record.created_at), record.id)
    return {name: to_value(value) for name, value in row.items() if value is not None}


def from_item(item: Mapping[str, Value]) -> Record:
    """The record of an item; attributes that are no part of a record are left alone."""
    row: dict[str, str | int | None] = dict.fromkeys(COLUMNS)
    for name, value in item.items():
        row[name] = int(value["N"]) if "N" in value else value["S"]
    row["key"] = row["original_file"]
    return to_record(row)
