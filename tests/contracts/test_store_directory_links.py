"""The directory store: symbolic links and special files. Nothing outside the root is read or written."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from contract_keys import FULL, PLAIN, keys_of

from image_processor.domain.errors import ImageProcessorError, NotFound, Reason, Refused
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

SECRET = b"outside the root"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_bytes(b"inside")
    return root


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    # Its name starts with the name of the root.
    outside = tmp_path / "root-of-others"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    return outside


def all_calls(store: DirectoryStore, key: str) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.head(key),
        lambda: store.get(key),
        lambda: store.read(key, 0, 1),
        lambda: store.put(key, b"new", PLAIN),
        lambda: store.put_stream(key, [b"new"], PLAIN, limit=9),
    )


def expect_refused(call: Callable[[], object]) -> None:
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.reason is Reason.OUTSIDE_ROOT


class TestLinksOutside:
    @pytest.mark.parametrize(
        "target",
        [
            "../root-of-others/file",
            "{outside}/file",
            "folder/../../root-of-others/file",
            "{outside}",
            "..",
            "../absent",
            "/dev/zero",
            "chain",
            f"{PRIVATE_FOLDER}/lock",
            PRIVATE_FOLDER,
        ],
    )
    def test_are_listed_and_refused(
        self, store: DirectoryStore, root: Path, outside: Path, target: str
    ) -> None:
        store.put("zebra", b"", PLAIN)
        (root / "chain").symlink_to(outside / "file")
        link = root / "link"
        link.symlink_to(target.format(outside=outside))
        listed = {entry.key: entry for entry in store.list()}
        assert listed.keys() == {"chain", "folder/file", "link", "zebra"}
        assert listed["link"].size == link.lstat().st_size
        for call in all_calls(store, "link"):
            expect_refused(call)
        assert (outside / "file").read_bytes() == SECRET

    def test_are_deleted_without_their_targets(
        self, store: DirectoryStore, root: Path, outside: Path
    ) -> None:
        for name, target in (("file-link", outside / "file"), ("folder-link", outside)):
            (root / name).symlink_to(target)
            store.delete(name)
            assert not (root / name).is_symlink()
        assert (outside / "file").read_bytes() == SECRET

    @pytest.mark.parametrize("key", ["link/file", "link/new", "link/a/b", "folder/deep/file"])
    def test_no_key_passes_through(self, store: DirectoryStore, root: Path, outside: Path, key: str) -> None:
        (root / "link").symlink_to(outside)
        (root / "folder" / "deep").symlink_to("../../root-of-others")
        for call in (*all_calls(store, key), lambda: store.delete(key)):
            expect_refused(call)
        assert list(store.list("link/")) == []
        assert keys_of(store.list()) == ["folder/deep", "folder/file", "link"]
        assert [path.name for path in outside.iterdir()] == ["file"]

    def test_cannot_redirect_the_private_folder(
        self, store: DirectoryStore, root: Path, outside: Path
    ) -> None:
        (root / PRIVATE_FOLDER).symlink_to(outside)
        with pytest.raises(ImageProcessorError):
            store.put("key", b"", PLAIN)
        assert [path.name for path in outside.iterdir()] == ["file"]


class TestLinksInside:
    def test_to_a_file_are_objects(self, store: DirectoryStore, root: Path) -> None:
        (root / "link").symlink_to("folder/file")
        assert store.get("link").body == b"inside"
        assert [(entry.key, entry.size) for entry in store.list()] == [("folder/file", 6), ("link", 6)]
        assert [store.head(entry.key).entry for entry in store.list()] == list(store.list())

    def test_to_a_file_are_replaced_and_deleted_instead_of_the_file(
        self, store: DirectoryStore, root: Path
    ) -> None:
        for name in ("one", "two"):
            (root / name).symlink_to("folder/file")
        store.put("one", b"new", FULL, condition=store.head("one").entry.version)
        store.delete("two")
        assert keys_of(store.list()) == ["folder/file", "one"]
        assert store.get("one").body == b"new"
        assert store.get("folder/file").body == b"inside"

    def test_to_a_folder_are_a_second_name_of_it(self, store: DirectoryStore, root: Path) -> None:
        (root / "link").symlink_to(root / "folder")
        store.put("link/new", b"1", FULL)
        assert keys_of(store.list()) == ["folder/file", "folder/new", "link/file", "link/new"]
        assert keys_of(store.list("link/n")) == ["link/new"]
        store.put("link", b"an object of that name", PLAIN)
        assert store.get("link").body == b"an object of that name"
        assert store.get("link/file").body == b"inside"
        store.delete("link/new")
        assert (root / "link").is_symlink()

    def test_that_form_a_cycle_end(self, store: DirectoryStore, root: Path) -> None:
        (root / "here").symlink_to(".")
        (root / "folder" / "up").symlink_to("..")
        (root / "folder" / "other").symlink_to("../second")
        (root / "second").mkdir()
        (root / "second" / "back").symlink_to("../folder")
        assert keys_of(store.list()) == ["folder/file", "second/back/file"]
        assert store.get("here/folder/up/here/folder/file").body == b"inside"

    @pytest.mark.parametrize("target", ["absent", "link"])
    def test_without_a_target_are_no_objects(self, store: DirectoryStore, root: Path, target: str) -> None:
        (root / "link").symlink_to(target)
        with pytest.raises(NotFound):
            store.get("link")
        assert keys_of(store.list()) == ["folder/file"]
        store.put("link", b"new", FULL)
        assert store.get("link").body == b"new"
        assert keys_of(store.list()) == ["folder/file", "link"]
        store.delete("link")
        assert keys_of(store.list()) == ["folder/file"]

    def test_to_the_root_are_the_root(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "alias").symlink_to(root)
        store = DirectoryStore(tmp_path / "alias")
        store.put("key", b"", PLAIN)
        assert keys_of(store.list()) == ["folder/file", "key"]


class TestSpecialFiles:
    @pytest.fixture(params=["fifo", "socket"])
    def special(self, request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = root / "special"
        if request.param == "fifo":
            os.mkfifo(path)
        else:
            # The path of a socket is limited to 108 bytes, so it must be relative.
            monkeypatch.chdir(root)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind("special")
        return path

    def test_are_no_objects(self, store: DirectoryStore, root: Path, special: Path) -> None:
        (root / "link").symlink_to("special")
        for key in ("special", "link"):
            for read in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(NotFound):
                    read(key)
            store.delete(key)
        assert keys_of(store.list()) == ["folder/file"]
        assert special.exists()

    def test_keep_their_name_beside_an_object(self, store: DirectoryStore, special: Path) -> None:
        kind = stat.S_IFMT(special.lstat().st_mode)
        store.put("special", b"object", FULL)
        assert store.get("special").body == b"object"
        assert stat.S_IFMT(special.lstat().st_mode) == kind
        store.delete("special")
        assert stat.S_IFMT(special.lstat().st_mode) == kind


def swap_for_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside / "file")


def swap_for_fifo(path: Path, _outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap_folder_for_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(outside)


def read_whole(store: DirectoryStore, key: str) -> bytes:
    return b"".join(store.read(key, 0, 99))


def get_whole(store: DirectoryStore, key: str) -> bytes:
    return store.get(key).body


@pytest.mark.parametrize("swap", [swap_for_link, swap_for_fifo, swap_folder_for_link])
class TestSwappedBetweenCheckAndOpen:
    """An attacker who can write to the folder replaces a file between check and open."""

    @pytest.mark.parametrize("read", [read_whole, get_whole])
    @pytest.mark.parametrize("at", range(1, 4))
    def test_is_never_followed_and_never_blocks(
        self,
        store: DirectoryStore,
        root: Path,
        outside: Path,
        monkeypatch: pytest.MonkeyPatch,
        swap: Callable[[Path, Path], None],
        at: int,
        read: Callable[[DirectoryStore, str], bytes],
    ) -> None:
        calls = 0

        def then_swap(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*given: Any, dir_fd: int | None = None, **named: Any) -> Any:
                nonlocal calls
                got = call(*given, dir_fd=dir_fd, **named)
                calls += dir_fd is not None
                if calls == at:
                    calls += 1
                    swap(root / "folder" / "file", outside)
                return got

            return called

        # In order: the folder is opened, the file is checked, the file is opened.
        for name in ("stat", "open"):
            monkeypatch.setattr(os, name, then_swap(getattr(os, name)))
        try:
            body = read(store, "folder/file")
        except (NotFound, Refused):
            body = b""
        assert body in {b"", b"inside"}
        with suppress(ImageProcessorError):
            store.put("folder/file", b"new", PLAIN)
        assert (outside / "file").read_bytes() == SECRET
        assert [path.name for path in outside.iterdir()] == ["file"]
        assert calls >= at
