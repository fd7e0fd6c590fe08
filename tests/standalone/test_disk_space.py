"""Uploads are refused before the disk is full, and a full disk is said and noticed to be over."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from image_processor.domain.errors import InsufficientStorage
from image_processor.domain.ports import ABSENT, Attributes
from image_processor.standalone.disk_space import DiskSpace, DiskStatus
from image_processor.standalone.space_aware_store import SpaceAwareStore
from image_processor.storage.directory import DirectoryStore
from support.memory_store import MemoryStore

MB = 10**6
BLOCK = 1000


class Disk:
    """A file system of ``size`` bytes with ``free`` bytes left, and a clock."""

    def __init__(self, size=100_000 * MB, free=100_000 * MB):
        self.size, self.free, self.files, self.flags, self.now = size, free, 10, 0, 0.0

    def statvfs(self, _):
        blocks, free = self.size // BLOCK, self.free // BLOCK
        sizes = (BLOCK, BLOCK, blocks, free, free)
        return os.statvfs_result((*sizes, 100, self.files, self.files, self.flags, 255))

    def clock(self):
        return self.now


@pytest.fixture
def disk():
    return Disk()


def space_of(disk, *folders, min_free=None):
    return DiskSpace(folders or (Path("/secret/data"),), min_free, statvfs=disk.statvfs, clock=disk.clock)


@pytest.mark.parametrize(
    ("size", "min_free", "low", "full"),
    [
        (100_000 * MB, None, 1000 * MB, 500 * MB),
        (2000 * MB, None, 200 * MB, 100 * MB),
        (2000 * MB, 300 * MB, 600 * MB, 300 * MB),
        (2000 * MB, 0, 0, BLOCK),
    ],
    ids=["large", "small", "setting", "off"],
)
def test_thresholds(size, min_free, low, full):
    disk = Disk(size)

    def status(free):
        disk.free = free
        return space_of(disk, min_free=min_free).state().status

    assert status(max(low, full)) is DiskStatus.OK
    assert low <= full or status(low - BLOCK) is DiskStatus.LOW
    assert low <= full or status(full) is DiskStatus.LOW
    assert status(full - BLOCK) is DiskStatus.FULL


def test_room_for_more_bytes_is_what_is_above_the_reserve(disk):
    disk.free = 600 * MB
    space_of(disk).check_room_for(100 * MB)
    with pytest.raises(InsufficientStorage) as caught:
        space_of(disk).check_room_for(101 * MB)
    assert str(caught.value) == (
        "expected room for 101 MB, with uploads that are being received, got 100 MB above what stays free "
        "(IMAGE_PROCESSOR_MIN_FREE_BYTES)"
    )


def test_the_detail_says_what_was_expected_and_what_came(disk):
    disk.free = 12 * MB
    assert space_of(disk).state().detail == (
        "12 MB free for data, expected 500 MB (IMAGE_PROCESSOR_MIN_FREE_BYTES): uploads are refused"
    )


def test_no_room_for_another_file_is_full(disk):
    disk.files = 0
    with pytest.raises(InsufficientStorage, match="can hold no more files"):
        space_of(disk).check_room()


def test_a_read_only_file_system_is_full(disk):
    disk.flags = os.ST_RDONLY
    with pytest.raises(InsufficientStorage, match=r"^the file system of data is read-only"):
        space_of(disk).check_room()


def test_a_file_system_without_a_number_of_files_is_not_full(disk):
    disk.files = 0
    disk.statvfs = lambda _, full=disk.statvfs: os.statvfs_result((*full(_)[:5], 0, 0, 0, 0, 255))
    assert space_of(disk).state().status is DiskStatus.OK


def test_each_change_is_logged_once(disk, caplog):
    space = space_of(disk)
    for free in (100_000, 900, 800, 100, 50, 100_000, 100_000):
        disk.free = free * MB
        space.state()
    messages = [record.getMessage() for record in caplog.records]
    assert [message.rpartition(": ")[2] for message in messages] == [
        "uploads will be refused below that",
        "uploads are refused",
        "there is room again",
    ]


def test_a_failed_write_counts_until_one_succeeds(disk, tmp_path, caplog):
    space = space_of(disk, tmp_path)
    room = []
    space.call_when_room(lambda: room.append(1))
    for _ in range(3):
        space.note_failure(InsufficientStorage("'a.jpg': Disk quota exceeded"))
    with pytest.raises(InsufficientStorage, match=r"a write failed: 'a\.jpg': Disk quota exceeded"):
        space.check_room()
    assert caplog.text.count("Disk quota exceeded") == 1
    disk.now += 10
    space.check_room()
    space.check_room()
    assert room == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_counts_while_the_probe_fails(disk, tmp_path):
    space = space_of(disk, tmp_path / "gone")
    space.note_failure(InsufficientStorage("'a.jpg': No space left on device"))
    disk.now += 10
    assert space.state().status is DiskStatus.FULL


def test_only_a_store_that_keeps_the_reserve_refuses_to_write_before_the_disk_is_full(disk):
    disk.free = 12 * MB
    store, space = MemoryStore(), space_of(disk)
    with pytest.raises(InsufficientStorage):
        SpaceAwareStore(store, space, keeps_reserve=True).put("a", b"a", Attributes())
    assert store.bodies() == {}
    SpaceAwareStore(store, space, keeps_reserve=False).put("a", b"a", Attributes())
    assert store.bodies() == {"a": b"a"}


def test_the_store_passes_everything_on(disk):
    plain = MemoryStore()
    store = SpaceAwareStore(plain, space_of(disk), keeps_reserve=True)
    first = store.put("a", b"123", Attributes("text/plain"), condition=ABSENT)
    second = store.put_stream("b/c", iter([b"4", b"5"]), Attributes(), limit=2, condition=ABSENT)
    assert (store.head("a"), store.get("a", limit=3, version=first.version)) == (
        plain.head("a"),
        plain.get("a"),
    )
    assert b"".join(store.read("a", 1, 3, version=first.version)) == b"23"
    assert list(store.list("b", start_after="a", direct=False)) == [second]
    store.delete("a", condition=first.version)
    assert plain.bodies() == {"b/c": b"45"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_fills_up_keeps_nothing_half_written(small_disk):
    space = DiskSpace([small_disk], 0)
    plain = DirectoryStore(small_disk)
    store = SpaceAwareStore(plain, space, keeps_reserve=True)
    store.put("old.jpg", b"old", Attributes())
    with pytest.raises(InsufficientStorage, match="No space left on device"):
        store.put("new.jpg", bytes(8 * MB), Attributes())
    with pytest.raises(InsufficientStorage, match="No space left on device"):
        plain.put("old.jpg", bytes(8 * MB), Attributes())
    assert plain.get("old.jpg").body == b"old"
    assert [entry.key for entry in plain.list()] == ["old.jpg"]
    assert list((small_disk / ".image-processor" / "tmp").iterdir()) == []
    assert space.state().status is DiskStatus.FULL
