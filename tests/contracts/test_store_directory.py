"""The directory store: files created by users, read-only folders, and the private folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contract_keys import FULL, PLAIN, keys_of
from directory_folders import PNG, create_file, tree

from image_processor.domain.errors import (
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unavailable,
    Unreadable,
)
from image_processor.domain.ports import Attributes, OriginalFile
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


class TestUserFiles:
    def test_are_objects(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "holiday" / "cat.png")
        (entry,) = store.list()
        assert (entry.key, entry.size) == ("holiday/cat.png", len(PNG))
        stored = store.get("holiday/cat.png")
        assert (stored.entry, stored.body) == (entry, PNG)

    @pytest.mark.parametrize(
        ("body", "media_type"), [(PNG, "image/png"), (b"text", "application/octet-stream")]
    )
    def test_have_the_media_type_of_their_content(
        self, store: DirectoryStore, root: Path, body: bytes, media_type: str
    ) -> None:
        create_file(root / "name.gif", body)
        assert store.head("name.gif").attributes == Attributes(media_type)

    def test_do_not_get_the_attributes_of_what_they_replace(self, store: DirectoryStore, root: Path) -> None:
        old = store.put("key", b"old", FULL)
        create_file(root / "key")
        stored = store.get("key")
        assert (stored.body, stored.attributes) == (PNG, Attributes("image/png"))
        with pytest.raises(PreconditionFailed):
            store.put("key", b"new", FULL, condition=old.version)
        assert store.put("key", b"new", FULL, condition=stored.entry.version).size == 3

    def test_are_not_listed_if_no_key_can_name_them(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "good")
        create_file(Path(os.fsdecode(os.fsencode(root) + b"/latin\xe9.jpg")))
        create_file(Path(os.fsdecode(os.fsencode(root) + b"/folder\xff/a.jpg")))
        create_file(root.joinpath(*["deep" * 50] * 6, "a.jpg"))
        create_file(root.joinpath(*["deep" * 50] * 5, "n" * 100 + ".jpg"))
        assert keys_of(store.list()) == ["good"]

    def test_keep_version_and_attributes_when_copied_with_times(
        self, store: DirectoryStore, root: Path, tmp_path: Path
    ) -> None:
        entries = [store.put(key, key.encode(), FULL) for key in ("a", "a/b", "c/d")]
        shutil.copytree(root, tmp_path / "copy")
        copy = DirectoryStore(tmp_path / "copy")
        assert list(copy.list()) == entries
        assert copy.get("a/b").attributes == FULL

    def test_have_the_same_permissions_as_stored_ones(self, store: DirectoryStore, root: Path) -> None:
        theirs = create_file(root / "theirs").stat().st_mode
        store.put("ours", b"", PLAIN)
        assert (root / "ours").stat().st_mode == theirs


class TestReadOnly:
    def test_reading_changes_nothing_in_the_folder(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "a" / "b.png")
        before = tree(root)
        assert keys_of(store.list()) == ["a/b.png"]
        store.head("a/b.png")
        b"".join(store.read("a/b.png", 0, 5))
        store.delete("absent")
        store.delete("a//b.png")
        with pytest.raises(NotFound):
            store.get("a")
        assert tree(root) == before

    def test_reading_works_in_a_read_only_folder(self, unprivileged_folder: Path) -> None:
        create_file(unprivileged_folder / "a.png")
        unprivileged_folder.chmod(0o555)
        store = DirectoryStore(unprivileged_folder)
        with as_nobody():
            assert store.get("a.png").body == PNG
            for write in (
                lambda: store.put("b", b"", PLAIN),
                lambda: store.put_stream("b", [], PLAIN, limit=1),
                lambda: store.delete("a.png"),
            ):
                with pytest.raises(Unavailable) as caught:
                    write()
                assert str(unprivileged_folder) not in str(caught.value)

    def test_a_listing_skips_folders_without_permission(self, unprivileged_folder: Path) -> None:
        for name in ("a", "denied", "lost+found/b", "unsearchable/c", "z"):
            create_file(unprivileged_folder / name)
        (unprivileged_folder / "link").symlink_to("lost+found/b")
        for name, mode in (("denied", 0), ("lost+found", 0), ("unsearchable", 0o444)):
            (unprivileged_folder / name).chmod(mode)
        store = DirectoryStore(unprivileged_folder)
        with as_nobody():
            a, denied, z = store.list()
            assert [a.key, denied.key, z.key] == ["a", "denied", "z"]
            versions = {"denied": denied.version, "link": None, "lost+found/b": None, "unsearchable/c": None}
            for key, version in versions.items():
                with pytest.raises(Unreadable) as caught:
                    store.get(key)
                assert caught.value.version == version


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder that any user can open; pytest's own are for their owner only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        for inner in (path, *path.rglob("*")):
            inner.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Permissions do not apply to root, who runs the tests in a container."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestPrivateFolder:
    def test_has_no_keys_and_is_not_listed(self, store: DirectoryStore, root: Path) -> None:
        store.put("a", b"", PLAIN)
        inside = [
            str(path.relative_to(root)) for path in (root / PRIVATE_FOLDER).rglob("*") if path.is_file()
        ]
        assert inside
        for key in (*inside, f"./{inside[0]}", f"x/../{inside[0]}"):
            with pytest.raises(NotFound):
                store.get(key)
        assert keys_of(store.list()) == ["a"]
        assert keys_of(store.list(PRIVATE_FOLDER)) == []

    def test_elsewhere_is_an_ordinary_folder(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "x" / PRIVATE_FOLDER / "y")
        assert keys_of(store.list()) == [f"x/{PRIVATE_FOLDER}/y"]

    def test_may_contain_unknown_files(self, store: DirectoryStore, root: Path) -> None:
        store.put("a//b", b"", PLAIN)
        create_file(root / PRIVATE_FOLDER / "odd" / "unknown")
        create_file(root / PRIVATE_FOLDER / "odd" / "folder" / "a=")
        assert keys_of(store.list()) == ["a//b"]

    @pytest.mark.parametrize(
        "text", [b"", b"{", b"[]", b'{"versions": []}', b'{"versions": {"V": {"x": 1}}}']
    )
    def test_broken_attributes_are_guessed_from_the_content(
        self, store: DirectoryStore, root: Path, text: bytes
    ) -> None:
        version = store.put("key", PNG, FULL).version
        (sidecar,) = (root / PRIVATE_FOLDER / "attributes").rglob("*.json")
        sidecar.write_bytes(text.replace(b"V", version.encode()))
        assert store.get("key").attributes == Attributes("image/png")
        store.put("key", PNG, FULL)
        assert store.get("key").attributes == FULL

    def test_keeps_nothing_of_deleted_objects(self, store: DirectoryStore, root: Path) -> None:
        for key in ("a", "a/b", "x" * 300):
            store.put(key, b"1", FULL)
            store.put(key, b"2", FULL)
            store.delete(key)
        left = [path.name for path in (root / PRIVATE_FOLDER).rglob("*") if path.is_file()]
        assert left == ["lock"]


class TestOpenedOriginals:
    def test_have_the_bytes_and_the_entry(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "cat.png")
        original = store.open_original("cat.png", limit=len(PNG), version=store.head("cat.png").entry.version)
        assert original.entry == store.head("cat.png").entry
        assert isinstance(original.data, OriginalFile)
        assert os.pread(original.data.descriptor, len(original.data) + 1, 0) == PNG
        original.data.check()

    def test_are_refused_as_reads_are(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "cat.png")
        with pytest.raises(NotFound):
            store.open_original("dog.png", limit=1000, version=None)
        with pytest.raises(PreconditionFailed):
            store.open_original("cat.png", limit=1000, version="another")
        with pytest.raises(Refused) as refused:
            store.open_original("cat.png", limit=len(PNG) - 1, version=None)
        assert refused.value.reason is Reason.TOO_MANY_BYTES

    def test_keep_their_bytes_when_the_object_is_replaced(self, store: DirectoryStore) -> None:
        store.put("key", b"old", FULL)
        file = store.open_original("key", limit=1000, version=None).data
        store.put("key", b"new", FULL)
        assert isinstance(file, OriginalFile)
        assert os.pread(file.descriptor, 10, 0) == b"old"
        file.check()

    def test_notice_a_change_in_place(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "cat.png")
        file = store.open_original("cat.png", limit=1000, version=None).data
        with (root / "cat.png").open("ab") as changed:
            changed.write(b"more")
        assert isinstance(file, OriginalFile)
        with pytest.raises(Unavailable, match="changed in place"):
            file.check()

    def test_are_closed_with_the_last_reference(self, store: DirectoryStore, root: Path) -> None:
        create_file(root / "cat.png")
        file = store.open_original("cat.png", limit=1000, version=None).data
        assert isinstance(file, OriginalFile)
        descriptor = file.descriptor
        del file
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize(("durable", "expected"), [(True, 2), (False, 0)])
def test_a_write_waits_for_the_disk_unless_it_may_be_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durable: bool,  # noqa: FBT001 - a parameter of the test
    expected: int,
) -> None:
    """The file, and the folder that has its name."""
    calls: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(file) or sync(file))
    store = DirectoryStore(tmp_path, durable=durable)
    store.put("a/cat.jpg", b"cat", Attributes())
    assert (len(calls), store.get("a/cat.jpg").body) == (expected, b"cat")


def test_a_write_opens_its_temporary_folder_once_and_makes_only_missing_folders(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a/cat.jpg", b"cat", PLAIN)
    opened: list[object] = []
    made: list[object] = []
    open_, mkdir = os.open, os.mkdir
    monkeypatch.setattr(
        os, "open", lambda name, *more, **options: opened.append(name) or open_(name, *more, **options)
    )
    monkeypatch.setattr(
        os, "mkdir", lambda name, *more, **options: made.append(name) or mkdir(name, *more, **options)
    )
    store.put("a/cat.jpg", b"another cat", PLAIN)
    assert (opened.count(b"tmp"), made) == (1, [])
