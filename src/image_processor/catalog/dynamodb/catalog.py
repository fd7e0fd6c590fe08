"""Catalog adapter: records in one DynamoDB table, without an SDK (docs/adr/0007).

Every change is one conditional write, so no two callers can both find its condition true. A lease is
three attributes of the record's item: `claim_token`, `claim_owner` and `claim_expires_at`. The last one is a
time by the table's clock, which responses show: clocks of workers may be wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from image_processor.aws.client import Client
from image_processor.aws.credentials import GetCredentials, credentials_from
from image_processor.aws.endpoints import check_region, endpoint_override, region_from, regional_endpoint
from image_processor.aws.retries import PATIENT, Retries
from image_processor.aws.signature import Scope
from image_processor.catalog.leases import (
    check_is_leased,
    extended,
    lease_busy,
    lease_lost,
    new_record,
    new_token,
    no_record,
)
from image_processor.catalog.nearest import with_distance
from image_processor.catalog.paging import check_limit, newest_position, write_cursor
from image_processor.catalog.rows import to_focus_text, to_micros
from image_processor.domain.errors import Invalid, LeaseLost, PreconditionFailed
from image_processor.domain.models import Focus, Lease, OutboxMessage, Record, Upload
from image_processor.domain.ports import CatalogEntry, Folder, Neighbours, Page, Query, RoleLease, Sort

from .requests import DynamoClient, Update, write_arguments
from .schema import (
    NEWEST_INDEX,
    RECORD_ATTRIBUTES,
    SIMILAR_INDEX,
    TABLE,
    UNSHARDED,
    Item,
    Value,
    from_item,
    has_record,
    outbox_of,
    outbox_value,
    position,
    to_item,
    to_value,
)

_LEASE_ATTRIBUTES = ("claim_token", "claim_owner", "claim_expires_at")
_IS_OWN_LEASE = "#claim_token = :claim_token"
# The third case: a request that is repeated because its response was lost finds its own token.
_IS_FREE = f"attribute_not_exists(#claim_token) OR #claim_expires_at <= :now OR {_IS_OWN_LEASE}"
_IS_EMPTY = "attribute_not_exists(#original_file) AND attribute_not_exists(#outbox)"
_IS_NOT_OLDER = "(attribute_not_exists(#sequencer) OR #sequencer <= :sequencer)"
_IS_UNCHANGED = "#revision = :revision AND #shelf = :unsharded"
# What a completion leaves as it is: all but the focus never changes.
_IMMUTABLE = frozenset({"id", "bucket", "original_file", "created_at", "position", "focus"})
_OPTIONAL = frozenset(
    {"version", "fingerprint", "reason", "message", "original", "look", "exif", "processed_file"}
    | {"similar_group", "similar_hash"}
)
_INDEXED: tuple[str, ...] = ("shelf", "similar_group", "similar_hash")
"""What version 0.1 did not write, or wrote otherwise."""
_MAX_BATCH = 100
"""The maximum number of items in one BatchGetItem."""
_WRITER_THREADS = 8


class DynamoCatalog:
    """Catalog in a table as schema.TABLE defines it. Safe for threads and processes.

    ``endpoint`` replaces AWS's own and defaults to AWS_ENDPOINT_URL_DYNAMODB. Region and credentials
    default to those in the environment. Raises InvalidSettings.

    `list` reads the partitions of the index of listings from their newest records on, 250 bytes a
    record, and then the records of the page. Status, prefix and text are filtered in the index, so a query
    with few matches reads much: half a read unit for every 16 records that it skips. The index
    follows a write within about a second; a newer record may be missing.
    """

    def __init__(
        self,
        table: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
        retries: Retries = PATIENT,
    ) -> None:
        self._table = table
        region = check_region(region) if region else region_from()
        address = regional_endpoint("dynamodb", region, endpoint or endpoint_override("dynamodb"))
        self._http = Client(
            address, Scope(region, "dynamodb"), credentials or credentials_from(os.environ), retries=retries
        )
        self._client = DynamoClient(self._http)

    def close(self) -> None:
        """Close the open connections."""
        self._http.close()

    def create_table(self) -> None:
        """Create the table. For tests: in production the deployment's template creates it."""
        self._client.call("CreateTable", TableName=self._table, **TABLE)

    def get(self, image_id: str) -> Record | None:
        response = self._client.call("GetItem", **self._key(image_id), ConsistentRead=True)
        item = response.get("Item", {})
        return from_item(item) if has_record(item) else None

    def get_many(self, image_ids: Sequence[str]) -> dict[str, Record]:
        # BatchGetItem refuses an empty list, and a key that comes twice.
        return self._get_records(dict.fromkeys(image_ids)) if image_ids else {}

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        record = new_record(upload, now)
        token, expires_at = new_token(), now + duration
        lease = {
            "claim_token": to_value(token),
            "claim_owner": to_value(owner),
            "claim_expires_at": self._table_time(expires_at),
        }
        created = {name: value for name, value in to_item(record).items() if name != "id"}
        values = {"now": self._table_time(now)}
        try:
            item = self._update(record.id, _IS_FREE, values, Update(lease, created))
        except PreconditionFailed:
            raise lease_busy(upload) from None
        return Lease(record.id, token, owner, expires_at, from_item(item), outbox_of(item))

    def renew(
        self, lease: Lease, *, now: datetime, duration: timedelta, messages: Sequence[OutboxMessage] = ()
    ) -> Lease:
        renewed = extended(lease, now + duration, messages)
        expires_at = {"claim_expires_at": self._table_time(renewed.expires_at)}
        self._update_leased(lease, Update(expires_at, add=_outbox(messages)))
        return renewed

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        check_is_leased(lease, record)
        item = to_item(record)
        changed = {name: value for name, value in item.items() if name not in _IMMUTABLE | {"revision"}}
        missing = sorted(_OPTIONAL - set(item))
        added = {"revision": to_value(1), **_outbox(messages)}
        update = Update(changed, remove=(*_LEASE_ATTRIBUTES, *missing), add=added)
        condition = f"{_IS_OWN_LEASE} AND {_IS_NOT_OLDER}" if "sequencer" in item else _IS_OWN_LEASE
        return from_item(self._update_leased(lease, update, condition))

    def set_focus(self, image_id: str, focus: Focus | None) -> Record:
        text = to_focus_text(focus)
        update = Update(remove=("focus",)) if text is None else Update({"focus": to_value(text)})
        try:
            return from_item(self._update(image_id, "attribute_exists(#original_file)", {}, update))
        except PreconditionFailed:
            raise no_record(image_id) from None

    def delete(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> None:
        if messages or lease.unsent:
            emptied = Update(remove=(*_LEASE_ATTRIBUTES, *sorted(RECORD_ATTRIBUTES)), add=_outbox(messages))
            self._delete_if_empty(lease.image_id, self._update_leased(lease, emptied))
            return
        arguments = write_arguments(_IS_OWN_LEASE, _token_value(lease))
        try:
            self._client.call("DeleteItem", **self._key(lease.image_id), **arguments)
        except PreconditionFailed:
            raise lease_lost(lease) from None

    def release(self, lease: Lease) -> None:
        try:
            self._update_leased(lease, Update(remove=_LEASE_ATTRIBUTES))
        except LeaseLost:
            return

    def unsent(self, image_id: str) -> tuple[OutboxMessage, ...]:
        response = self._client.call("GetItem", **self._key(image_id), ConsistentRead=True)
        return outbox_of(response.get("Item", {}))

    def mark_sent(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        if not messages:
            return
        update = Update(discard=_outbox(messages))
        try:
            # Without the condition the update would create an item.
            item = self._update(image_id, "attribute_exists(#outbox)", {}, update)
        except PreconditionFailed:
            return
        self._delete_if_empty(image_id, item)

    def hold(
        self, role: str, *, owner: str, now: datetime, duration: timedelta, ended: RoleLease | None = None
    ) -> RoleLease | None:
        lease = {
            "claim_token": to_value(new_token()),
            "claim_owner": to_value(owner),
            "claim_expires_at": self._table_time(now + duration),
        }
        condition, values = "attribute_not_exists(#claim_owner) OR #claim_owner = :claim_owner", {}
        if ended is not None:
            until, _, token = ended.version.partition(" ")
            values = {"ended_owner": to_value(ended.owner), "ended_until": to_value(int(until))}
            is_same = "#claim_owner = :ended_owner AND #claim_expires_at = :ended_until"
            if token:  # not of a server of version 0.2.0
                values["ended_token"] = to_value(token)
                is_same += " AND #claim_token = :ended_token"
            condition += f" OR ({is_same})"
        try:
            return _role_lease(self._update(_role_id(role), condition, values, Update(lease)))
        except PreconditionFailed:
            # None: it was left since. The next call gets it.
            return _role_lease(self._role_item(role))

    def leave(self, role: str, owner: str) -> None:
        arguments = write_arguments("#claim_owner = :claim_owner", {"claim_owner": to_value(owner)})
        try:
            self._client.call("DeleteItem", **self._key(_role_id(role)), **arguments)
        except PreconditionFailed:
            return

    def holder(self, role: str, now: datetime) -> str | None:
        item = self._role_item(role)
        lease = _role_lease(item)
        if lease is None or int(item["claim_expires_at"]["N"]) <= int(self._table_time(now)["N"]):
            return None
        return lease.owner

    def _role_item(self, role: str) -> Item:
        response = self._client.call("GetItem", **self._key(_role_id(role)), ConsistentRead=True)
        item: Item = response.get("Item", {})
        return item

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        from .listing import newest_ids  # noqa: PLC0415 - with its threads 5 ms of a cold start, for `api` only

        check_limit(limit)
        _check_indexed(query)
        after = None if cursor is None else position(*newest_position(cursor))
        ids = newest_ids(self._query_newest, query, after, limit + 1)
        records: list[Record] = []
        # One record more than requested shows whether there is a next page.
        while len(records) <= limit and (batch := list(islice(ids, min(limit + 1, _MAX_BATCH)))):
            found = self._get_records(batch)
            # The index may be behind: a record may be deleted or have another status by now.
            existing = (found[id_] for id_ in batch if id_ in found)
            records += [record for record in existing if query.status in {None, record.status}]
        page = tuple(records[:limit])
        return Page(page, write_cursor(page[-1]) if len(records) > limit else None)

    def folders(self, prefix: str, *, limit: int) -> tuple[Folder, ...]:
        """Raises Invalid: no index orders the keys."""
        del limit
        raise Invalid.one("folders", f"a catalog on one machine, as {_NO_OTHER_INDEX}", f"prefix {prefix!r}")

    def count(self, _query: Query) -> None:
        """None: it would read the whole index of listings."""

    def scan(self, *, after: str = "") -> Iterator[Record]:
        yield from (entry.record for entry in self.scan_entries(after=after) if entry.record is not None)

    def scan_entries(self, *, after: str = "") -> Iterator[CatalogEntry]:
        # DynamoDB orders by a hash of the id, so an id has its place even after its item is deleted.
        start = {"ExclusiveStartKey": {"id": to_value(after)}} if after else {}
        for item in self._pages("Scan", ConsistentRead=True, **start):
            record = from_item(item) if has_record(item) else None
            yield CatalogEntry(item["id"]["S"], record, outbox_of(item))

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        from .search import find_near  # noqa: PLC0415 - with its threads 5 ms of a cold start, for `api` only

        found, is_complete = find_near(self._query_similar, self._count_records, perceptual_hash, distance)
        records: list[tuple[int, Record]] = []
        for start in range(0, len(found), _MAX_BATCH):
            if len(records) >= limit:
                break
            batch = self._get_records(id_ for _, id_ in found[start : start + _MAX_BATCH])
            # The index may be behind: the record may be deleted or have another hash by now.
            near = (with_distance(record, perceptual_hash) for record in batch.values())
            records += [pair for pair in near if pair is not None and pair[0] <= distance]
        records.sort(key=lambda pair: (pair[0], pair[1].id))
        return Neighbours(tuple(records[:limit]), is_complete)

    def reindex(self, *, limit: int | None = None) -> int:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 5 ms of a cold start, never used by one

        values = {":shelf": to_value(UNSHARDED)}
        entries = self._pages(
            "Query",
            IndexName=NEWEST_INDEX,
            KeyConditionExpression="shelf = :shelf",
            ExpressionAttributeValues=values,
        )
        ids = islice((item["id"]["S"] for item in entries), limit)
        moved = 0
        with ThreadPoolExecutor(_WRITER_THREADS) as writers:
            while batch := list(islice(ids, _MAX_BATCH)):
                moved += sum(writers.map(self._move_to_shard, self._get_records(batch).values()))
        return moved

    def _move_to_shard(self, record: Record) -> bool:
        """Add what `complete` writes today to the item of an earlier version. False if the record changed
        meanwhile."""
        values = {"revision": to_value(record.revision), "unsharded": to_value(UNSHARDED)}
        item = to_item(record)
        indexed = {name: item[name] for name in _INDEXED if name in item}
        try:
            self._update(record.id, _IS_UNCHANGED, values, Update(indexed))
        except PreconditionFailed:
            return False
        return True

    def _query_similar(self, **arguments: Any) -> dict[str, Any]:
        return self._client.call("Query", TableName=self._table, IndexName=SIMILAR_INDEX, **arguments)

    def _count_records(self) -> int:
        """The number of items, as of some hours ago."""
        response = self._client.call("DescribeTable", TableName=self._table)
        return int(response["Table"]["ItemCount"])

    def _query_newest(self, **arguments: Any) -> dict[str, Any]:
        return self._client.call("Query", TableName=self._table, IndexName=NEWEST_INDEX, **arguments)

    def _get_records(self, ids: Iterable[str]) -> dict[str, Record]:
        """The existing records of at most 100 ids, by id."""
        requested: dict[str, Any] = {
            self._table: {"Keys": [{"id": to_value(id_)} for id_ in ids], "ConsistentRead": True}
        }
        records: dict[str, Record] = {}
        # A response is cut at 16 MB, and leaves out what would be throttled: "we strongly recommend that
        # you use an exponential backoff algorithm" for the rest ("BatchGetItem").
        back_off = self._client.back_off()
        while True:
            response = self._client.call("BatchGetItem", RequestItems=requested)
            items = filter(has_record, response["Responses"][self._table])
            records |= {item["id"]["S"]: from_item(item) for item in items}
            requested = response.get("UnprocessedKeys", {})
            if not requested:
                return records
            next(back_off)

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Item]:
        """The items of all pages of a Query or Scan."""
        while True:
            response = self._client.call(operation, TableName=self._table, **arguments)
            yield from response["Items"]
            if "LastEvaluatedKey" not in response:
                return
            arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def _delete_if_empty(self, id_: str, item: Item) -> None:
        """Delete an item that has neither a record nor messages."""
        if has_record(item) or "outbox" in item:
            return
        try:
            self._client.call("DeleteItem", **self._key(id_), **write_arguments(_IS_EMPTY, {}))
        except PreconditionFailed:
            return  # it has been leased again

    def _update_leased(self, lease: Lease, update: Update, condition: str = _IS_OWN_LEASE) -> Item:
        """Update the item of a lease and return it. Raises LeaseLost if the condition does not hold."""
        try:
            return self._update(lease.image_id, condition, _token_value(lease), update)
        except PreconditionFailed:
            raise lease_lost(lease) from None

    def _update(self, id_: str, condition: str, values: Item, update: Update) -> Item:
        arguments = write_arguments(condition, values, update)
        response = self._client.call("UpdateItem", **self._key(id_), **arguments, ReturnValues="ALL_NEW")
        item: Item = response["Attributes"]
        return item

    def _table_time(self, moment: datetime) -> Value:
        """A moment of this machine's clock, by that of the table."""
        return to_value(to_micros(moment - self._http.clock_error))

    def _key(self, id_: str) -> dict[str, Any]:
        return {"TableName": self._table, "Key": {"id": to_value(id_)}}


def _role_id(role: str) -> str:
    """The id of the item of a role. Ids of images are base32, so no image has it."""
    return f"role:{role}"


def _role_lease(item: Item) -> RoleLease | None:
    """The lease in the item of a role; None if there is none. A server of version 0.2.0 writes no token, and
    another end with each renewal."""
    if "claim_owner" not in item:
        return None
    token = item.get("claim_token", {}).get("S", "")
    return RoleLease(item["claim_owner"]["S"], f"{item['claim_expires_at']['N']} {token}")


_NO_OTHER_INDEX = "DynamoDB's index of listings has time, name and status only"


def _check_indexed(query: Query) -> None:
    """Raise Invalid for an order or a filter that would read every record."""
    if query.sort is not Sort.NEWEST:
        raise Invalid.one("sort", f"{Sort.NEWEST}, as {_NO_OTHER_INDEX}", query.sort)
    for name in ("format", "min_bytes", "max_bytes"):
        if (value := getattr(query, name)) is not None:
            raise Invalid.one(name, f"nothing, as {_NO_OTHER_INDEX}", value)


def _outbox(messages: Sequence[OutboxMessage]) -> Item:
    return {"outbox": outbox_value(messages)} if messages else {}


def _token_value(lease: Lease) -> Item:
    return {"claim_token": to_value(lease.token)}
