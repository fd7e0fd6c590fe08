"""The directory store: cached metadata is used only while the file is unchanged."""

from __future__ import annotations

import errno
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


@pytest.fixture
def _tells_what_is_in_memory(store: DirectoryStore) -> None:
    if not store.supports_cached_reads(KEY):
        pytest.skip("this file system does not tell what is in memory")
    store.head(KEY)


@pytest.mark.parametrize(("number", "tells"), [(errno.EAGAIN, True), (errno.EOPNOTSUPP, False)])
def test_a_file_system_that_does_not_tell_what_is_in_memory_is_recognised(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, number: int, tells
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", fail)
    assert store.supports_cached_reads(KEY) is tells
    assert store.supports_cached_reads("none") is False


@pytest.mark.usefixtures("_tells_what_is_in_memory")
def test_bytes_in_memory_are_read_at_once(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RootFolder, "folder", None)
    known = store.head_cached(KEY)
    assert known == store.head(KEY)
    assert (store.read_cached(known, 0, 4), store.read_cached(known, 1, 3)) == (b"body", b"od")


@pytest.mark.usefixtures("_tells_what_is_in_memory")
@pytest.mark.parametrize(
    "change",
    [
        *(_overwritten, _another_file, _same_size_and_time, lambda root: (root / KEY).unlink()),
        lambda root: (root / KEY).rename(root / "moved") or (root / KEY).symlink_to(root / "moved"),
        lambda root: (root / KEY).unlink() or os.mkfifo(root / KEY),
        lambda root: (root / KEY).chmod(0o600),
        shutil.rmtree,
    ],
)
def test_a_changed_object_is_not_read_from_memory(
    store: DirectoryStore, root: Path, change: Callable[[Path], None]
) -> None:
    known = store.head(KEY)
    change(root)
    assert store.read_cached(known, 0, 4) is None
    if not (root / KEY).is_symlink():
        assert store.head_cached(KEY) is None


def test_an_object_that_was_not_seen_is_not_known(store: DirectoryStore, root: Path) -> None:
    known = store.head(KEY)
    other = DirectoryStore(root)
    assert other.head_cached(KEY) is None
    assert other.read_cached(known, 0, 4) is None


@pytest.mark.usefixtures("_tells_what_is_in_memory")
def test_an_older_state_and_what_is_beyond_the_end_are_not_read(store: DirectoryStore, root: Path) -> None:
    known = store.head(KEY)
    assert store.read_cached(known, 0, 5) is None
    _overwritten(root)
    store.head(KEY)
    assert store.read_cached(known, 0, 4) is None


@pytest.mark.usefixtures("_tells_what_is_in_memory")
@pytest.mark.skipif(not stat_cache._NO_WAIT, reason="only Linux reads without waiting")
def test_what_is_not_in_memory_is_not_waited_for(store: DirectoryStore, root: Path) -> None:
    with (root / KEY).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    known = store.head(KEY)
    assert store.read_cached(known, 0, 4) is None
    assert store.get(KEY).body == b"body"
    assert store.read_cached(known, 0, 4) == b"body"
