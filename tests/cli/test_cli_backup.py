"""`backup` and `restore`: a consistent file, written while others write, and restored safely."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.catalog.sqlite import backup as sqlite_backup
from image_processor.catalog.sqlite.backup import back_up, restore
from image_processor.catalog.sqlite.schema import MIGRATIONS
from image_processor.domain.models import Upload
from image_processor.standalone.data_dir_lock import DataDirLock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CATALOG = Path("data/catalog.sqlite")


@pytest.fixture
def library(run):
    """Three originals with their renditions, and `run`."""
    Path("r.toml").write_text(RECIPE)
    for name in ("a", "b", "c"):
        draw(f"data/uploads/{name}.jpg")
    assert run("reconcile", "--recipe", "r.toml")[0] == 0
    return run


@pytest.fixture
def kept(run):
    """A catalog of three records, and `run`."""
    catalog = SqliteCatalog(CATALOG)
    for name in ("a", "b", "c"):
        claim(catalog, f"{name}.jpg")
    catalog.close()
    return run


def records(file: Path) -> dict[str, str | None]:
    catalog = SqliteCatalog(file)
    found = {record.key: record.version for record in catalog.scan()}
    catalog.close()
    return found


def claim(catalog: SqliteCatalog, key: str, owner: str = "someone"):
    return catalog.acquire(Upload("uploads", key), owner=owner, now=NOW, duration=timedelta(days=9999))


def test_after_a_restore_reconcile_brings_the_catalog_up_to_date(library):
    assert library("backup", "copy.sqlite") == (0, "3 records in copy.sqlite\n", "")
    draw("data/uploads/a.jpg", size=(30, 40))
    Path("data/uploads/b.jpg").unlink()
    shutil.copy("data/uploads/c.jpg", "data/uploads/d.jpg")
    library("reconcile", "--recipe", "r.toml")
    true_now = records(CATALOG)
    files = sorted(Path("data/processed").rglob("*.webp"))

    status, out, err = library("restore", "copy.sqlite", "--force")
    assert (status, out) == (0, "3 records in data/catalog.sqlite\n")
    assert "next: image-processor reconcile" in err
    assert set(records(CATALOG)) == {"a.jpg", "b.jpg", "c.jpg"}
    library("reconcile", "--recipe", "r.toml")
    assert records(CATALOG) == true_now
    assert sorted(Path("data/processed").rglob("*.webp")) == files


def test_a_restored_catalog_needs_no_processing(library):
    library("backup", "copy.sqlite")
    before = records(CATALOG)
    for file in Path("data").glob("catalog.sqlite*"):
        file.unlink()
    assert library("restore", "copy.sqlite")[0] == 0
    assert records(CATALOG) == before
    assert library("reconcile", "--recipe", "r.toml") == (0, "0 found\n", "")


def test_a_backup_is_consistent_during_writes(tmp_path):
    """Pairs of records, written one after the other: no copy may hold a second one without its first,
    nor two records more than were there at any moment."""
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    stop = threading.Event()

    def write():
        for number in range(100_000):
            claim(catalog, f"{number:06}-first")
            claim(catalog, f"{number:06}-second")
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(10):
            counts.append(back_up(tmp_path / "catalog.sqlite", tmp_path / f"{number}.sqlite"))
            keys = set(records(tmp_path / f"{number}.sqlite"))
            assert len(keys) == counts[-1]
            assert {key.replace("second", "first") for key in keys} <= keys
            whole = {int(key[:6]) for key in keys}
            assert whole == set(range(len(whole)))
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    catalog.close()


def test_a_backup_overwrites_a_file_only_with_force(kept):
    Path("copy.sqlite").write_text("something of mine")
    status, _, err = kept("backup", "copy.sqlite")
    assert status == 2
    assert err == "error: expected no file, or --force to replace it, for copy.sqlite, got one\n"
    assert Path("copy.sqlite").read_text() == "something of mine"
    assert kept("backup", "copy.sqlite", "--force")[0] == 0
    assert len(records(Path("copy.sqlite"))) == 3


def test_a_backup_without_a_catalog_is_an_error(run):
    status, _, err = run("backup", "copy.sqlite")
    assert status == 2
    assert "expected a data directory with a catalog for --data" in err
    assert not Path("copy.sqlite").exists()
    assert not Path("data").exists()


def test_a_restore_overwrites_a_catalog_only_with_force(kept):
    kept("backup", "copy.sqlite")
    catalog = SqliteCatalog(CATALOG)
    claim(catalog, "later.jpg")
    catalog.close()
    status, _, err = kept("restore", "copy.sqlite")
    assert status == 2
    assert "expected no file, or --force to replace it, for data/catalog.sqlite" in err
    assert set(records(CATALOG)) == {"a.jpg", "b.jpg", "c.jpg", "later.jpg"}


def test_a_restore_fails_while_a_server_runs(kept):
    kept("backup", "copy.sqlite")
    before = CATALOG.read_bytes()
    with DataDirLock(Path("data")):
        status, _, err = kept("restore", "copy.sqlite", "--force")
    assert status == 3
    assert err == "error: a server already works on data; stop it first\n"
    assert CATALOG.read_bytes() == before


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4096])


def scribble(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[4096 : len(body) - 4096] = b"\xa5" * (len(body) - 8192)
    file.write_bytes(body)


def empty_an_index(file: Path) -> None:
    """Damage that no statement stumbles over: rows that an index does not know."""
    connection = sqlite3.connect(file)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_time'"
    ).fetchone()
    connection.close()
    body = bytearray(file.read_bytes())
    body[(page - 1) * 4096 : page * 4096] = bytes([10, 0, 0, 0, 0, 16, 0, 0]).ljust(4096, b"\0")
    file.write_bytes(body)


def no_database(file: Path) -> None:
    file.write_text("hello" * 1000)


def another_database(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def newer(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut, "malformed"),
        (scribble, ""),
        (empty_an_index, "row 1 missing from index records_by_time"),
        (no_database, "file is not a database"),
        (another_database, "no table of records"),
        (newer, f"expected schema version 1-{len(MIGRATIONS)}, got {len(MIGRATIONS) + 1}"),
    ],
)
def test_a_restore_refuses_an_invalid_catalog(kept, harm, told):
    kept("backup", "copy.sqlite")
    harm(Path("copy.sqlite"))
    before = records(CATALOG)
    status, out, err = kept("restore", "copy.sqlite", "--force")
    assert (status, out) == (2, "")
    assert err.startswith("error: expected a backup of a catalog for FILE, got ")
    assert "copy.sqlite: " in err
    assert told in err
    assert records(CATALOG) == before
    assert not [path for path in Path("data").iterdir() if path.name.startswith(".catalog")]


def test_a_damaged_catalog_cannot_be_backed_up(kept):
    scribble(CATALOG)
    status, _, err = kept("backup", "copy.sqlite")
    assert status == 3
    assert "the catalog cannot be copied" in err
    assert list(Path().glob("*copy*")) == []


def test_a_damaged_catalog_can_be_replaced(kept):
    kept("backup", "copy.sqlite")
    scribble(CATALOG)
    assert kept("restore", "copy.sqlite", "--force")[0] == 0
    assert len(records(CATALOG)) == 3


def test_the_write_ahead_log_of_the_old_catalog_is_removed(tmp_path):
    old, copy = tmp_path / "catalog.sqlite", tmp_path / "copy.sqlite"
    catalog = SqliteCatalog(old)
    claim(catalog, "kept")
    back_up(old, copy)
    claim(catalog, "later")
    wal = Path(f"{old}-wal").read_bytes()
    catalog.close()
    Path(f"{old}-wal").write_bytes(wal)  # as a kill leaves it
    assert restore(copy, old) == 1
    assert not Path(f"{old}-wal").exists()
    assert set(records(old)) == {"kept"}


def test_a_kill_before_the_replacement_leaves_the_old_catalog(tmp_path, monkeypatch):
    old, copy = tmp_path / "catalog.sqlite", tmp_path / "copy.sqlite"
    catalog = SqliteCatalog(old)
    back_up(old, copy)
    claim(catalog, "later")
    catalog.close()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite_backup.Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(copy, old)
    monkeypatch.undo()
    assert set(records(old)) == {"later"}


def test_a_restored_lease_delays_no_work(tmp_path):
    old, copy = tmp_path / "catalog.sqlite", tmp_path / "copy.sqlite"
    catalog = SqliteCatalog(old)
    claim(catalog, "a.jpg", owner="reconcile:1")
    back_up(old, copy)
    catalog.close()
    restore(copy, old)
    catalog = SqliteCatalog(old)
    assert claim(catalog, "a.jpg", owner="another").owner == "another"
    catalog.close()


def test_a_backup_of_an_earlier_version_is_migrated(tmp_path):
    copy = tmp_path / "copy.sqlite"
    connection = sqlite3.connect(copy)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert restore(copy, tmp_path / "catalog.sqlite") == 0
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()
