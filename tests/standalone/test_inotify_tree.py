"""The kernel's notifications of a directory tree: whatever is in it, all that can be watched is."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

from image_processor.standalone.directory_tree import WatchLimit
from image_processor.standalone.inotify_tree import InotifyTree

PRIVATE = ".image-processor"
NOBODY = 65534
SOURCE = Path(__file__).parents[2] / "src"

# The modules are loaded before the user changes: the interpreter may lie where only root can read.
AS_NOBODY = """
import os, socket, sys, tempfile, platform
from pathlib import Path
from image_processor.standalone.inotify_tree import InotifyTree
root = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
def changes(tree, expected):
    seen = set()
    while not expected <= seen:
        new = tree.changes(30)
        assert new, (seen, expected)
        seen |= new
    return seen
"""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "uploads"
    (root / "old" / "deep").mkdir(parents=True)
    return root


@pytest.fixture
def tree(root):
    with open_tree(root) as tree:
        yield tree


def open_tree(root, on_gap=lambda: None, is_stopping=lambda: False):
    return InotifyTree(root, PRIVATE, on_gap, is_stopping)


def changes(tree, *expected):
    """All that is reported until each of ``expected`` was."""
    seen, end = set(), time.monotonic() + 30
    while not set(expected) <= seen:
        assert time.monotonic() < end, f"expected {expected}, got {seen}"
        seen |= tree.changes(1)
    return seen


def test_files_in_every_directory_are_reported(root, tree):
    (root / "a.jpg").write_bytes(b"a")
    (root / "old" / "deep" / "b.jpg").write_bytes(b"b")
    assert changes(tree, "a.jpg", "old/deep/b.jpg") == {"a.jpg", "old/deep/b.jpg"}
    (root / "a.jpg").unlink()
    assert changes(tree, "a.jpg") == {"a.jpg"}


def test_a_file_is_closed_after_its_last_write(root, tree):
    with (root / "a.jpg").open("wb", buffering=0) as file:
        file.write(b"a")
        changes(tree, "a.jpg")
        assert tree.closed == frozenset()
    changes(tree, "a.jpg")
    assert tree.closed == {"a.jpg"}
    (root / "b.jpg").write_bytes(b"b")
    (root / "b.jpg").chmod(0o600)  # as tools that copy attributes do
    (root / "a.jpg").rename(root / "c.jpg")
    changes(tree, "b.jpg", "a.jpg", "c.jpg")
    assert "b.jpg" in tree.closed
    assert "a.jpg" not in tree.closed


def test_a_file_that_is_moved_here_is_complete(root, tree, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"b")
    (tmp_path / "b.jpg").rename(root / "a.jpg")
    changes(tree, "a.jpg")
    assert tree.closed == {"a.jpg"}


def test_a_change_of_permissions_is_reported(root, tree):
    (root / "a.jpg").write_bytes(b"a")
    changes(tree, "a.jpg")
    (root / "a.jpg").chmod(0o600)
    assert changes(tree, "a.jpg") == {"a.jpg"}


def test_a_new_directory_is_reported_and_watched_with_all_below_it(root, tree):
    (root / "new" / "deep").mkdir(parents=True)
    changes(tree, "new")
    (root / "new" / "deep" / "a.jpg").write_bytes(b"a")
    changes(tree, "new/deep/a.jpg")


def test_a_moved_directory_is_watched_under_its_new_path(root, tree):
    (root / "old").rename(root / "new")
    assert changes(tree, "old", "new") == {"old", "new"}
    (root / "new" / "deep" / "a.jpg").write_bytes(b"a")
    assert changes(tree, "new/deep/a.jpg") == {"new/deep/a.jpg"}


def test_a_directory_moved_out_is_no_longer_watched(root, tree, tmp_path):
    (root / "old").rename(tmp_path / "outside")
    assert changes(tree, "old") == {"old"}
    (tmp_path / "outside" / "deep" / "a.jpg").write_bytes(b"a")
    (root / "last.jpg").write_bytes(b"a")
    assert changes(tree, "last.jpg") == {"last.jpg"}


def test_a_directory_that_is_replaced_is_watched_again(root, tree):
    shutil.rmtree(root / "old")
    (root / "old").mkdir()
    changes(tree, "old")
    (root / "old" / "a.jpg").write_bytes(b"a")
    changes(tree, "old/a.jpg")


def test_private_files_are_not_watched(root):
    (root / PRIVATE / "tmp").mkdir(parents=True)
    with open_tree(root) as tree:
        (root / PRIVATE / "tmp" / "a").write_bytes(b"a")
        (root / PRIVATE / "lock").write_bytes(b"a")
        (root / "a.jpg").write_bytes(b"a")
        assert changes(tree, "a.jpg") == {"a.jpg"}


def test_names_that_are_not_utf8_are_left_out_and_reported_once(root, caplog):
    bad, moved = root / os.fsdecode(b"bad\xff"), root / os.fsdecode(b"bad\xff!")
    bad.mkdir()
    with open_tree(root) as tree:
        for number in range(3):
            (bad / f"{number}.jpg").write_bytes(b"a")
            (root / os.fsdecode(b"bad\xff%d.jpg" % number)).write_bytes(b"a")
            bad.rename(moved)
            moved.rename(bad)
        (root / "old" / "deep" / "a.jpg").write_bytes(b"a")
        assert changes(tree, "old/deep/a.jpg") == {"old/deep/a.jpg"}
    assert sorted("not UTF-8" in record.getMessage() for record in caplog.records) == [True, True]


def test_links_pipes_and_sockets_are_reported_without_being_followed_or_opened(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "up").symlink_to("..")
    with open_tree(root) as tree:
        (root / "loop").symlink_to(root / "loop")
        (root / "dangling").symlink_to("nowhere")
        (root / "out").symlink_to(outside)
        os.mkfifo(root / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(root / "socket"))  # its path may have 108 bytes
        (outside / "a.jpg").write_bytes(b"a")
        (root / "last.jpg").write_bytes(b"a")
        seen = changes(tree, "last.jpg")
    assert seen == {"loop", "dangling", "out", "pipe", "socket", "last.jpg"}


def test_the_end_of_the_root_is_an_error(root, tree):
    shutil.rmtree(root)
    with pytest.raises(FileNotFoundError, match="removed or unmounted"):
        changes(tree, "never")


def test_a_gap_is_reported_and_directories_created_in_it_are_watched(root):
    gaps = []
    with open_tree(root, lambda: gaps.append(1)) as tree:
        overflow_queue(root)
        (root / "unseen").mkdir()
        tree.changes(1)
        assert gaps == [1]
        (root / "unseen" / "a.jpg").write_bytes(b"a")
        changes(tree, "unseen/a.jpg")


def overflow_queue(root):
    files = [root / "1", root / "2"]
    for file in files:
        file.touch()
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
        for file in files:  # in turn, because equal notifications are joined
            os.utime(file)


def test_the_walk_of_a_large_tree_ends_when_the_server_stops(root):
    for name in map(str, range(20)):
        (root / name / "sub").mkdir(parents=True)
    asked = []
    with open_tree(root, is_stopping=lambda: bool(asked.append(1)) or len(asked) > 3):
        assert len(asked) == 4


def test_too_many_open_files_are_not_taken_for_a_directory_that_cannot_be_watched(root, monkeypatch):
    def scandir(_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="Too many open files"):
        open_tree(root)


def test_the_kernels_limit_names_the_setting(root):
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", WITH_2_WATCHES, sys.executable, LIMITED, str(root)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SOURCE)},
    )
    if "unshare" in done.stderr or "cannot create" in done.stderr:
        pytest.skip("this machine gives no user namespace with limits of its own")
    assert (done.returncode, done.stdout) == (0, "fs.inotify.max_user_watches\n"), done.stderr


WITH_2_WATCHES = 'echo 2 > /proc/sys/user/max_inotify_watches && "$0" -c "$1" "$2"'
LIMITED = """
import sys
from pathlib import Path
from image_processor.standalone.directory_tree import WatchLimit
from image_processor.standalone.inotify_tree import InotifyTree
try:
    InotifyTree(Path(sys.argv[1]), ".image-processor", print, lambda: False)
except WatchLimit as limit:
    print(limit.sysctl)
"""


def test_the_limit_of_instances_names_its_setting(root, monkeypatch):
    def fail():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("image_processor.standalone.inotify_tree.INotify", fail)
    with pytest.raises(WatchLimit) as raised:
        open_tree(root)
    assert raised.value.sysctl == "fs.inotify.max_user_instances"


@pytest.fixture
def open_root():
    """A root that every user can read, unlike pytest's directories."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o777)
    yield root
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o700)
    shutil.rmtree(root)


def run_as_nobody(code, root):
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY.format(nobody=NOBODY) + code, str(root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_directory_without_permission_leaves_all_others_watched(open_root):
    """The walk may meet it at any place, so there are many others; watchfiles 1.3 ends its walk there."""
    (open_root / "lost+found").mkdir(mode=0o700)
    if os.getuid():
        (open_root / "lost+found").chmod(0)
    for number in range(10):
        (open_root / str(number) / "deep").mkdir(parents=True)
        (open_root / str(number) / "deep").chmod(0o777)
    code = """
expected = {f"{number}/deep/a.jpg" for number in range(10)}
with InotifyTree(root, ".image-processor", print, bool) as tree:
    for key in expected:
        (root / key).write_bytes(b"a")
    assert changes(tree, expected) == expected
"""
    errors = run_as_nobody(code, open_root)
    assert errors.count("is not watched") == 1
    assert "lost+found" in errors
    assert "Permission denied" in errors


def test_a_directory_is_watched_once_its_permissions_allow_it(open_root):
    code = """
(root / "album").mkdir(mode=0o000)
with InotifyTree(root, ".image-processor", print, bool) as tree:
    (root / "album").chmod(0o700)
    assert changes(tree, {"album"}) == {"album"}
    (root / "album" / "a.jpg").write_bytes(b"a")
    assert changes(tree, {"album/a.jpg"}) == {"album/a.jpg"}
    (root / "album").chmod(0o000)
    (root / "last.jpg").write_bytes(b"a")
    assert changes(tree, {"last.jpg"}) == {"last.jpg"}
"""
    assert run_as_nobody(code, open_root).count("is not watched") == 1
