"""The directory store: the paths of objects, and their versions."""

from __future__ import annotations

import errno
import os
import time
from datetime import MAXYEAR, MINYEAR
from pathlib import Path
from typing import Any

import pytest
from contract_keys import FULL, PLAIN, SHORT_KEYS
from directory_folders import PNG, create_file, tree
from domain_strategies import KEYS
from hypothesis import given

from image_processor.domain.errors import PreconditionFailed
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore, paths
from image_processor.storage.directory.object_files import entry_from_stat


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


class TestPaths:
    def test_folders_are_removed_with_their_last_object(self, store: DirectoryStore, root: Path) -> None:
        for key in ("a/b/c/1", "a/b/2"):
            store.put(key, b"", PLAIN)
        store.delete("a/b/c/1")
        assert tree(root).keys() >= {"a/b/2"}
        assert not (root / "a" / "b" / "c").exists()
        store.delete("a/b/2")
        assert [path.name for path in root.iterdir()] == [PRIVATE_FOLDER]

    def test_an_object_stays_at_its_encoded_path(self, store: DirectoryStore, root: Path) -> None:
        store.put("a/b", b"in the way", PLAIN)
        store.put("a", b"1", FULL)
        store.delete("a/b")
        assert store.get("a").body == b"1"
        second = store.put("a", b"2", FULL)
        assert list(store.list()) == [second]
        assert not (root / "a").exists()

    def test_a_user_file_hides_an_encoded_object(self, store: DirectoryStore, root: Path) -> None:
        store.put("a/b", b"in the way", PLAIN)
        store.put("a", b"encoded", FULL)
        store.delete("a/b")
        create_file(root / "a")
        assert store.get("a").body == PNG
        assert [entry.size for entry in store.list()] == [len(PNG)]
        store.delete("a")
        assert list(store.list()) == []

    def test_deleting_both_never_shows_the_hidden_one(
        self, store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("a/b", b"in the way", PLAIN)
        store.put("a", b"encoded", FULL)
        store.delete("a/b")
        create_file(root / "a")
        unlink = os.unlink
        seen: list[int] = []

        def look_first(*arguments: Any, **options: Any) -> None:
            seen.extend(entry.size for entry in DirectoryStore(root).list())
            unlink(*arguments, **options)

        monkeypatch.setattr(os, "unlink", look_first)
        store.delete("a")
        assert len(seen) >= 2
        assert set(seen) == {len(PNG)}

    @pytest.mark.parametrize("code", [errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EISDIR])
    def test_a_name_that_the_file_system_rejects_is_encoded(
        self, store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        rename = os.rename

        def refuse(source: bytes, target: bytes, **folders: int) -> None:
            if target == b"b?":
                raise OSError(code, os.strerror(code))
            rename(source, target, **folders)

        monkeypatch.setattr(os, "rename", refuse)
        entry = store.put("new/a/b?", b"1", FULL)
        assert not (root / "new").exists()
        assert list(store.list("new/")) == [entry]
        assert store.get("new/a/b?").attributes == FULL

    @given(key=SHORT_KEYS | KEYS)
    def test_an_encoded_key_can_be_decoded(self, key: str) -> None:
        names = paths.encoded_path(key)[len(paths.ENCODED_FOLDER) :]
        pieces = [piece for name in names if (piece := paths.decode_piece(name)) is not None]
        assert b"".join(raw for raw, _ in pieces) == key.encode()
        assert [last for _, last in pieces] == [False] * (len(names) - 1) + [True]
        # eCryptfs limits names to 143 bytes.
        assert all(len(name) <= 143 and b"/" not in name for name in names)
        assert not {b"", b".", b".."} & set(names)


class TestVersions:
    def test_never_repeat(self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time_ns()
        clock = iter(range(now, now - 10**12, -(10**9)))  # set back by a second at each call
        monkeypatch.setattr(time, "time_ns", lambda: next(clock))
        versions = [store.put("key", b"same", PLAIN).version]
        store.delete("key")
        versions += [store.put("key", b"same", PLAIN).version for _ in range(3)]
        assert len(set(versions)) == 4
        for version in versions[:-1]:
            with pytest.raises(PreconditionFailed):
                store.put("key", b"new!", PLAIN, condition=version)

    @pytest.mark.parametrize("grain", [100, 10**3, 10**9, 2 * 10**9])
    def test_differ_on_a_file_system_with_coarse_times(
        self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, grain: int
    ) -> None:
        utime = os.utime
        monkeypatch.setattr(os, "utime", lambda file, ns: utime(file, ns=(ns[0], ns[1] - ns[1] % grain)))
        versions = [store.put("key", b"%d" % number, PLAIN).version for number in range(5)]
        assert len(set(versions)) == 5

    def test_differ_from_that_of_a_user_file(
        self, store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time_ns() + 10**9
        monkeypatch.setattr(time, "time_ns", lambda: now)
        os.utime(create_file(root / "key", b"same size"), ns=(now, now))
        theirs = store.head("key").entry.version
        assert store.put("key", b"SAME SIZE", PLAIN).version != theirs

    def test_exist_for_times_outside_the_calendar(self) -> None:
        for nanoseconds, year in ((10**21, MAXYEAR), (-(10**21), MINYEAR)):
            file = os.stat_result((0,) * 10, {"st_mtime_ns": nanoseconds})
            entry = entry_from_stat("key", file)
            assert (entry.modified.year, entry.version) == (year, f"{nanoseconds:x}-0")
