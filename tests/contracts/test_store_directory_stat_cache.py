"""A directory store remembers what it has seen, and forgets as soon as the file is another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from contract_keys import FULL
from directory_folders import PNG, drop

from image_processor.domain.errors import NotFound, Refused, Unavailable
from image_processor.domain.ports import Attributes
from image_processor.storage.directory import DirectoryStore, stat_cache
from image_processor.storage.directory.root_folder import RootFolder

KEY = "folder/key"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    store = DirectoryStore(root)
    store.put(KEY, b"body", FULL)
    store.head(KEY)
    return store


def test_a_second_look_opens_nothing(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    known = store.head(KEY)
    monkeypatch.setattr(RootFolder, "folder", None)
    assert store.head(KEY) == known
    assert known.attributes == FULL
    assert known.body == b""


def test_bytes_that_were_read_are_not_kept(store: DirectoryStore) -> None:
    assert store.get(KEY).body == b"body"
    assert store.head(KEY).body == b""


def _overwritten(root: Path) -> None:
    DirectoryStore(root).put(KEY, b"other", Attributes("image/png"))


def _same_size_and_time(root: Path) -> None:
    before = (root / KEY).stat()
    (root / KEY).write_bytes(b"BODY")
    os.utime(root / KEY, ns=(before.st_mtime_ns, before.st_mtime_ns))


def _another_file(root: Path) -> None:
    drop(root / "new")
    (root / "new").rename(root / KEY)


@pytest.mark.parametrize("change", [_overwritten, _another_file])
def test_a_change_by_somebody_else_shows(
    store: DirectoryStore, root: Path, change: Callable[[Path], None]
) -> None:
    before = store.head(KEY)
    change(root)
    after = store.head(KEY)
    assert after.entry != before.entry
    assert after.attributes == Attributes("image/png")
    assert after == DirectoryStore(root).head(KEY)


def test_a_file_that_was_changed_and_given_its_old_time_is_looked_at_again(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _same_size_and_time(root)
    looked = []
    monkeypatch.setattr(RootFolder, "open", lambda _, path: looked.append(path))
    with pytest.raises(NotFound):
        store.head(KEY)
    assert looked


def test_what_is_gone_is_gone(store: DirectoryStore, root: Path) -> None:
    (root / KEY).unlink()
    with pytest.raises(NotFound):
        store.head(KEY)


def test_a_root_that_is_gone_is_not_empty(store: DirectoryStore, root: Path) -> None:
    shutil.rmtree(root)
    with pytest.raises(Unavailable):
        store.head(KEY)


def test_a_link_that_leads_out_later_is_refused(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(PNG)
    shutil.rmtree(root / "folder")
    (root / "folder").symlink_to(outside)
    with pytest.raises(Refused):
        store.head(KEY)


def test_the_oldest_memory_goes(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_cache, "_MAX_OBJECTS", 2)
    for key in ("b", "c"):
        store.put(key, b"", FULL)
        store.head(key)
    looked = []
    opened = RootFolder.open
    monkeypatch.setattr(RootFolder, "open", lambda self, path: looked.append(path) or opened(self, path))
    for key in ("b", "c", KEY):
        store.head(key)
    assert looked == [(b"folder", b"key")]
