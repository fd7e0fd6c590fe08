"""A real server for the browser tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from support.plain_http import NO_CERTIFICATES


@dataclass(frozen=True)
class Site:
    """A running server: its address, its data, and a client of its API."""

    data: Path
    api: httpx.Client

    @property
    def url(self) -> str:
        return str(self.api.base_url)

    def put(self, key: str, body: bytes) -> str:
        """Store an original, wait until it is processed, and return its id."""
        id_: str = self.api.put(f"/uploads/{key}", content=body).raise_for_status().json()["id"]
        self.api.post("/images", json={"key": key})
        return id_

    def put_all(self, originals: Mapping[str, bytes]) -> None:
        """Store originals and wait until all are processed or refused."""
        for key, body in originals.items():
            self.api.put(f"/uploads/{key}", content=body).raise_for_status()
        self._wait_until_idle()

    def empty(self) -> None:
        """Remove all originals, and wait until nothing of them is left but their counts."""
        self._wait_until_idle()
        while images := self.api.get("/images").raise_for_status().json()["images"]:
            for image in images:
                answer = self.api.delete(f"/images/{image['id']}")
                assert answer.is_success or answer.status_code == 404, answer.text
        for folder in (self.data / "uploads").iterdir():
            shutil.rmtree(folder)

    def _wait_until_idle(self) -> None:
        while self.api.get("/health").raise_for_status().json()["backlog"]:
            time.sleep(0.02)


@contextmanager
def serving(data: Path, port: int = 0, **settings: str) -> Iterator[Site]:
    """A server in its own process; ``settings`` are environment variables without their prefix."""
    command = [sys.executable, "-m", "image_processor", "serve", "--data", str(data), "--port", str(port)]
    environment = os.environ | {f"IMAGE_PROCESSOR_{name}": value for name, value in settings.items()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            announced = re.search(r"http://\S+", server.stdout.readline())
            assert announced, "the server did not start"
            with httpx.Client(base_url=announced[0], timeout=60, verify=NO_CERTIFICATES) as api:
                yield Site(data, api)
        finally:
            server.send_signal(signal.SIGTERM)  # Popen waits for the process, also after a failure
