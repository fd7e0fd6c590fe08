"""Adapter: the catalog in one DynamoDB table, without an SDK (docs/adr/0007).

Every change is one conditional write, so no two callers can both find its condition true. A
claim is three attributes of the record's item.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from msgspec.structs import replace

from image_processor.aws.client import Client
from image_processor.aws.credentials import GetCredentials, credentials_from
from image_processor.aws.endpoints import check_region, endpoint_of, override_of, region_from
from image_processor.aws.signature import Scope
from image_processor.catalog.paging import check_limit, read_cursor, write_cursor
from image_processor.catalog.rows import new_token, to_ticks
from image_processor.domain.errors import Invalid, LeaseBusy, LeaseLost, PreconditionFailed
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Upload
from image_processor.domain.ports import Page, Query

from .requests import Calls, Update, conditional, listing
from .schema import NEWEST, TABLE, Item, from_item, position, to_item, to_value

_CLAIM = ("claim_token", "claim_owner", "claim_expires_at")
_IS_OURS = "#claim_token = :claim_token"
# A claim whose answer was lost, and that is sent again, meets its own token.
_IS_FREE = f"attribute_not_exists(#claim_token) OR #claim_expires_at <= :now OR {_IS_OURS}"
_IS_NO_OLDER = "(attribute_not_exists(#sequencer) OR #sequencer <= :sequencer)"
# Set by the claim that makes the record, and never again.
_LASTING = frozenset({"id", "bucket", "original_file", "created_at", "shelf", "position"})
_OPTIONAL = frozenset(
    {"version", "fingerprint", "reason", "message", "original", "look", "exif", "processed_file"}
)
_BATCH = 100
"""The most items that one BatchGetItem gives."""


class DynamoCatalog:
    """Catalog in a table as dynamodb_table.TABLE defines it. Safe for threads and processes.

    ``endpoint`` stands for AWS's own, by default as AWS_ENDPOINT_URL_DYNAMODB says. Region and
    credentials come from the environment where they are not given. Raises InvalidSettings.

    `list` reads the index of listings from its newest record on, 250 bytes a record, and the
    records of the page itself. It is the index that filters by status and prefix, so a query
    that matches little reads far: half a read unit for every 16 records that it passes over.
    The index follows a write within a second or so; a record newer than that may be missing.
    """

    def __init__(
        self,
        table: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
    ) -> None:
        self._table = table
        region = check_region(region) if region else region_from()
        address = endpoint_of("dynamodb", region, endpoint or override_of("dynamodb"))
        self._client = Client(address, Scope(region, "dynamodb"), credentials or credentials_from(os.environ))
        self._calls = Calls(self._client)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def create_table(self) -> None:
        """Make the table. For tests: in production the deployment's template makes it."""
        self._calls("CreateTable", TableName=self._table, **TABLE)

    def get(self, image_id: str) -> Record | None:
        found = self._calls("GetItem", **self._at(image_id), ConsistentRead=True)
        return from_item(found["Item"]) if "Item" in found else None

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        id_ = image_id(upload.bucket, upload.key)
        new = Record(id=id_, bucket=upload.bucket, key=upload.key, created_at=now, updated_at=now)
        token, expires_at = new_token(), now + duration
        held = {
            "claim_token": to_value(token),
            "claim_owner": to_value(owner),
            "claim_expires_at": to_value(to_ticks(expires_at)),
        }
        made = {name: value for name, value in to_item(new).items() if name != "id"}
        try:
            found = self._update(id_, _IS_FREE, {"now": to_value(to_ticks(now))}, Update(held, made))
        except PreconditionFailed:
            raise LeaseBusy(f"another worker holds the lease on {upload.key!r}") from None
        return Lease(id_, token, owner, expires_at, from_item(found))

    def renew(self, lease: Lease, *, now: datetime, duration: timedelta) -> Lease:
        expires_at = now + duration
        self._update_ours(lease, Update({"claim_expires_at": to_value(to_ticks(expires_at))}))
        return replace(lease, expires_at=expires_at)

    def complete(self, lease: Lease, record: Record) -> Record:
        if record.id != lease.image_id:
            raise Invalid.one("record", f"the record {lease.image_id} of the lease", record.id)
        item = to_item(record)
        written = {name: value for name, value in item.items() if name not in _LASTING | {"revision"}}
        update = Update(written, remove=(*_CLAIM, *sorted(_OPTIONAL - set(item))), count="revision")
        condition = f"{_IS_OURS} AND {_IS_NO_OLDER}" if "sequencer" in item else _IS_OURS
        return from_item(self._update_ours(lease, update, condition))

    def delete(self, lease: Lease) -> None:
        try:
            self._calls("DeleteItem", **self._at(lease.image_id), **conditional(_IS_OURS, _token(lease)))
        except PreconditionFailed:
            raise _lost(lease) from None

    def release(self, lease: Lease) -> None:
        try:
            self._update_ours(lease, Update(remove=_CLAIM))
        except LeaseLost:
            return

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        check_limit(limit)
        ids = self._ids(query, None if cursor is None else position(*read_cursor(cursor)))
        records: list[Record] = []
        # One more than asked for tells whether there is a next page.
        while len(records) <= limit and (batch := list(islice(ids, min(limit + 1, _BATCH)))):
            found = self._records(batch)
            # A record may be gone, or have another status, since the index was written.
            known = (found[id_] for id_ in batch if id_ in found)
            records += [record for record in known if query.status in {None, record.status}]
        return Page(
            tuple(records[:limit]), write_cursor(records[limit - 1]) if len(records) > limit else None
        )

    def scan(self) -> Iterator[Record]:
        yield from map(from_item, self._pages("Scan", ConsistentRead=True))

    def _ids(self, query: Query, after: str | None) -> Iterator[str]:
        """The ids of a query behind a position, newest first, as the index knows them."""
        expressions = listing(query, after)
        if expressions is None:
            return
        for item in self._pages("Query", IndexName=NEWEST, ScanIndexForward=False, **expressions):
            if item["position"]["S"] != after:
                yield item["id"]["S"]

    def _records(self, ids: Iterable[str]) -> dict[str, Record]:
        """The records of at most 100 ids, as far as they exist."""
        wanted: dict[str, Any] = {
            self._table: {"Keys": [{"id": to_value(id_)} for id_ in ids], "ConsistentRead": True}
        }
        records: dict[str, Record] = {}
        while wanted:
            # An answer ends at 16 MB; what is left over is asked for again.
            found = self._calls("BatchGetItem", RequestItems=wanted)
            records |= {item["id"]["S"]: from_item(item) for item in found["Responses"][self._table]}
            wanted = found.get("UnprocessedKeys", {})
        return records

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Item]:
        """The items of all pages of a Query or Scan."""
        while True:
            found = self._calls(operation, TableName=self._table, **arguments)
            yield from found["Items"]
            if "LastEvaluatedKey" not in found:
                return
            arguments["ExclusiveStartKey"] = found["LastEvaluatedKey"]

    def _update_ours(self, lease: Lease, update: Update, condition: str = _IS_OURS) -> Item:
        """Change the claim's item; LeaseLost if it is not the claim's any more."""
        try:
            return self._update(lease.image_id, condition, _token(lease), update)
        except PreconditionFailed:
            raise _lost(lease) from None

    def _update(self, id_: str, condition: str, values: Item, update: Update) -> Item:
        expressions = conditional(condition, values, update)
        found: Item = self._calls("UpdateItem", **self._at(id_), **expressions, ReturnValues="ALL_NEW")[
            "Attributes"
        ]
        return found

    def _at(self, id_: str) -> dict[str, Any]:
        return {"TableName": self._table, "Key": {"id": to_value(id_)}}


def _token(lease: Lease) -> Item:
    return {"claim_token": to_value(lease.token)}


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.owner} no longer holds the lease on {lease.record.key!r}")
