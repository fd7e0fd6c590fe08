"""One server for each data directory, whatever is deleted in it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.standalone.data_dir_lock import DataDirLock

HOLD = """
import sys
from pathlib import Path
from image_processor.standalone.data_dir_lock import DataDirLock
with DataDirLock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def other_process(data):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_until_the_first_is_killed(data, other_process):
    with pytest.raises(Unavailable, match="a server already works on"):
        DataDirLock(data)
    other_process.kill()
    other_process.wait()
    with DataDirLock(data):
        pass


def test_deleting_the_lock_file_lets_nobody_in(data, other_process):
    assert other_process.poll() is None
    (data / "server.lock").unlink()
    with pytest.raises(Unavailable, match="a server already works on"):
        DataDirLock(data)


def test_a_server_of_an_earlier_version_is_respected(data):
    data.mkdir()
    with (data / "server.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="a server already works on"):
            DataDirLock(data)


def test_without_locks_on_directories_the_file_is_locked(data, monkeypatch):
    flock = fcntl.flock

    def files_only(descriptor, operation):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", files_only)
    with DataDirLock(data), pytest.raises(Unavailable, match="a server already works on"):
        DataDirLock(data)


def test_a_directory_that_is_replaced_is_noticed(data, tmp_path):
    with DataDirLock(data) as lock:
        assert lock.trouble() is None
        data.rename(tmp_path / "moved")
        assert "cannot be reached" in lock.trouble()
        data.mkdir()
        assert "was replaced" in lock.trouble()
        assert data.name in lock.trouble()
        assert str(tmp_path) not in lock.trouble()  # strangers see it


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        Unavailable, match=r"cannot open the data directory .*; set --data or IMAGE_PROCESSOR_DATA"
    ):
        DataDirLock(tmp_path / "file" / "data")
