"""The SQLite catalog: rows, schema and migrations, and errors of its file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from contract_adapters import open_sqlite
from contract_records import MOMENTS, NOW, OLD_RECORD, OLD_SUMMARY, RECORDS, acquire
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from together import in_threads

from image_processor.catalog.paging import has_text
from image_processor.catalog.rows import COLUMNS, from_micros, to_micros, to_record, to_row
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.catalog.sqlite import catalog as adapter
from image_processor.catalog.sqlite import schema as sqlite_schema
from image_processor.catalog.sqlite.queries import HAS_TEXT, HASHES, HASHES_BY_BAND, IDS_BY_HASH, select_page
from image_processor.catalog.sqlite.readers import MAX_READERS
from image_processor.domain.errors import Invalid, LeaseBusy, Unavailable
from image_processor.domain.models import (
    ImageMetadata,
    MessageKind,
    OutboxMessage,
    Record,
    Rendition,
    Status,
    Upload,
)
from image_processor.domain.ports import Query, RecordState, Sort

# Fixed offsets, because in the repeated hour of a clock change Python compares no times of
# different zones as equal.
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ANYWHERE = st.builds(lambda moment, zone: moment.astimezone(zone), MOMENTS, OFFSETS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


class TestRows:
    @given(record=RECORDS)
    def test_round_trip_a_record(self, record: Record) -> None:
        row = to_row(record)
        assert tuple(row) == COLUMNS
        assert all(value is None or isinstance(value, str | int) for value in row.values())
        assert to_record(row) == record
        assert to_record(row | {"claim_token": "ignored"}) == record

    @given(moment=ANYWHERE, other=ANYWHERE)
    def test_microseconds_are_exact_and_ordered(self, moment: datetime, other: datetime) -> None:
        assert from_micros(to_micros(moment)) == moment
        assert (to_micros(moment) < to_micros(other)) == (moment < other)

    def test_a_time_without_a_time_zone_is_an_error(self) -> None:
        with pytest.raises(TypeError):
            to_micros(NOW.replace(tzinfo=None))


class TestDamagedRows:
    """One row that cannot be decoded hides no other, and the next completion replaces it."""

    @pytest.mark.parametrize(
        ("column", "value"),
        [("original", "{"), ("renditions", "[1]"), ("status", "later"), ("reason", "later")],
    )
    def test_count_as_unfinished(self, path: Path, column: str, value: str) -> None:
        with open_sqlite(path) as catalog:
            first, second = acquire(catalog), acquire(catalog, key="other.jpg")
            for lease in (first, second):
                catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
            with closing(sqlite3.connect(path)) as connection:
                values = (value, first.image_id)
                connection.execute(f"UPDATE records SET {column} = ? WHERE id = ?", values)
                connection.commit()
            statuses = {record.key: record.status for record in catalog.scan()}
            assert statuses == {first.record.key: Status.PROCESSING, "other.jpg": Status.PROCESSED}
            again = acquire(catalog)
            assert again.record == replace(first.record, revision=1, updated_at=again.record.updated_at)
            catalog.complete(again, replace(again.record, status=Status.PROCESSED))
            record = catalog.get(first.image_id)
            assert record is not None
            assert record.status is Status.PROCESSED

    def test_a_message_is_left_out_and_becomes_dead(self, path: Path) -> None:
        with open_sqlite(path) as catalog:
            lease = acquire(catalog)
            messages = [OutboxMessage(id_, MessageKind.EVENT, lease.record.key, NOW, "{}") for id_ in "ab"]
            catalog.complete(lease, replace(lease.record, status=Status.PROCESSED), messages)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE outbox SET message = '{' WHERE id = 'a'")
                connection.commit()
            assert catalog.unsent(lease.image_id) == (messages[1],)
            queue = catalog.event_queue()
            assert [item.message for item in queue.due(NOW, limit=9)] == [messages[1]]
            assert [item.message for item in queue.list(limit=9)] == [messages[1]]
            assert queue.count() == (1, 1)


class TestSchema:
    def test_a_file_keeps_its_records(self, path: Path) -> None:
        with open_sqlite(path) as catalog:
            lease = acquire(catalog)
            done = catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
        with open_sqlite(path) as catalog:
            assert catalog.get(lease.image_id) == done

    def test_a_missing_folder_is_created(self, tmp_path: Path) -> None:
        with open_sqlite(tmp_path / "new" / "folder" / "catalog.sqlite") as catalog:
            acquire(catalog)

    def test_a_newer_schema_is_rejected_and_left_unchanged(self, path: Path) -> None:
        open_and_close(path)
        newer = len(sqlite_schema.MIGRATIONS) + 1
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {newer}")
        with pytest.raises(Invalid, match=rf"expected schema version 0-{newer - 1} for catalog, got {newer}"):
            SqliteCatalog(path)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (newer,)

    def test_an_older_schema_is_migrated(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_sqlite(path) as catalog:
            record = acquire(catalog).record
        step = ("ALTER TABLE records ADD COLUMN later TEXT", "CREATE INDEX records_later ON records (later)")
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, step))
        for _ in range(2):
            with open_sqlite(path) as catalog:
                assert catalog.get(record.id) == record
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT later FROM records").fetchall() == [(None,)]

    def test_records_of_the_first_schema_are_read_and_written(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = sqlite_schema.MIGRATIONS
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now[:1])
        open_and_close(path)
        row = to_row(OLD_RECORD)
        row["look"] = OLD_SUMMARY
        del row["exif"], row["focus"]
        with closing(sqlite3.connect(path)) as connection, connection:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO records ({names}) VALUES ({marks})", tuple(row.values()))
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now)
        with open_sqlite(path) as catalog:
            assert list(catalog.scan()) == [OLD_RECORD]
            lease = acquire(catalog, OLD_RECORD.key)
            done = replace(OLD_RECORD, exif=(("make", "Canon"),))
            assert catalog.complete(lease, done).exif == (("make", "Canon"),)

    def test_the_hashes_of_records_of_the_first_schemas_are_found(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = sqlite_schema.MIGRATIONS
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now[:2])
        SqliteCatalog(path).close()
        row = to_row(OLD_RECORD) | {"look": OLD_SUMMARY}
        del row["focus"]
        with closing(sqlite3.connect(path)) as connection, connection:
            values = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO records ({', '.join(row)}) VALUES ({values})", row)
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now)
        with open_sqlite(path) as catalog:
            assert catalog.near(0x0123456789ABCDEF, distance=0, limit=1).records == ((0, OLD_RECORD),)

    def test_sizes_and_savings_of_records_of_the_first_schemas_are_found(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = sqlite_schema.MIGRATIONS
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now[:5])
        SqliteCatalog(path).close()

        def file(size: int, width: int = 4) -> ImageMetadata:
            return ImageMetadata(width, 3, "jpeg", 1, alpha=False, bytes=size, sha256="")

        with closing(sqlite3.connect(path)) as connection, connection:
            for key, size in (("a", 30), ("b", 70), ("c", 0)):
                made = [Rendition("1", "w=2", file(1, 2), "1")]
                made += [Rendition(f"{least}", "w=4", file(least), "1") for least in (21, 20)]
                record = replace(
                    OLD_RECORD, id=key, key=key, original=file(size), renditions=tuple(made if size else ())
                )
                row = to_row(record)
                del row["focus"]
                values = ", ".join(f":{name}" for name in row)
                connection.execute(f"INSERT INTO records ({', '.join(row)}) VALUES ({values})", row)
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", now)
        with open_sqlite(path) as catalog:
            for sort in (Sort.SIZE, Sort.SAVING):
                page = catalog.list(Query(sort=sort), limit=9)
                assert [record.key for record in page.records] == ["b", "a", "c"]
            # The cursor of a saving tells it exactly.
            cursor = catalog.list(Query(sort=Sort.SAVING), limit=1).cursor
            assert catalog.list(Query(sort=Sort.SAVING), limit=9, cursor=cursor).records == page.records[1:]
            assert catalog.count(Query(format="jpeg", min_bytes=30, max_bytes=71)) == 2

    def test_every_order_reads_an_index_and_the_rows_of_the_page(self, path: Path) -> None:
        SqliteCatalog(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.create_function(HAS_TEXT, 2, has_text)
            for sort in set(Sort) - {Sort.NEWEST}:
                query = Query(sort=sort, prefix="a", text="b", format="jpeg", min_bytes=1, since=NOW)
                statement, values = select_page(query, None, 9, by_key=False)
                plan = str(connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall())
                assert "USING COVERING INDEX records_by_" in plan
                assert "USING INTEGER PRIMARY KEY" in plan

    def test_a_comparison_of_all_hashes_reads_the_index_only(self, path: Path) -> None:
        SqliteCatalog(path).close()
        with closing(sqlite3.connect(path)) as connection:
            values = {"hash": "", "id": "", "limit": 1}
            plan = connection.execute(f"EXPLAIN QUERY PLAN {HASHES}", values).fetchall()
        assert "COVERING INDEX records_by_hash" in str(plan)

    def test_near_hashes_are_read_from_indexes_only(self, path: Path) -> None:
        SqliteCatalog(path).close()
        with closing(sqlite3.connect(path)) as connection:
            values = {f"band_{number}": '["0000"]' for number in range(4)}
            plan = connection.execute(f"EXPLAIN QUERY PLAN {HASHES_BY_BAND}", values).fetchall()
        steps = [row[3] for row in plan if " records " in row[3]]
        assert len(steps) == 4
        for number, step in enumerate(steps):
            assert step.startswith(f"SEARCH records USING COVERING INDEX records_by_band_{number} ")

    def test_ids_of_near_hashes_are_read_from_an_index_only(self, path: Path) -> None:
        SqliteCatalog(path).close()
        with closing(sqlite3.connect(path)) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {IDS_BY_HASH}", {"hashes": "[]"}).fetchall()
        assert "SEARCH records USING COVERING INDEX records_by_hash (perceptual_hash=?)" in str(plan)

    def test_a_failed_migration_leaves_the_old_schema(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_and_close(path)
        before = sqlite_schema.MIGRATIONS
        step = ("ALTER TABLE records ADD COLUMN later TEXT", "CREATE INDEX bad ON records (no_such_column)")
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*before, step))
        with pytest.raises(Unavailable):
            SqliteCatalog(path)
        monkeypatch.setattr(sqlite_schema, "MIGRATIONS", before)
        with open_sqlite(path) as catalog:
            acquire(catalog)
        with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT later FROM records")

    def test_an_old_sqlite_library_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
        with pytest.raises(Invalid, match=r"expected version 3\.37\.0 or newer for SQLite"):
            SqliteCatalog(":memory:")

    def test_many_threads_may_open_a_new_file_at_once(self, tmp_path: Path) -> None:
        for number in range(10):
            path = tmp_path / f"{number}.sqlite"
            assert in_threads(open_and_close, [(path,)] * 6) == [None] * 6


def open_and_close(path: Path) -> None:
    SqliteCatalog(path).close()


class TestFailures:
    def test_a_locked_file_is_unavailable(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adapter, "_BUSY_SECONDS", 0)
        with open_sqlite(path) as catalog, closing(sqlite3.connect(path)) as other:
            lease = acquire(catalog)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked"):
                catalog.complete(lease, lease.record)
            assert catalog.get(lease.image_id) == lease.record
            other.execute("ROLLBACK")
            catalog.complete(lease, lease.record)

    def test_waiting_for_wal_mode_has_a_timeout(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adapter, "_BUSY_SECONDS", 0)
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE t (x)")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Unavailable, match="locked"):
                SqliteCatalog(path)

    def test_a_full_disk_is_unavailable_and_writes_nothing(self, path: Path) -> None:
        with open_sqlite(path) as catalog:
            lease = acquire(catalog)
            (pages,) = catalog._connection.execute("PRAGMA page_count").fetchone().values()
            catalog._connection.execute(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(Unavailable, match="full"):
                catalog.complete(lease, replace(lease.record, message="m" * 100_000))
            assert catalog.get(lease.image_id) == lease.record
            assert catalog.complete(lease, lease.record).revision == 1

    def test_a_damaged_file_is_unavailable(self, path: Path) -> None:
        path.write_bytes(b"not a database, " * 100)
        with pytest.raises(Unavailable, match="not a database"):
            SqliteCatalog(path)

    def test_a_folder_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(Unavailable) as caught:
            SqliteCatalog(tmp_path / "file" / "catalog.sqlite")
        assert str(tmp_path) not in str(caught.value)

    def test_text_that_is_not_unicode_is_invalid(self) -> None:
        with closing(SqliteCatalog(":memory:")) as catalog:
            for call in (
                lambda: catalog.get("\ud800"),
                lambda: acquire(catalog, owner="\ud800"),
                lambda: catalog.list(Query(prefix="\ud800"), limit=1),
            ):
                with pytest.raises(Invalid, match="valid Unicode"):
                    call()


def acquire_and_die(path: Path, key: str) -> None:
    catalog = SqliteCatalog(path)
    acquire(catalog, key, owner="server:1:worker")
    catalog._connection.execute("BEGIN IMMEDIATE")
    catalog._connection.execute("UPDATE records SET message = 'partial'")
    os.kill(os.getpid(), signal.SIGKILL)


class TestReleaseOwner:
    def test_releases_all_leases_of_a_dead_owner(self) -> None:
        with closing(SqliteCatalog(":memory:")) as catalog:
            for key, owner in (
                ("a", "srv%:1"),
                ("b", "srv%:2"),
                ("c", "srvx:1"),
                ("d", "SRV%:1"),
                ("e", "a srv%"),
            ):
                acquire(catalog, key, owner=owner)
            given_up = acquire(catalog, "f", owner="srv%:3")
            catalog.release(given_up)
            assert catalog.release_owner("srv%:") == 2
            assert catalog.release_owner("srv%:") == 0
            for key in ("a", "b"):
                acquire(catalog, key)
            for key in ("c", "d", "e"):
                with pytest.raises(LeaseBusy):
                    acquire(catalog, key)

    def test_a_killed_process_leaves_its_lease_and_no_partial_change(self, path: Path) -> None:
        process = multiprocessing.get_context("spawn").Process(target=acquire_and_die, args=(path, "key"))
        process.start()
        process.join(timeout=60)
        assert process.exitcode == -signal.SIGKILL
        with open_sqlite(path) as catalog:
            with pytest.raises(LeaseBusy):
                acquire(catalog, "key")
            assert catalog.release_owner("server:1:") == 1
            assert acquire(catalog, "key").record.message is None


class TestScan:
    def test_continues_page_by_page_while_records_are_deleted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adapter, "_SCAN_PAGE", 3)
        with closing(SqliteCatalog(":memory:")) as catalog:
            keys = {f"{number}" for number in range(10)}
            for key in keys:
                catalog.release(acquire(catalog, key))
            seen = []
            for record in catalog.scan():
                seen.append(record.key)
                catalog.delete(acquire(catalog, record.key))
            assert sorted(seen) == sorted(keys)
            assert list(catalog.scan()) == []


def test_a_slow_listing_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end, as_dict = threading.Event(), threading.Event(), adapter._row_as_dict

    def read_row(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
        if threading.current_thread().name.startswith("slow"):
            begun.set()
            end.wait(60)
        return as_dict(cursor, row)

    monkeypatch.setattr(adapter, "_row_as_dict", read_row)
    with open_sqlite(path) as catalog, ThreadPoolExecutor(1, "slow") as slow, ThreadPoolExecutor(1) as others:
        catalog.release(acquire(catalog, "a"))
        listed = slow.submit(catalog.list, Query(), limit=10)
        try:
            assert begun.wait(30)
            lease = others.submit(acquire, catalog, "b").result(30)
            assert others.submit(catalog.get, lease.image_id).result(30) == lease.record
            assert len(others.submit(catalog.list, Query(), limit=10).result(30).records) == 2
        finally:
            end.set()
        assert [record.key for record in listed.result(30).records] == ["a"]


def test_more_listings_than_connections_wait_for_one(path: Path) -> None:
    with open_sqlite(path) as catalog:
        catalog.release(acquire(catalog, "a"))
        pages = in_threads(partial(catalog.list, limit=10), [(Query(),)] * 4 * MAX_READERS)
        assert [len(page.records) for page in pages] == [1] * 4 * MAX_READERS


@pytest.mark.parametrize("page", [1, 500])
def test_states_are_those_of_the_records_in_the_order_of_keys(
    page: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_SCAN_PAGE", page)
    with open_sqlite(path) as catalog:
        for key in ("b", "a/b", "\U0010ffff", "\ue000", "a"):
            lease = acquire(catalog, key)
            metadata = ImageMetadata(4, 3, "webp", 1, False, 5, "ab" * 32)
            rendition = Rendition(f"{key}/w=4,fm=webp.webp", "w=4,fm=webp", metadata, f"version of {key}")
            original = (
                None
                if key == "b"
                else replace(metadata, format="png" if key == "a/b" else "webp", alpha=True)
            )
            done = replace(lease.record, status=Status.PROCESSED, original=original, renditions=(rendition,))
            catalog.complete(lease, done)
        catalog.acquire(Upload("other", "a"), owner="a", now=NOW, duration=timedelta(1))
        states = {state.key: state for state in catalog.scan_states("uploads")}
        assert list(states) == ["a", "a/b", "b", "\ue000", "\U0010ffff"]
        # Of other formats nobody asks whether they have alpha.
        kinds = defaultdict(lambda: ("webp", True), {"b": (None, False), "a/b": ("png", False)})
        for record in catalog.scan():
            versions = {rendition.key: rendition.version for rendition in record.renditions}
            parts = (record.status, record.version, record.fingerprint, record.reason)
            if record.bucket == "uploads":
                assert list(versions.values()) == [f"version of {record.key}"]
                assert states[record.key] == RecordState(record.key, *parts, versions, *kinds[record.key])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE records SET renditions = '{' WHERE key = 'a'")
    with open_sqlite(path) as catalog:
        assert next(catalog.scan_states("uploads")).status is Status.PROCESSING


@pytest.mark.parametrize("max_sorted", [0, 4])
def test_a_prefix_selects_the_same_records_with_and_without_the_index_of_keys(
    max_sorted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys next to each other in the order of bytes, and the last code points."""
    monkeypatch.setattr(adapter, "MAX_SORTED", max_sorted)
    top, before_surrogates = "\U0010ffff", "\ud7ff"
    keys = ["a", "a/b", "a0", "A/b", top, f"{top}{top}b", f"x{top}", "x\ue000", f"x{before_surrogates}", "y"]
    with open_sqlite(":memory:") as catalog:
        for number, key in enumerate(keys):
            acquire(catalog, key, now=NOW + timedelta(seconds=number))
        for prefix in ("a", "a/", "A", "x", f"x{before_surrogates}", f"x{top}", top, f"{top}{top}", "b"):
            expected = [key for key in reversed(keys) if key.startswith(prefix)]
            first = catalog.list(Query(prefix), limit=1)
            rest = catalog.list(Query(prefix), limit=9, cursor=first.cursor) if first.cursor else None
            found = [*first.records, *(rest.records if rest else ())]
            assert [record.key for record in found] == expected
            processing = catalog.list(Query(prefix, status=Status.PROCESSING), limit=9).records
            assert [record.key for record in processing] == expected
            assert catalog.list(Query(prefix, status=Status.REFUSED), limit=9).records == ()


def test_a_database_in_memory_is_shared_by_threads_only() -> None:
    with closing(SqliteCatalog(":memory:")) as catalog, closing(SqliteCatalog(":memory:")) as other:
        in_threads(acquire, [(catalog, f"{number}") for number in range(6)])
        assert len(list(catalog.scan())) == 6
        assert list(other.scan()) == []
