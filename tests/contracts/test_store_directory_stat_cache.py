"""The directory store: cached metadata is used only while the file is unchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from contract_keys import FULL
from directory_folders import PNG, create_file

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


def test_a_repeated_head_opens_nothing(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    known = store.head(KEY)
    monkeypatch.setattr(RootFolder, "folder", None)
    assert store.head(KEY) == known
    assert known.attributes == FULL
    assert known.body == b""


def test_bodies_are_not_cached(store: DirectoryStore) -> None:
    assert store.get(KEY).body == b"body"
    assert store.head(KEY).body == b""


def _overwritten(root: Path) -> None:
    DirectoryStore(root).put(KEY, b"other", Attributes("image/png"))


def _same_size_and_time(root: Path) -> None:
    before = (root / KEY).stat()
    (root / KEY).write_bytes(b"BODY")
    os.utime(root / KEY, ns=(before.st_mtime_ns, before.st_mtime_ns))


def _another_file(root: Path) -> None:
    create_file(root / "new")
    (root / "new").rename(root / KEY)


@pytest.mark.parametrize("change", [_overwritten, _another_file])
def test_a_change_by_another_process_is_noticed(
    store: DirectoryStore, root: Path, change: Callable[[Path], None]
) -> None:
    before = store.head(KEY)
    change(root)
    after = store.head(KEY)
    assert after.entry != before.entry
    assert after.attributes == Attributes("image/png")
    assert after == DirectoryStore(root).head(KEY)


def test_a_changed_file_with_its_old_mtime_is_read_again(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _same_size_and_time(root)
    opened_paths = []
    monkeypatch.setattr(RootFolder, "open", lambda _, path: opened_paths.append(path))
    with pytest.raises(NotFound):
        store.head(KEY)
    assert opened_paths


def test_a_deleted_file_is_not_found(store: DirectoryStore, root: Path) -> None:
    (root / KEY).unlink()
    with pytest.raises(NotFound):
        store.head(KEY)


def test_a_missing_root_is_unavailable(store: DirectoryStore, root: Path) -> None:
    shutil.rmtree(root)
    with pytest.raises(Unavailable):
        store.head(KEY)


def test_a_folder_replaced_by_a_link_out_is_refused(
    store: DirectoryStore, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(PNG)
    shutil.rmtree(root / "folder")
    (root / "folder").symlink_to(outside)
    with pytest.raises(Refused):
        store.head(KEY)


def test_the_oldest_object_is_evicted(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_cache, "_MAX_OBJECTS", 2)
    for key in ("b", "c"):
        store.put(key, b"", FULL)
        store.head(key)
    opened_paths = []
    opened = RootFolder.open
    monkeypatch.setattr(
        RootFolder, "open", lambda self, path: opened_paths.append(path) or opened(self, path)
    )
    for key in ("b", "c", KEY):
        store.head(key)
    assert opened_paths == [(b"folder", b"key")]
