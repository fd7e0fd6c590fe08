"""A library that an earlier version wrote, opened by the commands and the server of this one."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.plain_http import NO_CERTIFICATES

ARCHIVE = "library.tar.xz"


def unpack(fixture: Path, data: Path, times: Mapping[str, int]) -> None:
    """Unpack the library of ``fixture`` into ``data``, with the files' ages, which are their versions."""
    with tarfile.open(fixture / ARCHIVE) as archive:
        archive.extractall(data, filter="data")
    for path, nanoseconds in times.items():
        os.utime(data / path, ns=(nanoseconds, nanoseconds))


def run(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "image_processor", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(environment: Mapping[str, str]) -> list[Any]:
    """The records that the command `list` prints."""
    return [json.loads(line) for line in run(environment, "list", "--json").splitlines()]


def restored(fixture: Path, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The settings of a new data directory below ``folder`` with the restored catalog of ``fixture``."""
    with tarfile.open(fixture / ARCHIVE) as archive:
        archive.extract("./catalog.sqlite", folder, filter="data")
    elsewhere = {**environment, "IMAGE_PROCESSOR_DATA": str(folder / "data")}
    run(elsewhere, "restore", str(folder / "catalog.sqlite"))
    return elsewhere


def assert_same_answer(response: httpx.Response, expected: Mapping[str, Any]) -> None:
    """The status, the headers, the body and the code of the problem are as the other version answered."""
    headers = {name: response.headers.get(name) for name in expected["headers"]}
    assert (response.status_code, headers) == (expected["status"], expected["headers"])
    if expected["sha256"]:
        assert hashlib.sha256(response.content).hexdigest() == expected["sha256"]
    if expected["problem"]:
        assert response.json()["code"] == expected["problem"]


@contextmanager
def served(environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A client of a server over the library, which ends as it should."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "image_processor", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment) as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, verify=NO_CERTIFICATES) as http:
            _wait_until_healthy(http)
            yield http
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


def _wait_until_healthy(http: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if http.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("expected a server within 30 s, got none")


def assert_no_file_is_lost_or_written_again(fixture: Path, data: Path, times: Mapping[str, int]) -> None:
    """Locks and the catalog aside, each file has the bytes and the age that the other version gave it."""
    with tarfile.open(fixture / ARCHIVE) as archive:
        for member in archive.getmembers():
            path = data / member.name
            if "lock" in path.name or path.name == "catalog.sqlite" or not member.isfile():
                continue
            content = archive.extractfile(member)
            assert content is not None
            assert path.read_bytes() == content.read(), member.name
            if (time_before := times.get(member.name.removeprefix("./"))) is not None:
                assert path.stat().st_mtime_ns == time_before, member.name
