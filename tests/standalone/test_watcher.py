"""The watcher over a real directory: file changes become uploads."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload, UploadKind
from image_processor.standalone.watcher import SETTLE_SECONDS, Watcher
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

WAIT = 30


class Scene:
    """A watched root; reports come through a queue."""

    def __init__(self, root):
        self.root = root
        self.reports = queue.Queue()
        self.catalog = SqliteCatalog(":memory:")
        self.gap = threading.Event()
        self.broken_key = None
        self.watcher = Watcher(
            root, PRIVATE_FOLDER, "uploads", DirectoryStore(root), self.catalog, self.submit, self.gap.set
        )

    def submit(self, upload):
        if upload.key == self.broken_key:
            raise Unavailable("not now")
        self.reports.put(upload)

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


def test_private_files_are_not_reported(scene):
    (scene.root / PRIVATE_FOLDER).mkdir(exist_ok=True)
    (scene.root / PRIVATE_FOLDER / "secret").write_bytes(b"x")
    (scene.root / "last.jpg").write_bytes(b"x")
    seen = scene.wait_for(("last.jpg", UploadKind.CREATED))
    assert {report.key for report in seen} <= {"last.jpg", "probe"}


def test_a_name_that_is_not_utf8_triggers_reconciliation_and_does_not_end_the_watch(scene):
    with open(os.fsencode(scene.root) + b"/bad\xff.jpg", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"x")
    assert scene.gap.wait(WAIT)
    scene.wait_for_first_report()
    (scene.root / "last.jpg").write_bytes(b"x")
    scene.wait_for(("last.jpg", UploadKind.CREATED))


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


def test_a_missing_directory_is_waited_for(scene):
    shutil.rmtree(scene.root)
    assert scene.gap.wait(WAIT)
    scene.gap.clear()
    assert scene.gap.wait(WAIT), "the watch was not tried again"
    scene.root.mkdir()
    scene.wait_for_first_report()
