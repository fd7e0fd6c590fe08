"""The DynamoDB catalog: its table, its requests and its responses."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from contract_aws import revert_to_0_1
from contract_records import DAY, LEASE, MOMENTS, NOW, OLD_RECORD, OLD_SUMMARY, RECORDS, TEXTS, acquire
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.aws import client as client_module
from image_processor.aws import retries as retries_module
from image_processor.aws.retries import INTERACTIVE
from image_processor.catalog.dynamodb import DynamoCatalog, listing
from image_processor.catalog.dynamodb.schema import (
    SHARD_NAMES,
    TABLE,
    UNSHARDED,
    from_item,
    position,
    shard_of,
    to_item,
)
from image_processor.catalog.rows import to_micros
from image_processor.domain.errors import Invalid, InvalidSettings, LeaseBusy, PreconditionFailed, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status
from image_processor.domain.ports import Query, RoleLease
from support import aws
from support.scripted_http import HANG_UP, Reply, Seen, scripted

POSITIONS = st.tuples(MOMENTS, TEXTS.filter(bool))
METADATA = ImageMetadata(8, 6, "jpeg", 1, False, 100, "ab")
PREFIX = "com.amazonaws.dynamodb.v20120810#"


def error(name: str, message: str = "confidential", status: int = 400) -> Reply:
    return Reply(status, json.dumps({"__type": PREFIX + name, "message": message}).encode())


def response(fields: dict[str, object], **headers: str) -> Reply:
    return Reply(body=json.dumps(fields).encode(), headers=headers)


def sent(seen: Seen) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(seen.body)
    return fields


def relayed(catalog: DynamoCatalog, seen: Seen) -> Reply:
    """The emulation's response to a request that the scripted server received."""
    try:
        return response(catalog._client.call(seen.headers["x-amz-target"].rpartition(".")[2], **sent(seen)))
    except PreconditionFailed:
        return error("ConditionalCheckFailedException")


def is_batch(seen: Seen) -> bool:
    return seen.headers["x-amz-target"].endswith("BatchGetItem")


def listed(seen: Seen, *items: dict[str, Any]) -> Reply:
    """The response to a query of one partition of the index."""
    shelf = sent(seen)["ExpressionAttributeValues"][":shelf"]
    return response({"Items": [item for item in items if item["shelf"] == shelf]})


@pytest.fixture
def table() -> str:
    return aws.make_table(aws.address())


@pytest.fixture
def catalog(table: str) -> Iterator[DynamoCatalog]:
    result = aws.open_catalog(aws.address(), table)
    yield result
    result.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts."""
    monkeypatch.setattr(client_module, "_random", lambda: 0)


class TestItems:
    @given(record=RECORDS)
    def test_round_trip_a_record(self, record: Record) -> None:
        assert from_item(to_item(record)) == record

    @given(one=POSITIONS, other=POSITIONS)
    def test_positions_sort_by_time_and_id(
        self, one: tuple[datetime, str], other: tuple[datetime, str]
    ) -> None:
        positions = [position(to_micros(moment), id_) for moment, id_ in (one, other)]
        assert (positions[0] < positions[1]) == (one < other)

    def test_name_the_original_and_the_processed_file(self) -> None:
        small = Rendition("cat.jpg/w=8,fm=jpeg.jpg", "w=8,fm=jpeg", METADATA, "v")
        record = Record("id", "uploads", "cat.jpg", NOW, NOW, renditions=(small,))
        item = to_item(record)
        assert item["original_file"] == {"S": "cat.jpg"}
        assert item["processed_file"] == {"S": "cat.jpg/w=8,fm=jpeg.jpg"}
        assert "processed_file" not in to_item(replace(record, renditions=()))

    def test_processed_file_is_removed_with_the_rendition(self, catalog: DynamoCatalog, table: str) -> None:
        small = Rendition("cat.jpg/w=8,fm=jpeg.jpg", "w=8,fm=jpeg", METADATA, "v")
        lease = acquire(catalog)
        catalog.complete(lease, replace(lease.record, renditions=(small,), message="m"))
        assert "processed_file" in found_by_key(catalog, table, lease.record.key)
        lease = acquire(catalog)
        catalog.complete(lease, replace(lease.record, renditions=(), message=None))
        assert "processed_file" not in found_by_key(catalog, table, lease.record.key)


def found_by_key(catalog: DynamoCatalog, table: str, key: str) -> dict[str, object]:
    """The item that the index on original_file returns."""
    (item,) = catalog._client.call(
        "Query",
        TableName=table,
        IndexName="original_file",
        KeyConditionExpression="original_file = :key",
        ExpressionAttributeValues={":key": {"S": key}},
    )["Items"]
    return dict(item)


class TestRequests:
    def test_each_change_is_one_conditional_write(self) -> None:
        record = to_item(Record("id", "uploads", "key", NOW, NOW))
        with scripted(response({"Attributes": record})) as script:
            catalog = aws.open_catalog(script.address, "table")
            lease = replace(acquire(catalog, "key"), image_id="id")
            catalog.renew(lease, now=NOW, duration=LEASE)
            catalog.complete(lease, replace(lease.record, sequencer="5"))
            catalog.release(lease)
            catalog.delete(lease)
        operations = [seen.headers["x-amz-target"].rpartition(".")[2] for seen in script.seen]
        assert operations == ["UpdateItem"] * 4 + ["DeleteItem"]
        assert all("claim_token" in str(sent(seen)["ConditionExpression"]) for seen in script.seen)

    def test_values_are_never_part_of_an_expression(self) -> None:
        evil = "x' OR attribute_exists(id)"
        with scripted(error("ConditionalCheckFailedException")) as script:
            catalog = aws.open_catalog(script.address, "table")
            with pytest.raises(LeaseBusy):
                acquire(catalog, evil, owner=evil)
        fields = sent(script.seen[0])
        assert "OR attribute_exists" not in str(fields["ConditionExpression"]) + str(
            fields["UpdateExpression"]
        )

    def test_a_lease_whose_response_was_lost_is_kept(self, catalog: DynamoCatalog, table: str) -> None:
        """The write succeeds, its response is lost, and the client sends it again."""
        with scripted(HANG_UP, HANG_UP) as script:
            lossy = aws.open_catalog(script.address, table)

            def relay() -> None:
                reply = relayed(catalog, script.seen[-1])
                script.replies[:] = [HANG_UP if len(script.seen) == 1 else reply]

            script.meanwhile = relay
            lease = acquire(lossy)
        assert len(script.seen) == 2
        assert catalog.complete(lease, lease.record).revision == 1

    def test_unprocessed_keys_are_requested_again(self) -> None:
        items = [to_item(Record(f"{number}", "uploads", "key", NOW, NOW)) for number in range(2)]
        rest = {"table": {"Keys": [{"id": {"S": "0"}}]}}
        batches = [
            response({"Responses": {"table": items[1:]}, "UnprocessedKeys": rest}),
            response({"Responses": {"table": items[:1]}, "UnprocessedKeys": {}}),
        ]
        with scripted(Reply(500)) as script:
            script.respond = lambda seen: batches.pop(0) if is_batch(seen) else listed(seen, *items)
            page = aws.open_catalog(script.address, "table").list(Query(), limit=5)
        assert [record.id for record in page.records] == ["1", "0"]
        assert page.cursor is None
        assert sent(script.seen[-1])["RequestItems"] == rest

    def test_a_record_whose_status_changed_after_the_index_is_left_out(self) -> None:
        """The index is behind the table."""
        now = to_item(Record("0", "uploads", "key", NOW, NOW, status=Status.PROCESSED))
        was = {**now, "status": {"S": "processing"}}
        current = response({"Responses": {"table": [now]}})
        with scripted(Reply(500)) as script:
            script.respond = lambda seen: current if is_batch(seen) else listed(seen, was)
            page = aws.open_catalog(script.address, "table").list(Query(status=Status.PROCESSING), limit=5)
        assert page.records == ()

    def test_an_empty_time_range_sends_no_request(self) -> None:
        with scripted(Reply(500)) as script:
            query = Query(since=NOW, until=NOW - DAY)
            assert aws.open_catalog(script.address, "table").list(query, limit=5).records == ()
        assert script.seen == []


class TestResponses:
    @pytest.mark.parametrize(
        "busy",
        [
            error("ThrottlingException"),
            error("ProvisionedThroughputExceededException"),
            error("RequestLimitExceeded"),
            error("InternalServerError", status=500),
            Reply(503, b"<html>"),
            HANG_UP,
        ],
    )
    def test_transient_errors_are_retried(self, busy: Reply) -> None:
        with scripted(busy, busy, response({})) as script:
            assert aws.open_catalog(script.address, "table").get("id") is None
        assert len(script.seen) == 3

    @pytest.mark.parametrize(
        "bad",
        [
            error("ThrottlingException"),
            error("ResourceNotFoundException"),
            error("AccessDeniedException"),
            error("ExpiredTokenException"),
            Reply(400, b"not JSON"),
        ],
    )
    def test_other_errors_are_unavailable_and_show_only_their_name(self, bad: Reply) -> None:
        with scripted(bad) as script, pytest.raises(Unavailable) as caught:
            aws.open_catalog(script.address, "table").get("id")
        assert "confidential" not in str(caught.value)

    @pytest.fixture
    def pauses(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the clients wait, by a clock that only they move; without jitter."""
        taken: list[float] = []
        monkeypatch.setattr(client_module, "_random", lambda: 1)
        monkeypatch.setattr(retries_module, "monotonic", lambda: sum(taken))
        monkeypatch.setattr(client_module.time, "sleep", taken.append)
        return taken

    def test_a_throttled_table_is_waited_for(self, pauses: list[float]) -> None:
        """As an index that cannot keep up does to its table."""
        with scripted(*[error("ThrottlingException")] * 4, response({})) as script:
            assert aws.open_catalog(script.address, "table").get("id") is None
        assert pauses == [1, 2, 4, 8]

    def test_a_client_that_waits_does_not_wait_long_for_a_throttled_table(self, pauses: list[float]) -> None:
        with scripted(error("ThrottlingException")) as script:
            catalog = DynamoCatalog(
                "table",
                endpoint=script.address,
                region=aws.REGION,
                credentials=aws.credentials,
                retries=INTERACTIVE,
            )
            with pytest.raises(Unavailable, match="throttled"):
                catalog.get("id")
        assert pauses == [1]

    def test_keys_that_stay_unprocessed_are_requested_again_after_pauses_and_then_unavailable(
        self, pauses: list[float]
    ) -> None:
        item = to_item(Record("0", "uploads", "key", NOW, NOW))
        rest = {"table": {"Keys": [{"id": {"S": "0"}}]}}
        nothing = response({"Responses": {"table": []}, "UnprocessedKeys": rest})
        with scripted(Reply(500)) as script:
            script.respond = lambda seen: nothing if is_batch(seen) else listed(seen, item)
            catalog = aws.open_catalog(script.address, "table")
            with pytest.raises(Unavailable, match="unprocessed"):
                catalog.list(Query(), limit=1)
        assert pauses == [1, 2, 4, 8]

    def test_a_record_that_is_too_large_for_an_item_is_invalid(self, catalog: DynamoCatalog) -> None:
        lease = acquire(catalog)
        with pytest.raises(Invalid, match="arguments that DynamoDB accepts"):
            catalog.complete(lease, replace(lease.record, message="m" * 500_000))
        assert catalog.get(lease.image_id) == lease.record

    def test_text_that_is_not_unicode_is_invalid(self) -> None:
        with scripted(error("SerializationException")) as script, pytest.raises(Invalid):
            aws.open_catalog(script.address, "table").get("\ud800")
        assert len(script.seen) == 1


def test_items_without_later_attributes_are_read() -> None:
    item = {name: value for name, value in to_item(OLD_RECORD).items() if name != "exif"}
    assert from_item({**item, "look": {"S": OLD_SUMMARY}}) == OLD_RECORD


def test_attributes_that_a_record_no_longer_has_are_removed(catalog: DynamoCatalog) -> None:
    lease = acquire(catalog)
    said = catalog.complete(lease, replace(lease.record, exif=(("make", "Canon"),)))
    assert catalog.get(lease.image_id) == said
    lease = acquire(catalog)
    catalog.complete(lease, replace(said, exif=()))
    assert catalog.get(lease.image_id).exif == ()


class TestListing:
    def test_requests_17_queries_and_only_the_records_of_its_page(
        self, catalog: DynamoCatalog, table: str
    ) -> None:
        for number in range(5):
            lease = acquire(catalog, f"{number}", now=NOW + number * DAY)
            catalog.complete(lease, lease.record)
        with scripted(Reply(500)) as script:
            script.respond = lambda seen: relayed(catalog, seen)
            page = aws.open_catalog(script.address, table).list(Query(), limit=2)
        assert [record.key for record in page.records] == ["4", "3"]
        (asked,) = [sent(seen) for seen in script.seen if is_batch(seen)]
        assert len(asked["RequestItems"][table]["Keys"]) == 3
        queries = [sent(seen) for seen in script.seen if not is_batch(seen)]
        assert len({query["ExpressionAttributeValues"][":shelf"]["S"] for query in queries}) == 17
        assert [query["Limit"] for query in queries] == [16] * 17

    def test_a_page_may_need_several_batches(self, catalog: DynamoCatalog) -> None:
        for number in range(130):
            acquire(catalog, f"{number}", now=NOW + number * DAY)
        page = catalog.list(Query(), limit=120)
        assert [record.key for record in page.records] == [f"{number}" for number in range(129, 9, -1)]
        last = catalog.list(Query(), limit=120, cursor=page.cursor)
        assert (len(last.records), last.cursor) == (10, None)

    def test_a_partition_is_read_on_where_a_filter_leaves_few_entries(
        self, monkeypatch: pytest.MonkeyPatch, catalog: DynamoCatalog
    ) -> None:
        monkeypatch.setattr(listing, "_SMALLEST_READ", 1)
        for number in range(40):
            acquire(catalog, f"{number % 10}-{number}", now=NOW + number * DAY)
        found = catalog.list(Query(prefix="0-"), limit=3)
        assert [record.key for record in found.records] == ["0-30", "0-20", "0-10"]
        assert [
            record.key for record in catalog.list(Query(prefix="0-"), limit=3, cursor=found.cursor).records
        ] == ["0-0"]

    @given(id_=TEXTS)
    def test_every_record_is_in_one_of_16_shards(self, id_: str) -> None:
        assert to_item(Record(id_, "uploads", "key", NOW, NOW))["shelf"]["S"] in SHARD_NAMES

    def test_records_are_spread_evenly_over_the_shards(self) -> None:
        counts = Counter(shard_of(image_id("uploads", f"photos/{number}.jpg")) for number in range(16_000))
        assert len(counts) == 16
        assert all(900 < count < 1100 for count in counts.values())

    @pytest.mark.parametrize("moves", ["after the first query", "before it"])
    def test_a_record_that_moves_to_its_shard_during_a_listing_is_listed_once(self, moves: str) -> None:
        """The unsharded partition is read first: its record is found there or, if it moves, in its shard."""
        item = to_item(Record("0", "uploads", "key", NOW, NOW))
        unsharded = [{**item, "shelf": {"S": UNSHARDED}}] if moves == "after the first query" else []
        with scripted(Reply(500)) as script:

            def respond(seen: Seen) -> Reply:
                if is_batch(seen):
                    return response({"Responses": {"table": [item]}})
                return listed(seen, item, *unsharded)

            script.respond = respond
            page = aws.open_catalog(script.address, "table").list(Query(), limit=5)
        shelves = [sent(seen)["ExpressionAttributeValues"][":shelf"]["S"] for seen in script.seen[:-1]]
        assert shelves[0] == UNSHARDED
        assert [record.id for record in page.records] == ["0"]


class TestRecordsOfVersion01:
    """That version kept all records in one partition of the index."""

    @pytest.fixture
    def records(self, catalog: DynamoCatalog, table: str) -> list[Record]:
        """Three, the newest first."""
        records = []
        for number in range(3):
            lease = acquire(catalog, f"{number}", now=NOW - number * DAY)
            records.append(catalog.complete(lease, lease.record))
            revert_to_0_1(catalog, table, lease.image_id)
        return records

    def shelf(self, catalog: DynamoCatalog, table: str, id_: str) -> str:
        item = catalog._client.call("GetItem", TableName=table, Key={"id": {"S": id_}})["Item"]
        return str(item["shelf"]["S"])

    def test_are_listed_and_so_are_their_cursors(self, catalog: DynamoCatalog, records: list[Record]) -> None:
        first = catalog.list(Query(), limit=1)
        assert first.records == (records[0],)
        # As version 0.1 wrote it.
        text = f"{to_micros(records[0].created_at)}.{records[0].id}".encode()
        cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
        assert first.cursor == cursor
        catalog.reindex()
        assert catalog.list(Query(), limit=5, cursor=cursor).records == tuple(records[1:])

    def test_move_to_their_shards_when_they_are_completed(
        self, catalog: DynamoCatalog, table: str, records: list[Record]
    ) -> None:
        lease = acquire(catalog, "1", now=NOW + DAY)
        assert self.shelf(catalog, table, lease.image_id) == UNSHARDED
        completed = catalog.complete(lease, lease.record)
        assert self.shelf(catalog, table, lease.image_id) == shard_of(lease.image_id)
        assert catalog.list(Query(), limit=5).records == (records[0], completed, records[2])

    def test_move_to_their_shards_by_reindex_once(
        self, catalog: DynamoCatalog, table: str, records: list[Record]
    ) -> None:
        assert [catalog.reindex(limit=2) for _ in range(3)] == [2, 1, 0]
        assert catalog.reindex() == 0
        assert [self.shelf(catalog, table, record.id) for record in records] == [
            shard_of(record.id) for record in records
        ]
        assert catalog.list(Query(), limit=5).records == tuple(records)

    def test_stay_if_they_change_during_reindex(
        self, catalog: DynamoCatalog, table: str, records: list[Record]
    ) -> None:
        with scripted(Reply(500)) as script:

            def respond(seen: Seen) -> Reply:
                reply = relayed(catalog, seen)
                if is_batch(seen):
                    lease = acquire(catalog, "0", now=NOW + DAY)
                    catalog.complete(lease, lease.record)
                return reply

            script.respond = respond
            assert aws.open_catalog(script.address, table).reindex() == 2
        assert catalog.get(records[0].id) == replace(records[0], revision=2)


def test_the_table_defines_every_key_attribute_once() -> None:
    declared = [row["AttributeName"] for row in TABLE["AttributeDefinitions"]]
    schemas = [TABLE["KeySchema"], *(index["KeySchema"] for index in TABLE["GlobalSecondaryIndexes"])]
    assert sorted(declared) == sorted({row["AttributeName"] for schema in schemas for row in schema})


def test_settings_come_from_the_environment(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", aws.REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws.address())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    catalog = DynamoCatalog(table)
    catalog.release(acquire(catalog, now=datetime(2026, 1, 1, tzinfo=UTC)))
    assert catalog.get(image_id("uploads", "photos/cat.jpg")) is not None
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(InvalidSettings, match="AWS_ACCESS_KEY_ID"):
        DynamoCatalog(table)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_lease_ends_by_the_clock_of_the_table(
    table: str, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first worker and of the second, the clock of one is wrong by an hour."""

    def now(error: timedelta) -> datetime:
        monkeypatch.setattr(client_module, "_now", lambda: datetime.now(UTC) + error)
        return client_module._now()

    for number, (first_error, second_error) in enumerate([(ahead, timedelta()), (timedelta(), ahead)]):
        first, second = (aws.open_catalog(aws.address(), table) for _ in range(2))
        for catalog, error in ((first, first_error), (second, second_error)):
            now(error)
            assert catalog.get("none") is None  # the response tells the time
        key = f"{number}.jpg"
        acquire(first, key, now=now(first_error))
        with pytest.raises(LeaseBusy):
            acquire(second, key, now=now(second_error) + LEASE - timedelta(seconds=10))
        acquire(second, key, now=now(second_error) + LEASE + timedelta(seconds=10))


def test_clocks_that_agree_within_seconds_are_not_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    dates = {"": 0.0, "yesterday": 0.0, "Wed, 21 Oct 2015 07:28:00 -0000": 0.0}
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    dates |= {format_datetime(moment - timedelta(seconds=ahead)): ahead for ahead in (30.0, -30.0)}
    dates |= {format_datetime(moment - timedelta(seconds=ahead)): 0.0 for ahead in (4.0, -4.0)}
    monkeypatch.setattr(client_module, "_now", lambda: moment)
    for date, ahead in dates.items():
        with scripted(response({}, Date=date)) as script:
            catalog = aws.open_catalog(script.address, "table")
            catalog.get("id")
            assert catalog._http.clock_error.total_seconds() == ahead, date


def hold(
    catalog: DynamoCatalog, owner: str, ended: RoleLease | None = None, now: datetime = NOW
) -> RoleLease:
    lease = catalog.hold("coordinator", owner=owner, now=now, duration=LEASE, ended=ended)
    assert lease is not None
    return lease


def test_a_role_has_one_holder_until_another_one_has_seen_its_lease_end(catalog: DynamoCatalog) -> None:
    first = hold(catalog, "a:1")
    assert first.owner == "a:1"
    assert hold(catalog, "b:2") == first
    renewed = hold(catalog, "a:1")
    assert (renewed.owner, renewed == first) == ("a:1", False)
    assert hold(catalog, "b:2", first) == renewed
    assert hold(catalog, "b:2", renewed).owner == "b:2"
    assert hold(catalog, "a:1", renewed).owner == "b:2"


def test_no_clock_decides_who_has_a_role(catalog: DynamoCatalog) -> None:
    year = timedelta(days=365)
    first = hold(catalog, "a:1", now=NOW - year)
    assert hold(catalog, "b:2", now=NOW + year) == first
    ahead = hold(catalog, "a:1", now=NOW + year)
    assert hold(catalog, "b:2", ahead).owner == "b:2"


def test_a_lease_of_version_0_2_ends_too(catalog: DynamoCatalog) -> None:
    """Its servers write no token, and keep that of a server of this version."""
    for is_first in (True, False):
        hold(catalog, "a:1")
        names = {"#o": "claim_owner", "#e": "claim_expires_at"}
        values = {":o": {"S": "old:1"}, ":e": {"N": "5" if is_first else "6"}}
        removed = " REMOVE claim_token" if is_first else ""
        catalog._client.call(
            "UpdateItem",
            **catalog._key("role:coordinator"),
            UpdateExpression=f"SET #o = :o, #e = :e{removed}",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
        old = hold(catalog, "b:2")
        assert old.owner == "old:1"
        assert hold(catalog, "b:2", replace(old, version=f"4{old.version[1:]}")) == old
        assert hold(catalog, "b:2", old).owner == "b:2"
        catalog.leave("coordinator", "b:2")


def test_the_holder_of_a_role_is_told_until_its_lease_ends_by_its_own_clock(catalog: DynamoCatalog) -> None:
    assert catalog.holder("coordinator", NOW) is None
    hold(catalog, "a:1")
    assert catalog.holder("coordinator", NOW) == "a:1"
    assert catalog.holder("coordinator", NOW + LEASE) is None


def test_a_role_that_is_left_is_free_and_only_its_holder_can_leave_it(catalog: DynamoCatalog) -> None:
    hold(catalog, "a:1")
    catalog.leave("coordinator", "b:2")
    assert catalog.holder("coordinator", NOW) == "a:1"
    catalog.leave("coordinator", "a:1")
    assert hold(catalog, "b:2").owner == "b:2"


def test_of_many_servers_one_gets_the_role(catalog: DynamoCatalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = {lease.owner for lease in pool.map(lambda number: hold(catalog, f"{number}"), range(8))}
        (owner,) = first
        ended = hold(catalog, owner)
        others = [number for number in map(str, range(8)) if number != owner]
        leases = set(pool.map(lambda name: hold(catalog, name, ended), others))
    assert len(leases) == 1
    assert leases != {ended}


def test_a_role_is_no_record(catalog: DynamoCatalog) -> None:
    catalog.hold("coordinator", owner="a:1", now=NOW, duration=LEASE)
    assert list(catalog.scan()) == []
    assert [entry.record for entry in catalog.scan_entries()] == [None]
    assert catalog.list(Query(), limit=10).records == ()
    assert catalog.get("role:coordinator") is None
