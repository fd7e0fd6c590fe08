"""What only the directory store has: a folder that users also use, and a private one in it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import MAXYEAR, MINYEAR
from pathlib import Path
from typing import Any

import pytest
from contract_keys import FULL, PLAIN, SHORT_KEYS, in_order, keys_of
from hypothesis import given

from ground_strategies import KEYS
from image_processor.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.ports import Attributes
from image_processor.stores import directory_layout as layout
from image_processor.stores.directory import DirectoryStore
from image_processor.stores.directory_layout import PRIVATE, Root
from image_processor.stores.directory_objects import entry_of

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


def drop(path: Path, body: bytes = PNG) -> Path:
    """What a user does: a file appears, without us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def tree(folder: Path) -> dict[str, int]:
    """Every path below a folder, with its time of change."""
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*")}


class TestDroppedFiles:
    def test_are_objects_as_they_are(self, store: DirectoryStore, root: Path) -> None:
        drop(root / "holiday" / "cat.png")
        (entry,) = store.list()
        assert (entry.key, entry.size) == ("holiday/cat.png", len(PNG))
        stored = store.get("holiday/cat.png")
        assert (stored.entry, stored.body) == (entry, PNG)

    @pytest.mark.parametrize(
        ("body", "media_type"), [(PNG, "image/png"), (b"text", "application/octet-stream")]
    )
    def test_have_a_media_type_by_content(
        self, store: DirectoryStore, root: Path, body: bytes, media_type: str
    ) -> None:
        drop(root / "name.gif", body)
        assert store.head("name.gif").attributes == Attributes(media_type)

    def test_hide_the_attributes_of_what_they_replace(self, store: DirectoryStore, root: Path) -> None:
        old = store.put("key", b"old", FULL)
        drop(root / "key")
        stored = store.get("key")
        assert (stored.body, stored.attributes) == (PNG, Attributes("image/png"))
        with pytest.raises(PreconditionFailed):
            store.put("key", b"new", FULL, condition=old.version)
        assert store.put("key", b"new", FULL, condition=stored.entry.version).size == 3

    def test_are_not_listed_where_no_key_can_name_them(self, store: DirectoryStore, root: Path) -> None:
        drop(root / "good")
        drop(Path(os.fsdecode(os.fsencode(root) + b"/latin\xe9.jpg")))
        drop(Path(os.fsdecode(os.fsencode(root) + b"/folder\xff/a.jpg")))
        drop(root.joinpath(*["deep" * 50] * 6, "a.jpg"))
        assert keys_of(store.list()) == ["good"]

    def test_keep_version_and_attributes_when_copied_with_their_times(
        self, store: DirectoryStore, root: Path, tmp_path: Path
    ) -> None:
        entries = [store.put(key, key.encode(), FULL) for key in ("a", "a/b", "c/d")]
        shutil.copytree(root, tmp_path / "copy")
        copy = DirectoryStore(tmp_path / "copy")
        assert list(copy.list()) == entries
        assert copy.get("a/b").attributes == FULL

    def test_and_ours_have_the_same_permissions(self, store: DirectoryStore, root: Path) -> None:
        theirs = drop(root / "theirs").stat().st_mode
        store.put("ours", b"", PLAIN)
        assert (root / "ours").stat().st_mode == theirs


class TestReadingOnly:
    def test_changes_nothing_in_the_folder(self, store: DirectoryStore, root: Path) -> None:
        drop(root / "a" / "b.png")
        before = tree(root)
        assert keys_of(store.list()) == ["a/b.png"]
        store.head("a/b.png")
        b"".join(store.read("a/b.png", 0, 5))
        store.delete("absent")
        store.delete("a//b.png")
        with pytest.raises(NotFound):
            store.get("a")
        assert tree(root) == before

    def test_works_where_nothing_can_be_written(self, unprivileged_folder: Path) -> None:
        drop(unprivileged_folder / "a.png")
        unprivileged_folder.chmod(0o555)
        store = DirectoryStore(unprivileged_folder)
        with acting_as_nobody():
            assert store.get("a.png").body == PNG
            for write in (
                lambda: store.put("b", b"", PLAIN),
                lambda: store.put_stream("b", [], PLAIN, limit=1),
                lambda: store.delete("a.png"),
            ):
                with pytest.raises(Unavailable) as caught:
                    write()
                assert str(unprivileged_folder) not in str(caught.value)

    def test_passes_by_a_folder_that_may_not_be_opened(self, unprivileged_folder: Path) -> None:
        for name in ("a", "lost+found/b", "z"):
            drop(unprivileged_folder / name)
        (unprivileged_folder / "lost+found").chmod(0)
        store = DirectoryStore(unprivileged_folder)
        with acting_as_nobody():
            assert keys_of(store.list()) == ["a", "z"]
            with pytest.raises(Unavailable):
                store.get("lost+found/b")


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder that any user reaches; pytest's own are for their owner only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        for inner in (path, *path.rglob("*")):
            inner.chmod(0o755)


@contextmanager
def acting_as_nobody() -> Iterator[None]:
    """Permissions do not bind root, who runs the tests in a container."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestPrivateFolder:
    def test_is_reached_by_no_key_and_shown_in_no_listing(self, store: DirectoryStore, root: Path) -> None:
        store.put("a", b"", PLAIN)
        inside = [str(path.relative_to(root)) for path in (root / PRIVATE).rglob("*") if path.is_file()]
        assert inside
        for key in (*inside, f"./{inside[0]}", f"x/../{inside[0]}"):
            with pytest.raises(NotFound):
                store.get(key)
        assert keys_of(store.list()) == ["a"]
        assert keys_of(store.list(PRIVATE)) == []

    def test_made_by_hand_elsewhere_is_an_ordinary_folder(self, store: DirectoryStore, root: Path) -> None:
        drop(root / "x" / PRIVATE / "y")
        assert keys_of(store.list()) == [f"x/{PRIVATE}/y"]

    def test_with_strange_files_in_it_does_no_harm(self, store: DirectoryStore, root: Path) -> None:
        store.put("a//b", b"", PLAIN)
        drop(root / PRIVATE / "odd" / "stranger")
        drop(root / PRIVATE / "odd" / "folder" / "a=")
        assert keys_of(store.list()) == ["a//b"]

    @pytest.mark.parametrize(
        "text", [b"", b"{", b"[]", b'{"versions": []}', b'{"versions": {"V": {"x": 1}}}']
    )
    def test_with_broken_attributes_lets_content_speak(
        self, store: DirectoryStore, root: Path, text: bytes
    ) -> None:
        version = store.put("key", PNG, FULL).version
        (sidecar,) = (root / PRIVATE / "attributes").rglob("*.json")
        sidecar.write_bytes(text.replace(b"V", version.encode()))
        assert store.get("key").attributes == Attributes("image/png")
        store.put("key", PNG, FULL)
        assert store.get("key").attributes == FULL

    def test_holds_nothing_of_deleted_objects(self, store: DirectoryStore, root: Path) -> None:
        for key in ("a", "a/b", "x" * 300):
            store.put(key, b"1", FULL)
            store.put(key, b"2", FULL)
            store.delete(key)
        left = [path.name for path in (root / PRIVATE).rglob("*") if path.is_file()]
        assert left == ["lock"]


class TestPlaces:
    def test_emptied_folders_go_with_their_last_object(self, store: DirectoryStore, root: Path) -> None:
        for key in ("a/b/c/1", "a/b/2"):
            store.put(key, b"", PLAIN)
        store.delete("a/b/c/1")
        assert tree(root).keys() >= {"a/b/2"}
        assert not (root / "a" / "b" / "c").exists()
        store.delete("a/b/2")
        assert [path.name for path in root.iterdir()] == [PRIVATE]

    def test_an_object_stays_found_when_what_was_in_its_way_goes(
        self, store: DirectoryStore, root: Path
    ) -> None:
        store.put("a/b", b"in the way", PLAIN)
        store.put("a", b"1", FULL)
        store.delete("a/b")
        assert store.get("a").body == b"1"
        second = store.put("a", b"2", FULL)
        assert list(store.list()) == [second]
        assert not (root / "a").exists()

    def test_a_file_dropped_over_an_odd_object_is_the_object(self, store: DirectoryStore, root: Path) -> None:
        store.put("a/b", b"in the way", PLAIN)
        store.put("a", b"odd", FULL)
        store.delete("a/b")
        drop(root / "a")
        assert store.get("a").body == PNG
        assert [entry.size for entry in store.list()] == [len(PNG)]
        store.delete("a")
        assert list(store.list()) == []

    @pytest.mark.parametrize("code", [errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EISDIR])
    def test_a_name_that_the_file_system_refuses_is_kept_elsewhere(
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
    def test_the_encoding_of_an_odd_key_can_be_read_back(self, key: str) -> None:
        names = layout.odd_segments(key)[len(layout.ODD) :]
        pieces = [piece for name in names if (piece := layout.odd_piece(name)) is not None]
        assert b"".join(raw for raw, _ in pieces) == key.encode()
        assert [last for _, last in pieces] == [False] * (len(names) - 1) + [True]
        # eCryptfs leaves 143 bytes for a name.
        assert all(len(name) <= 143 and b"/" not in name for name in names)
        assert not {b"", b".", b".."} & set(names)


class TestVersions:
    def test_never_come_again(self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time_ns()
        clock = iter(range(now, now - 10**12, -(10**9)))  # set back a second at each look
        monkeypatch.setattr(time, "time_ns", lambda: next(clock))
        versions = [store.put("key", b"same", PLAIN).version]
        store.delete("key")
        versions += [store.put("key", b"same", PLAIN).version for _ in range(3)]
        assert len(set(versions)) == 4
        for version in versions[:-1]:
            with pytest.raises(PreconditionFailed):
                store.put("key", b"new!", PLAIN, condition=version)

    @pytest.mark.parametrize("grain", [100, 10**3, 10**9, 2 * 10**9])
    def test_differ_on_a_coarse_file_system(
        self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, grain: int
    ) -> None:
        utime = os.utime
        monkeypatch.setattr(os, "utime", lambda file, ns: utime(file, ns=(ns[0], ns[1] - ns[1] % grain)))
        versions = [store.put("key", b"%d" % number, PLAIN).version for number in range(5)]
        assert len(set(versions)) == 5

    def test_differ_from_that_of_a_dropped_file(
        self, store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time_ns() + 10**9
        monkeypatch.setattr(time, "time_ns", lambda: now)
        os.utime(drop(root / "key", b"same size"), ns=(now, now))
        theirs = store.head("key").entry.version
        assert store.put("key", b"SAME SIZE", PLAIN).version != theirs

    def test_hold_for_times_that_no_calendar_has(self) -> None:
        for nanoseconds, year in ((10**21, MAXYEAR), (-(10**21), MINYEAR)):
            file = os.stat_result((0,) * 10, {"st_mtime_ns": nanoseconds})
            entry = entry_of("key", file)
            assert (entry.modified.year, entry.version) == (year, f"{nanoseconds:x}-0")


class TestListing:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The folders that were opened, without our own."""
        opened: list[str] = []
        folder = Root.folder

        def record(self: Root, path: tuple[bytes, ...], **options: Any) -> Any:
            if path and path[0] != PRIVATE.encode():
                opened.append(b"/".join(path).decode())
            return folder(self, path, **options)

        monkeypatch.setattr(Root, "folder", record)
        return opened

    @pytest.mark.parametrize(
        ("call", "folders"),
        [
            ({"prefix": "b/x/"}, ["b/x"]),
            ({"prefix": "b/x/", "direct": True}, ["b/x"]),
            ({"prefix": "b/", "direct": True}, ["b"]),
            ({"prefix": "b/x"}, ["b", "b/x"]),
            ({"start_after": "b/x/2"}, ["b", "b/x", "b/y", "c"]),
            ({"start_after": "b0"}, ["c"]),
            ({"direct": True}, []),
        ],
    )
    def test_opens_only_folders_that_matter(
        self, root: Path, opened: list[str], call: dict[str, Any], folders: list[str]
    ) -> None:
        for key in ("a/1", "b/1", "b/x/2", "b/x/3", "b/y/4", "c/5"):
            drop(root / key)
        list(DirectoryStore(root).list(**call))
        assert opened == folders

    def test_goes_only_as_far_as_it_is_asked(self, root: Path, opened: list[str]) -> None:
        for key in ("a/1", "b/2", "c/3"):
            drop(root / key)
        assert next(DirectoryStore(root).list()).key == "a/1"
        assert opened == ["a"]

    def test_takes_deep_folders_but_makes_none(self, store: DirectoryStore, root: Path) -> None:
        theirs, ours = "d/" * 100 + "theirs", "d/" * 100 + "ours"
        drop(root / theirs)
        store.put(ours, b"", PLAIN)
        assert not (root / ours).exists()
        assert keys_of(store.list()) == [ours, theirs]
        store.put(theirs, b"new", FULL)
        assert (root / theirs).read_bytes() == b"new"

    def test_orders_files_and_folders_as_whole_keys(self, store: DirectoryStore, root: Path) -> None:
        keys = ["a/b", "a.b/c", "a.b-", "a0/x", "a-", "A", "é/x"]
        for key in keys:
            drop(root / key)
        assert keys_of(store.list()) == in_order(keys)


class TestLostRoot:
    """A lost disk must not look like a folder whose originals were deleted."""

    @pytest.mark.parametrize("lose", [shutil.rmtree, lambda root: root.rename(root.parent / "elsewhere")])
    def test_is_unavailable_and_not_made_again(
        self, store: DirectoryStore, root: Path, lose: Callable[[Path], object]
    ) -> None:
        store.put("key", b"", PLAIN)
        lose(root)
        for call in (
            lambda: list(store.list()),
            lambda: list(store.list("a/b/")),
            lambda: store.get("key"),
            lambda: store.put("key", b"", PLAIN),
            lambda: store.delete("key"),
        ):
            with pytest.raises(Unavailable, match="root"):
                call()
        assert not root.exists()

    def test_is_noticed_during_a_listing(self, store: DirectoryStore, root: Path) -> None:
        for key in ("a", "b"):
            store.put(key, b"", PLAIN)
        listing = store.list()
        next(listing)
        root.rename(root.parent / "elsewhere")
        with pytest.raises(Unavailable):
            list(listing)

    def test_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        drop(tmp_path / "file")
        with pytest.raises(Unavailable) as caught:
            DirectoryStore(tmp_path / "file" / "root")
        assert str(tmp_path) not in str(caught.value)
