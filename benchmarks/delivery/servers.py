"""The compared servers, each run as its documentation recommends."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Self

from benchmarks.process_tree import cpu_seconds

ROOT = Path(__file__).parents[2]
IPX = ROOT / "benchmarks" / "ipx"
THUMBOR = ROOT / ".venv-bench" / "bin" / "thumbor"
KEY_ID, SECRET = "bench", "a-secret-of-the-benchmark"
QUALITY = {"jpeg": 75, "webp": 80}
"""Our defaults, which thumbor is configured with."""

_STARTING_SECONDS, _ENDING_SECONDS = 60.0, 30.0

_THUMBOR_CONF = """
SECURITY_KEY = {secret!r}
ALLOW_UNSAFE_URL = False
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = {originals!r}
STORAGE = "thumbor.storages.no_storage"  # the loader reads the same disk: a copy would only cost
RESULT_STORAGE = "thumbor.result_storages.file_storage"
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = {results!r}
QUALITY = {jpeg}
WEBP_QUALITY = {webp}
PROGRESSIVE_JPEG = False  # as ours are
MAX_PIXELS = 100000000
"""

_NGINX_CONF = """
daemon off; user {user}; worker_processes auto; pid {folder}/pid;
events {{ }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {temporary}
  types {{ image/jpeg jpg; }}
  server {{
    listen 127.0.0.1:{port}; root {files};
    location = /health {{ return 200; }}
  }}
}}
"""


class Server:
    """A server that runs from entry to exit and listens on ``port``."""

    def __init__(
        self, *command: str | Path, port: int, health: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self._command = command
        self._health = health
        self._environment = environment or {}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=os.environ | self._environment,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            process_group=0,  # thumbor's workers outlive their parent
        )
        deadline = time.monotonic() + _STARTING_SECONDS
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                self._log.seek(0)
                said = self._log.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"{self._command[0]} does not answer on port {self.port}: {said}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def get(self, path: str) -> bytes:
        """The body of a 200 response. Raises RuntimeError for another status."""
        status, _, body = self.request(path)
        if status != 200:
            raise RuntimeError(f"GET {path} was answered {status}: {body[:500]!r}")
        return body

    def request(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Message, bytes]:
        """Status, headers and body of the response to a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """CPU time so far of the server and all its child processes."""
        return cpu_seconds(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _healthy(self) -> bool:
        try:
            self.get(self._health)
        except OSError:
            return False
        return True


SMALL_RECIPE = (
    '[presets.small]\nwidth = 200\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["small"]\n'
)


def ours(folder: Path, recipe_text: str | None = SMALL_RECIPE, **more: str) -> Server:
    """Our server with its data in ``folder``, with ``more`` settings, and the built-in recipe if
    ``recipe_text`` is None."""
    settings = {"DATA": str(folder), "SIGNING_KEYS": f"{KEY_ID}:{SECRET}", **more}
    if recipe_text is not None:
        recipe = folder / "recipe.toml"
        recipe.write_text(recipe_text)
        settings["RECIPE"] = str(recipe)
    port = free_port()
    return Server(
        *(sys.executable, "-m", "image_processor", "serve", "--port", str(port)),
        port=port,
        health="/health",
        environment={f"IMAGE_PROCESSOR_{name}": value for name, value in settings.items()},
    )


def wait_until_idle(server: Server) -> None:
    """Wait until our server has no uploads left to process."""
    while json.loads(server.get("/health"))["backlog"]:
        time.sleep(0.5)


def thumbor(folder: Path, originals: Path, processes: int) -> Server:
    """thumbor with that number of ``processes``, its results in ``folder``."""
    conf = folder / "thumbor.conf"
    results = str(folder / "results")
    conf.write_text(_THUMBOR_CONF.format(secret=SECRET, originals=str(originals), results=results, **QUALITY))
    port = free_port()
    return Server(
        THUMBOR,
        *("--ip", "127.0.0.1", "--port", str(port), "--conf", conf, "--processes", str(processes)),
        *("--log-level", "error"),
        port=port,
        health="/healthcheck",
    )


def nginx(folder: Path, files: Path) -> Server:
    """nginx with a process for each core and the files of ``files``, its own files in ``folder``."""
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    conf = folder / "nginx.conf"
    conf.write_text(
        _NGINX_CONF.format(user=getpass.getuser(), folder=folder, files=files, port=port, temporary=temporary)
    )
    return Server("nginx", "-c", conf, "-e", folder / "errors", port=port, health="/health")


def ipx(originals: Path) -> Server:
    """ipx on the files of ``originals``. Raises FileNotFoundError without Node."""
    port = free_port()
    return Server("node", IPX / "server.js", originals, str(port), port=port, health="/health")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
