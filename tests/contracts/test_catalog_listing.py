"""The contract of ports.Catalog, for every adapter: pages, queries and scans."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from datetime import datetime

import pytest
from contract_adapters import CatalogAdapter
from contract_records import DAY, INSTANT, NOW, acquire
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.catalog.dynamodb import DynamoCatalog
from image_processor.domain.errors import Invalid
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status
from image_processor.domain.ports import Catalog, Folder, Query, Sort


def metadata(format_: str, size: int, width: int = 4) -> ImageMetadata:
    return ImageMetadata(width, 3, format_, 1, alpha=False, bytes=size, sha256="")


def add(
    catalog: Catalog,
    key: str,
    created_at: datetime = NOW,
    status: Status = Status.PROCESSED,
    original: tuple[str, int, int] | None = None,
) -> Record:
    lease = acquire(catalog, key, now=created_at)
    if status is Status.PROCESSING:
        catalog.release(lease)
        return lease.record
    record = replace(lease.record, status=status)
    if original is not None:
        format_, size, rendered = original
        # The largest rendition counts, in its smallest format.
        made = [("w=4", metadata("jpeg", rendered)), ("w=4", metadata("webp", rendered + 1))]
        made.append(("w=2", metadata("jpeg", 1, width=2)))
        renditions = tuple(Rendition(f"{key}/{at}", text, file, "1") for at, (text, file) in enumerate(made))
        record = replace(record, original=metadata(format_, size), renditions=renditions)
    return catalog.complete(lease, record)


def place(record: Record, sort: Sort) -> tuple[object, str]:
    """The smaller, the earlier in a listing of this order, apart from the id."""
    match sort:
        case Sort.NEWEST:
            return -record.created_at.timestamp(), record.id
        case Sort.NAME:
            return record.key.encode(), record.id
        case Sort.SIZE:
            return -record.original.bytes if record.original else 1, record.id
        case Sort.SAVING:
            return 1e9 if record.saving is None else -record.saving, record.id


def pages(catalog: Catalog, query: Query, limit: int) -> list[Record]:
    """All records of a query. Checks that every page but the last is full."""
    page = catalog.list(query, limit=limit)
    seen = list(page.records)
    while page.cursor is not None:
        assert len(page.records) == limit
        page = catalog.list(query, limit=limit, cursor=page.cursor)
        seen += page.records
    assert len(page.records) <= limit
    return seen


def by_id(record: Record) -> str:
    return record.id


def keys(records: list[Record]) -> list[str]:
    return [record.key for record in records]


DAYS = st.integers(0, 5).map(lambda day: NOW + day * DAY)
SIZES = st.none() | st.integers(0, 40)
QUERIES = st.builds(
    Query,
    prefix=st.text("ab%_/é", max_size=2),
    text=st.text("aB%_/É", max_size=2),
    status=st.none() | st.sampled_from(Status),
    since=st.none() | DAYS,
    until=st.none() | DAYS,
    format=st.none() | st.sampled_from(["jpeg", "png"]),
    min_bytes=SIZES,
    max_bytes=SIZES,
    sort=st.sampled_from(Sort),
)
WRONG_CURSORS = ("null", "[]", '["size",99999999999999999999999,"a"]', '["size","1","a"]', '["name",1,"a"]')
CURSORS = (
    st.text(max_size=40)
    | st.text("abcdefgMTIz-_=", max_size=40)
    | st.sampled_from([urlsafe_b64encode(text.encode()).decode().rstrip("=") for text in WRONG_CURSORS])
)
ORIGINALS = st.none() | st.tuples(st.sampled_from(["jpeg", "png"]), st.integers(0, 40), st.integers(0, 50))
"""Format and bytes of an original, and the bytes of its rendition."""
EXAMPLES = 60 if os.environ.get("STRESS") else 20
"""Catalogs; each answers four queries, as to fill one takes most of the time."""


class TestQuery:
    def test_an_empty_catalog_has_one_empty_page(self, catalog: Catalog) -> None:
        page = catalog.list(Query(), limit=10)
        assert (page.records, page.cursor) == ((), None)

    def test_newest_records_come_first(self, catalog: Catalog) -> None:
        for day in (2, 0, 3, 1):
            add(catalog, f"{day}", NOW + day * DAY)
        assert keys(pages(catalog, Query(), 3)) == ["3", "2", "1", "0"]

    @pytest.mark.parametrize("prefix", ["a%", "a_", "A", "a", "é", "e\u0301", "a%b", "\U0010ffff", "\\", "'"])
    def test_a_prefix_is_literal(self, catalog: Catalog, prefix: str) -> None:
        stored = ["a%b", "a_b", "axb", "A", "Ab", "é", "e\u0301x", "\U0010ffff\U0010ffffx", "\\%", "'--"]
        for key in stored:
            add(catalog, key)
        found = keys(pages(catalog, Query(prefix=prefix), 100))
        assert sorted(found) == sorted(key for key in stored if key.startswith(prefix))
        assert found

    def test_since_is_inclusive_and_until_exclusive(self, catalog: Catalog) -> None:
        for index in range(4):
            add(catalog, f"{index}", NOW + index * INSTANT)
        query = Query(since=NOW + INSTANT, until=NOW + 3 * INSTANT)
        assert keys(pages(catalog, query, 10)) == ["2", "1"]

    def test_a_status_is_the_current_one(self, catalog: Catalog) -> None:
        add(catalog, "key", status=Status.PROCESSING)
        add(catalog, "key", status=Status.REFUSED)
        assert pages(catalog, Query(status=Status.PROCESSING), 10) == []
        assert keys(pages(catalog, Query(status=Status.REFUSED), 10)) == ["key"]

    @given(
        rows=st.dictionaries(
            st.text("ab%_/é", min_size=1, max_size=4),
            st.tuples(st.integers(0, 4), st.sampled_from(Status), ORIGINALS),
            max_size=12,
        ),
        queries=st.lists(st.tuples(QUERIES, st.integers(1, 13)), min_size=4, max_size=4),
    )
    @settings(max_examples=EXAMPLES)
    def test_any_query_equals_a_filtered_list(
        self,
        catalog_adapter: CatalogAdapter,
        rows: dict[str, tuple[int, Status, tuple[str, int, int] | None]],
        queries: list[tuple[Query, int]],
    ) -> None:
        with catalog_adapter.fresh() as connect, connect() as catalog:
            added = [
                add(catalog, key, NOW + day * DAY, status, original)
                for key, (day, status, original) in rows.items()
            ]
            for query, limit in queries:
                if unindexed(catalog, query):
                    with pytest.raises(Invalid, match="as DynamoDB's index of listings has"):
                        catalog.list(query, limit=limit)
                    continue
                expected = [
                    record
                    for record in added
                    if record.key.startswith(query.prefix)
                    and query.text.casefold() in record.key.casefold()
                    and query.status in {None, record.status}
                    and (query.since is None or query.since <= record.created_at)
                    and (query.until is None or record.created_at < query.until)
                    and (query.format is None or getattr(record.original, "format", None) == query.format)
                    and (query.min_bytes is None or size_of(record) >= query.min_bytes)
                    and (query.max_bytes is None or 0 <= size_of(record) < query.max_bytes)
                ]
                found = pages(catalog, query, limit)
                assert sorted(found, key=by_id) == sorted(expected, key=by_id)
                assert catalog.count(query) in {len(expected), None}
                values = [place(record, query.sort)[0] for record in found]
                assert values == sorted(values)  # type: ignore[type-var]


def size_of(record: Record) -> int:
    return record.original.bytes if record.original else -1


def only_sort(catalog: Catalog) -> Sort | None:
    return Sort.NEWEST if isinstance(catalog, DynamoCatalog) else None


def unindexed(catalog: Catalog, query: Query) -> bool:
    """Whether a query asks for what the index of DynamoDB does not have."""
    others = {query.format, query.min_bytes, query.max_bytes} != {None}
    sort = only_sort(catalog)
    return sort is not None and (others or query.sort is not sort)


class TestFolders:
    def test_are_the_first_parts_of_keys(self, catalog: Catalog) -> None:
        for key in ("a.jpg", "b/1.jpg", "b/2/3.jpg", "b/2/4.jpg", "b0", "c%/x", "\U0010ffff/y", "é/z"):
            add(catalog, key)
        if isinstance(catalog, DynamoCatalog):
            with pytest.raises(Invalid, match="expected a catalog on one machine"):
                catalog.folders("", limit=9)
            return
        expected = (Folder("b/", 3), Folder("c%/", 1), Folder("é/", 1), Folder("\U0010ffff/", 1))
        assert catalog.folders("", limit=9) == expected
        assert catalog.folders("", limit=2) == expected[:2]
        assert catalog.folders("b/", limit=9) == (Folder("b/2/", 2),)
        assert catalog.folders("b/2/", limit=9) == ()


class TestPages:
    def test_are_stable_while_records_are_added_changed_and_deleted(self, catalog: Catalog) -> None:
        # Several records have the same time, so time alone does not order them.
        stay = {add(catalog, f"stay-{index}", NOW + index // 4 * DAY).key for index in range(16)}
        for index in range(4):
            add(catalog, f"go-{index}", NOW + index * DAY)
        page, seen = catalog.list(Query(), limit=3), []
        for turn in range(20):
            seen += keys(list(page.records))
            add(catalog, f"new-{turn}", NOW + (turn % 5) * DAY)
            add(catalog, f"stay-{turn % 16}", NOW + 30 * DAY, Status.REFUSED)
            if turn < 4:
                catalog.delete(acquire(catalog, f"go-{turn}"))
            if page.cursor is None:
                break
            page = catalog.list(Query(), limit=3, cursor=page.cursor)
        assert page.cursor is None
        assert len(seen) == len(set(seen))
        assert stay <= set(seen)

    def test_have_cursors_of_their_own_order(self, catalog: Catalog) -> None:
        if isinstance(catalog, DynamoCatalog):  # it has one order
            for sort in set(Sort) - {Sort.NEWEST}:
                with pytest.raises(Invalid):
                    catalog.list(Query(sort=sort), limit=1)
            return
        for index in range(3):
            add(catalog, f"{index}")
        for sort in Sort:
            cursor = catalog.list(Query(sort=sort), limit=1).cursor
            for other in set(Sort) - {sort}:
                with pytest.raises(Invalid, match="for cursor"):
                    catalog.list(Query(sort=other), limit=1, cursor=cursor)

    def test_do_not_need_the_last_record_of_the_previous_page(self, catalog: Catalog) -> None:
        for index in range(4):
            add(catalog, f"{index}", NOW - index * DAY)
        page = catalog.list(Query(), limit=2)
        catalog.delete(acquire(catalog, "1"))
        assert keys(list(catalog.list(Query(), limit=2, cursor=page.cursor).records)) == ["2", "3"]

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    def test_hold_1_to_1000_records(self, catalog: Catalog, limit: int) -> None:
        with pytest.raises(Invalid, match="expected 1-1000 for limit, got"):
            catalog.list(Query(), limit=limit)
        catalog.list(Query(), limit=1)
        catalog.list(Query(), limit=1000)

    @given(cursor=CURSORS, sort=st.sampled_from(Sort))
    @settings(max_examples=100)
    def test_reject_an_invalid_cursor(self, catalog_adapter: CatalogAdapter, cursor: str, sort: Sort) -> None:
        with (
            catalog_adapter.fresh() as connect,
            connect() as catalog,
            pytest.raises(Invalid, match="for cursor"),
        ):
            catalog.list(Query(sort=only_sort(catalog) or sort), limit=1, cursor=cursor)


class TestScan:
    def test_yields_every_record_once(self, catalog: Catalog) -> None:
        added = [add(catalog, f"{index}", status=list(Status)[index % 3]) for index in range(30)]
        found = list(catalog.scan())
        assert len(found) == 30
        assert {record.id: record for record in found} == {record.id: record for record in added}

    def test_continues_after_a_record_even_if_it_is_deleted(self, catalog: Catalog) -> None:
        for index in range(12):
            add(catalog, f"{index}")
        records = list(catalog.scan())
        assert list(catalog.scan(after=records[4].id)) == records[5:]
        catalog.delete(acquire(catalog, records[4].key))
        assert list(catalog.scan(after=records[4].id)) == records[5:]
        assert list(catalog.scan(after=records[-1].id)) == []

    def test_continues_while_records_are_added_changed_and_deleted(self, catalog: Catalog) -> None:
        stay = {add(catalog, f"stay-{index}").key for index in range(20)}
        add(catalog, "go")
        seen = []
        for index, record in enumerate(catalog.scan()):
            seen.append(record.key)
            add(catalog, f"stay-{index % 20}", status=Status.REFUSED)
            if index == 3:
                catalog.delete(acquire(catalog, "go"))
            if index < 5:
                add(catalog, f"new-{index}")
        assert len(seen) == len(set(seen))
        assert stay <= set(seen)


def test_reindex_changes_nothing_that_a_caller_sees(catalog: Catalog) -> None:
    added = [add(catalog, f"{index}", NOW + index * DAY, list(Status)[index % 3]) for index in range(6)]
    busy = acquire(catalog, "5", now=NOW + 5 * DAY)
    catalog.reindex()
    assert catalog.reindex() == 0
    assert sorted(catalog.scan(), key=by_id) == sorted(added, key=by_id)
    assert pages(catalog, Query(), 4) == added[::-1]
    assert catalog.complete(busy, busy.record).revision == busy.record.revision + 1
