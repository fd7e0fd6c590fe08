"""The watcher over a real directory: file changes become uploads."""

from __future__ import annotations

import errno
import os
import queue
import shutil
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.standalone import watcher as watcher_module
from image_processor.standalone.submitted_versions import SubmittedVersions
from image_processor.standalone.watcher import SETTLE_SECONDS, Watcher
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore
from support.waiting import wait_for

WAIT = 30


class Scene:
    """A watched root; reports come through a queue."""

    def __init__(self, root):
        self.root = root
        self.reports = queue.Queue()
        self.catalog = SqliteCatalog(":memory:")
        self.gap = threading.Event()
        self.broken_key = None
        self.uploads = DirectoryStore(root)
        self.submitted = SubmittedVersions()
        self.watcher = Watcher(
            root,
            PRIVATE_FOLDER,
            "uploads",
            self.uploads,
            self.catalog,
            self.submit,
            self.gap.set,
            50,
            self.submitted,
        )

    def submit(self, upload):
        if upload.key == self.broken_key:
            raise Unavailable("not now")
        self.reports.put(upload)

    def put(self, key, body):
        """What the API does with an upload: it stores and submits it, here later than the file is seen."""
        self.submitted.expect(key)
        entry = self.uploads.put(key, body, Attributes())
        time.sleep(0.4 * SETTLE_SECONDS)
        self.submitted.note(Upload("uploads", key, version=entry.version))

    def wait_for(self, *expected):
        """Wait until each expected (key, kind) was reported; returns all reports up to then."""
        seen = []
        while not set(expected) <= {(report.key, report.kind) for report in seen}:
            seen.append(self.reports.get(timeout=WAIT))
        return seen

    def wait_for_first_report(self):
        """Notifications begin some time after the start: write until one comes."""
        for number in range(1000):
            (self.root / "probe").write_bytes(b"%d" % number)
            try:
                self.reports.get(timeout=0.5 + SETTLE_SECONDS)
            except queue.Empty:
                continue
            return


@pytest.fixture
def scene(tmp_path):
    root = tmp_path / "uploads"
    root.mkdir()
    (root / "old").mkdir()
    (root / "old" / "cat.jpg").write_bytes(b"old")
    scene = Scene(root)
    scene.watcher.start()
    scene.wait_for_first_report()
    yield scene
    scene.watcher.stop()
    scene.catalog.close()


def test_created_changed_and_deleted_files_are_reported(scene):
    path = scene.root / "new cat+1%.jpg"
    path.write_bytes(b"new")
    scene.wait_for((path.name, UploadKind.CREATED))
    path.write_bytes(b"changed")
    scene.wait_for((path.name, UploadKind.CREATED))
    path.unlink()
    scene.wait_for((path.name, UploadKind.DELETED))


def test_what_the_api_has_submitted_is_not_reported_until_it_changes(scene):
    (scene.root / "here").mkdir()
    for key in ("here/cat.jpg", "new/cat.jpg"):
        scene.put(key, b"a cat")
    (scene.root / "last.jpg").write_bytes(b"x")
    seen = scene.wait_for(("last.jpg", UploadKind.CREATED))
    assert {report.key for report in seen} == {"last.jpg"}

    path = scene.root / "here" / "cat.jpg"
    submitted = path.stat()
    path.write_bytes(b"other cat")
    scene.wait_for(("here/cat.jpg", UploadKind.CREATED))
    path.write_bytes(b"a cat")
    os.utime(path, ns=(submitted.st_atime_ns, submitted.st_mtime_ns))
    scene.wait_for(("here/cat.jpg", UploadKind.CREATED))


def test_a_file_that_is_moved_in_does_not_have_to_settle(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(watcher_module, "SETTLE_SECONDS", 3600)
    (tmp_path / "cat.jpg").write_bytes(b"a cat")
    (tmp_path / "cat.jpg").rename(scene.root / "moved.jpg")
    scene.wait_for(("moved.jpg", UploadKind.CREATED))


def test_a_key_that_was_queued_is_expected_no_longer():
    submitted = SubmittedVersions(capacity=2)
    for key in "abc":
        submitted.expect(key)
    assert [submitted.expects(key) for key in "abc"] == [False, True, True]
    submitted.note(Upload("uploads", "b", version="1"))
    assert [submitted.expects(key) for key in "bc"] == [False, True]


def test_only_the_last_version_that_was_submitted_is_known():
    submitted = SubmittedVersions(capacity=2)
    for key, version in (("a", "1"), ("a", "2"), ("b", "1")):
        submitted.note(Upload("uploads", key, version=version))
    assert [submitted.holds("a", version) for version in ("1", "2")] == [False, True]
    submitted.note(Upload("uploads", "b", UploadKind.DELETED, "1"))
    assert not submitted.holds("b", "1")
    for key in ("c", "d"):
        submitted.note(Upload("uploads", key, version="1"))
    assert [submitted.holds(key, "1") for key in "acd"] == [False, True, True]


def test_a_file_in_a_new_directory_is_reported(scene):
    (scene.root / "a" / "b").mkdir(parents=True)
    (scene.root / "a" / "b" / "cat.jpg").write_bytes(b"new")
    scene.wait_for(("a/b/cat.jpg", UploadKind.CREATED))


def test_a_directory_moved_in_is_reported_file_by_file(scene, tmp_path):
    (tmp_path / "album" / "deep").mkdir(parents=True)
    (tmp_path / "album" / "1.jpg").write_bytes(b"1")
    (tmp_path / "album" / "deep" / "2.jpg").write_bytes(b"2")
    shutil.move(tmp_path / "album", scene.root / "album")
    scene.wait_for(("album/1.jpg", UploadKind.CREATED), ("album/deep/2.jpg", UploadKind.CREATED))


def test_a_directory_moved_out_deletes_the_recorded_files_below_it(scene, tmp_path):
    now = datetime.now(UTC)
    upload = Upload("uploads", "old/cat.jpg")
    lease = scene.catalog.acquire(upload, owner="test", now=now, duration=timedelta(minutes=1))
    scene.catalog.complete(lease, lease.record)
    shutil.move(scene.root / "old", tmp_path / "elsewhere")
    scene.wait_for(("old/cat.jpg", UploadKind.DELETED))


def test_most_originals_deleted_at_once_are_left_to_reconciliation(scene):
    keys = [f"album/{number}.jpg" for number in range(101)]
    now = datetime.now(UTC)
    (scene.root / "album").mkdir()
    for key in keys:
        (scene.root / key).write_bytes(b"x")
        scene.catalog.acquire(Upload("uploads", key), owner="test", now=now, duration=timedelta(seconds=1))
    scene.wait_for(*((key, UploadKind.CREATED) for key in keys))
    scene.gap.clear()
    shutil.rmtree(scene.root / "album")
    assert scene.gap.wait(WAIT)
    (scene.root / "last.jpg").write_bytes(b"x")
    seen = scene.wait_for(("last.jpg", UploadKind.CREATED))
    assert [report for report in seen if report.kind is UploadKind.DELETED] == []


def test_a_file_that_grows_slowly_is_reported_once_it_has_settled(scene):
    path = scene.root / "slow.jpg"
    parts = 15
    with path.open("wb", buffering=0) as file:
        for _ in range(parts):
            file.write(b"x")
            time.sleep(SETTLE_SECONDS / 5)  # the pace of the copy, not a wait for anything
    seen = scene.wait_for(("slow.jpg", UploadKind.CREATED))
    assert len([report for report in seen if report.key == "slow.jpg"]) == 1
    assert path.stat().st_size == parts


def test_a_file_is_reported_when_it_is_closed_unless_it_is_empty(scene, monkeypatch):
    """Nothing settles in this test: only what is closed is reported."""
    monkeypatch.setattr(watcher_module, "SETTLE_SECONDS", 10_000.0)
    with (scene.root / "open.jpg").open("wb", buffering=0) as file:
        file.write(b"x")
        (scene.root / "empty.jpg").touch()
        (scene.root / "last.jpg").write_bytes(b"x")
        seen = scene.wait_for(("last.jpg", UploadKind.CREATED))
        assert {report.key for report in seen} <= {"last.jpg", "probe"}
    scene.wait_for(("open.jpg", UploadKind.CREATED))


def test_private_files_are_not_reported(scene):
    (scene.root / PRIVATE_FOLDER).mkdir(exist_ok=True)
    (scene.root / PRIVATE_FOLDER / "secret").write_bytes(b"x")
    (scene.root / "last.jpg").write_bytes(b"x")
    seen = scene.wait_for(("last.jpg", UploadKind.CREATED))
    assert {report.key for report in seen} <= {"last.jpg", "probe"}


def test_what_cannot_be_an_upload_does_not_interrupt_the_watch(scene):
    (scene.root / os.fsdecode(b"bad\xff.jpg")).write_bytes(b"x")
    (scene.root / os.fsdecode(b"bad\xff")).mkdir()
    os.mkfifo(scene.root / "pipe")
    (scene.root / "loop").symlink_to(scene.root / "loop")
    (scene.root / "last.jpg").write_bytes(b"x")
    seen = scene.wait_for(("last.jpg", UploadKind.CREATED), ("loop", UploadKind.CREATED))
    assert ("pipe", UploadKind.CREATED) not in {(report.key, report.kind) for report in seen}
    assert not scene.gap.is_set()


def test_files_behind_a_new_link_are_reported_under_its_keys(scene):
    (scene.root / "link").symlink_to("old")
    scene.wait_for(("link/cat.jpg", UploadKind.CREATED))


def test_an_upload_that_cannot_be_submitted_does_not_end_the_watch(scene, caplog):
    scene.broken_key = "first.jpg"
    (scene.root / "first.jpg").write_bytes(b"x")
    (scene.root / "second.jpg").write_bytes(b"x")
    scene.wait_for(("second.jpg", UploadKind.CREATED))
    (scene.root / "third.jpg").write_bytes(b"x")
    scene.wait_for(("third.jpg", UploadKind.CREATED))
    assert "'first.jpg' is left to the next reconciliation" in caplog.text


def test_a_directory_that_was_replaced_is_watched_again(scene):
    shutil.rmtree(scene.root)
    scene.root.mkdir()
    assert scene.gap.wait(WAIT)
    scene.wait_for_first_report()
    (scene.root / "cat.jpg").write_bytes(b"new")
    scene.wait_for(("cat.jpg", UploadKind.CREATED))


def test_a_missing_directory_is_waited_for(scene, caplog):
    shutil.rmtree(scene.root)
    wait_for(lambda: "No such file" in caplog.text, "the watch was tried again")
    assert not scene.gap.is_set()
    scene.root.mkdir()
    assert scene.gap.wait(WAIT)
    scene.wait_for_first_report()


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), KeyError("a mistake")])
def test_a_lasting_interruption_is_reported_once_and_tried_again_more_and_more_rarely(
    tmp_path, caplog, error
):
    """No reconciliation either: what a watch would have seen is not known before there is one."""
    scene = Scene(tmp_path)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 9:
            scene.watcher._stop.set()

    def fail():
        raise error

    scene.watcher._open_tree, scene.watcher._stop.wait = fail, pause
    scene.watcher._run()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert not scene.gap.is_set()
    assert scene.watcher.attempted.is_set()
    assert caplog.text.count("were interrupted") == 1
    assert caplog.text.count("Traceback") == isinstance(error, KeyError)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_at_the_kernels_limit_the_directory_is_listed_instead(tmp_path, caplog, monkeypatch):
    def add_watch(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("inotify_simple.INotify.add_watch", add_watch)
    monkeypatch.setattr("image_processor.standalone.polled_tree.MIN_PAUSE_SECONDS", 0.01)
    scene = Scene(tmp_path)
    scene.watcher.start()
    try:
        assert scene.gap.wait(WAIT)
        scene.wait_for_first_report()
        (tmp_path / "cat.jpg").write_bytes(b"new")
        scene.wait_for(("cat.jpg", UploadKind.CREATED))
    finally:
        scene.watcher.stop()
    assert "sysctl -w fs.inotify.max_user_watches=" in caplog.text


def test_a_stop_ends_the_reports_of_a_large_directory(tmp_path):
    scene = Scene(tmp_path)
    (tmp_path / "album").mkdir()
    for number in range(10):
        (tmp_path / "album" / f"{number}.jpg").write_bytes(b"x")
    reported = []

    def submit(upload):
        reported.append(upload.key)
        scene.watcher._stop.set()

    scene.watcher._submit = submit
    scene.watcher._report("album")
    assert reported == ["album/0.jpg"]
