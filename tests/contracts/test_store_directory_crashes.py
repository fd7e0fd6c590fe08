"""The directory store: after a kill, an error or a concurrent write an object is the old or the new one."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_keys import FULL, PLAIN, keys_of
from together import in_processes

from image_processor.domain.errors import NotFound, Unavailable
from image_processor.domain.ports import Attributes, ObjectStore, StoredObject
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore, private_folder

OLD, NEW = (b"old bytes", PLAIN), (b"new and longer bytes", FULL)
State = tuple[bytes, Attributes] | None

# Calls that change something, and those between two changes.
SYSTEM_CALLS = ("open", "mkdir", "rmdir", "rename", "unlink", "utime", "write", "fsync", "close", "fstat")

Change = Callable[[ObjectStore, str], object]


def put(store: ObjectStore, key: str) -> object:
    return store.put(key, *NEW)


def put_into(root: Path, key: str) -> None:
    put(DirectoryStore(root), key)


def put_stream(store: ObjectStore, key: str) -> object:
    return store.put_stream(key, [NEW[0][:5], NEW[0][5:]], NEW[1], limit=100)


def delete(store: ObjectStore, key: str) -> None:
    store.delete(key)


def before_call(number: int, act: Callable[[], None]) -> None:
    """Run ``act`` before the ``number``-th system call (from 1)."""
    count = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*arguments: Any, **options: Any) -> object:
            nonlocal count
            count += 1
            if count == number:
                act()
            return call(*arguments, **options)

        return wrapper

    for name in SYSTEM_CALLS:
        setattr(os, name, counted(getattr(os, name)))


def kill_before(number: int, change: Change, root: Path, key: str) -> bool:
    """Make the change in a process that is killed before its ``number``-th system call. Returns whether
    it made that many calls."""
    child = os.fork()
    if child == 0:
        try:
            store = DirectoryStore(root)
            before_call(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            change(store, key)
        except BaseException:  # noqa: BLE001 - it is printed, and the exit code tells the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, status
    return status == signal.SIGKILL


def state_of(root: Path, key: str) -> State:
    store = DirectoryStore(root)
    try:
        stored: StoredObject = store.get(key)
    except NotFound:
        assert keys_of(store.list()) == ["a/neighbour"]
        return None
    assert keys_of(store.list()) == sorted([key, "a/neighbour"])
    return stored.body, stored.attributes


def kill_at_each_system_call(folder: Path, change: Change, key: str, before: State) -> list[State]:
    """The states after a kill before the 1st, 2nd, ... system call, and without a kill.

    Forks, so it must run in a process without threads.
    """
    seen = []
    for number in range(1, 500):
        root = folder / str(number)
        store = DirectoryStore(root)
        store.put("a/neighbour", b"", PLAIN)
        if before is not None:
            store.put(key, *before)
        killed = kill_before(number, change, root, key)
        seen.append(state_of(root, key))
        DirectoryStore(root).put("a/neighbour", b"next writer", PLAIN)
        assert list((root / PRIVATE_FOLDER / "tmp").iterdir()) == []
        if not killed:
            return seen
    raise AssertionError("the change did not finish")


@pytest.mark.parametrize("key", ["a/key", "a//key", "a"])
@pytest.mark.parametrize(
    ("change", "before", "after"),
    [(put, None, NEW), (put, OLD, NEW), (put_stream, OLD, NEW), (delete, OLD, None)],
    ids=["create", "overwrite", "stream", "delete"],
)
def test_a_kill_at_any_system_call_leaves_the_old_or_the_new_object(
    tmp_path: Path, change: Change, before: State, after: State, key: str
) -> None:
    (seen,) = in_processes(kill_at_each_system_call, [(tmp_path, change, key, before)])
    turn = seen.index(after)
    assert seen[:turn] == [before] * turn
    assert seen[turn:] == [after] * (len(seen) - turn)
    assert turn > 5


class TestTemporaryFiles:
    def test_of_running_processes_are_kept(self, tmp_path: Path) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"first, "
            # The first write of another process cleans up.
            in_processes(put_into, [(tmp_path, "other")])
            yield b"then second"

        DirectoryStore(tmp_path).put_stream("key", chunks(), PLAIN, limit=99)
        assert DirectoryStore(tmp_path).get("key").body == b"first, then second"

    def test_are_created_again_if_a_cleanup_deleted_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        DirectoryStore(tmp_path).put("key", b"", PLAIN)
        folder = tmp_path / PRIVATE_FOLDER / "tmp"
        responses = iter(["held by the cleaner", "removed by the cleaner"])
        flock = fcntl.flock

        def interfere(file: int, operation: int) -> None:
            response = next(responses, None) if operation & fcntl.LOCK_NB else None
            if response == "held by the cleaner":
                raise BlockingIOError
            if response == "removed by the cleaner":
                for path in folder.iterdir():
                    path.unlink()
            flock(file, operation)

        store = DirectoryStore(tmp_path)
        store.put("key", b"before", PLAIN)
        monkeypatch.setattr(fcntl, "flock", interfere)
        store.put("key", b"after", PLAIN)
        assert store.get("key").body == b"after"
        assert next(responses, None) is None


class TestFailingDisk:
    @pytest.mark.parametrize("name", ["write", "fsync", "rename", "utime", "mkdir", "open"])
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    def test_is_unavailable_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
    ) -> None:
        store = DirectoryStore(tmp_path)
        store.put("key", *OLD)

        def fail(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code), str(tmp_path / "secret"))

        with monkeypatch.context() as failing:
            failing.setattr(os, name, fail)
            # Folders that are there are not made again.
            for key in ("new/key",) if name == "mkdir" else ("key", "new/key"):
                for write in (put, put_stream):
                    with pytest.raises(Unavailable, match=os.strerror(code)) as caught:
                        write(store, key)
                    assert caught.value.retryable
                    assert isinstance(caught.value.__cause__, OSError)
                    assert str(tmp_path) not in str(caught.value)
        stored = store.get("key")
        assert (stored.body, stored.attributes) == OLD
        assert keys_of(store.list()) == ["key"]
        assert list((tmp_path / PRIVATE_FOLDER / "tmp").iterdir()) == []
        assert len(list((tmp_path / PRIVATE_FOLDER / "attributes").rglob("*.json"))) == 1

    def test_a_failure_at_the_last_step_keeps_the_old_object(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = DirectoryStore(tmp_path)
        store.put("key", *OLD)
        move = private_folder.PrivateFolder.move

        def fail_for_objects(self: Any, temporary: Any, target: tuple[bytes, ...]) -> None:
            if not target[-1].endswith(b".json"):
                raise OSError(errno.EIO, "broken disk")
            move(self, temporary, target)

        with monkeypatch.context() as failing:
            failing.setattr(private_folder.PrivateFolder, "move", fail_for_objects)
            for key in ("key", "new"):
                with pytest.raises(Unavailable, match="broken disk"):
                    store.put(key, *NEW)
        stored = store.get("key")
        assert (stored.body, stored.attributes) == OLD
        assert keys_of(store.list()) == ["key"]
        assert len(list((tmp_path / PRIVATE_FOLDER / "attributes").rglob("*.json"))) == 1


class TestChangedInPlace:
    """Another program may write into a file instead of renaming a new one."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: os.truncate(path, 400_000),
            lambda path: os.truncate(path, 10),
            lambda path: path.write_bytes(b"x" * 300_000),
        ],
        ids=["grown", "cut", "rewritten"],
    )
    def test_is_never_read_as_a_mixture(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
    ) -> None:
        path = tmp_path / "key"
        path.write_bytes(b"o" * 300_000)
        store = DirectoryStore(tmp_path)
        pread, chunk_count = os.pread, 0

        def change_after_one(file: int, size: int, offset: int) -> bytes:
            nonlocal chunk_count
            chunk_count += 1
            if chunk_count == 2:
                change(path)
            return pread(file, size, offset)

        chunks = store.read("key", 0, 300_000)
        next(chunks)
        monkeypatch.setattr(os, "pread", change_after_one)
        with pytest.raises(Unavailable, match="changed in place"):
            store.get("key")
        with pytest.raises(Unavailable, match="changed in place"):
            list(chunks)

    def test_never_yields_a_short_chunk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "key").write_bytes(b"whole")
        store, pread = DirectoryStore(tmp_path), os.pread
        monkeypatch.setattr(os, "pread", lambda file, size, offset: pread(file, size - 1, offset))
        with pytest.raises(Unavailable, match="changed in place"):
            store.get("key")


class TestConcurrentWrites:
    def test_get_retries_when_the_attributes_changed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, writer = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
        store.put("key", b"0", PLAIN)
        pread, writes = os.pread, iter(range(2))

        def write_meanwhile(file: int, size: int, offset: int) -> bytes:
            body = pread(file, size, offset)
            for number in writes:
                writer.put("key", b"%d" % number, FULL)
            return body

        monkeypatch.setattr(os, "pread", write_meanwhile)
        stored = store.get("key")
        assert (stored.body, stored.attributes) == (b"1", FULL)

    def test_get_gives_up_after_some_retries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store, writer = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
        store.put("key", b"0", PLAIN)
        pread = os.pread

        def write_twice(file: int, size: int, offset: int) -> bytes:
            for body in (b"1", b"2"):
                writer.put("key", body, FULL)
            return pread(file, size, offset)

        monkeypatch.setattr(os, "pread", write_twice)
        with pytest.raises(Unavailable, match="faster than it can be read"):
            store.get("key")

    def test_an_abandoned_reader_closes_its_file(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.put("key", b"bytes", PLAIN)
        before = len(list(Path("/dev/fd").iterdir()))
        for _ in range(20):
            store.read("key", 0, 5)
            next(store.read("key", 0, 5))
            next(store.list())
        assert len(list(Path("/dev/fd").iterdir())) == before
