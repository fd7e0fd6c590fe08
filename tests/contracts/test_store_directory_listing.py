"""The directory store: which folders a listing opens, and a missing root folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_keys import FULL, PLAIN, in_order, keys_of
from directory_folders import create_file

from image_processor.domain.errors import Unavailable
from image_processor.storage.directory import DirectoryStore
from image_processor.storage.directory.listing import PlainFiles, TreeNode


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


class TestListing:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The folders that were opened, without the private folder."""
        opened: list[str] = []
        open_folder = PlainFiles._open

        def record(self: PlainFiles, node: TreeNode, parent: Any) -> int:
            if node.path:
                opened.append(b"/".join(node.path).decode())
            return open_folder(self, node, parent)

        monkeypatch.setattr(PlainFiles, "_open", record)
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
    def test_opens_only_the_folders_it_needs(
        self, root: Path, opened: list[str], call: dict[str, Any], folders: list[str]
    ) -> None:
        for key in ("a/1", "b/1", "b/x/2", "b/x/3", "b/y/4", "c/5"):
            create_file(root / key)
        list(DirectoryStore(root).list(**call))
        assert opened == folders

    def test_is_lazy(self, root: Path, opened: list[str]) -> None:
        for key in ("a/1", "b/2", "c/3"):
            create_file(root / key)
        assert next(DirectoryStore(root).list()).key == "a/1"
        assert opened == ["a"]

    @pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
    def test_keeps_few_folders_open_and_closes_them(self, root: Path) -> None:
        for number in range(30):
            create_file(root / ("d/" * number + "file"))
        before = count_descriptors()
        listing = DirectoryStore(root).list()
        assert next(listing).key.count("/") == 29
        assert count_descriptors() == before + 16
        listing.close()
        assert count_descriptors() == before

    def test_lists_deep_folders_but_creates_none(self, store: DirectoryStore, root: Path) -> None:
        theirs, ours = "d/" * 100 + "theirs", "d/" * 100 + "ours"
        create_file(root / theirs)
        store.put(ours, b"", PLAIN)
        assert not (root / ours).exists()
        assert keys_of(store.list()) == [ours, theirs]
        store.put(theirs, b"new", FULL)
        assert (root / theirs).read_bytes() == b"new"

    def test_orders_files_and_folders_by_whole_keys(self, store: DirectoryStore, root: Path) -> None:
        keys = ["a/b", "a.b/c", "a.b-", "a0/x", "a-", "A", "é/x"]
        for key in keys:
            create_file(root / key)
        assert keys_of(store.list()) == in_order(keys)


class TestLostRoot:
    """An unmounted disk must not look like a folder whose originals were deleted."""

    @pytest.mark.parametrize("lose", [shutil.rmtree, lambda root: root.rename(root.parent / "elsewhere")])
    def test_is_unavailable_and_not_created_again(
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

    def test_that_cannot_be_created_is_unavailable(self, tmp_path: Path) -> None:
        create_file(tmp_path / "file")
        with pytest.raises(Unavailable) as caught:
            DirectoryStore(tmp_path / "file" / "root")
        assert str(tmp_path) not in str(caught.value)
