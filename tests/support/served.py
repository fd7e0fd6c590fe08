"""`image-processor serve` as a program, for tests that need all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

WAIT = 120
"""Seconds until a wait fails, enough for a very busy machine."""

RECIPE = """
[presets.small]
widths = [32]
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["small"]
"""
"""One small rendition of each original."""

_WITH_CONSTANTS = """
import importlib, sys
from image_processor.__main__ import main
for constant in sys.argv.pop(1).split():
    path, value = constant.split("=")
    module, _, name = path.rpartition(".")
    found = importlib.import_module(f"image_processor.{module}")
    assert hasattr(found, name), path
    setattr(found, name, float(value))
main()
"""

_Result = TypeVar("_Result")


class Served:
    """A server over ``folder``/data with its own recipe and settings.

    ``constants`` are times for which it shall wait less than in use, as `module.NAME` of the package.
    """

    def __init__(
        self,
        folder: Path,
        recipe: str,
        settings: Mapping[str, str] | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> None:
        self.folder = folder
        self._constants = " ".join(f"{path}={value}" for path, value in (constants or {}).items())
        self.settings = {"IMAGE_PROCESSOR_SERVER_PROCESSES": "1", **(settings or {})}
        (folder / "recipe.toml").write_text(recipe)
        self.log = (folder / "log").open("ab")

    def start(self, preexec_fn: Callable[[], object] | None = None, port: int = 0) -> None:
        program = [sys.executable, "-m", "image_processor"]
        if self._constants:
            program = [sys.executable, "-c", _WITH_CONSTANTS, self._constants]
        options = ["serve", "--data", "data", "--recipe", "recipe.toml", "--port", str(port)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self.settings}
        self.log.truncate(0)
        self.process = subprocess.Popen(
            program + options,
            cwd=self.folder,
            env=environment,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=preexec_fn,  # noqa: PLW1509 - the tests' own functions start no threads
        )
        self.address = self.wait_until(self._announced)

    def _announced(self) -> str | None:
        lines = (self.folder / "log").read_text().splitlines()
        addresses = [line.split(" or on ")[1] for line in lines if " or on http://" in line]
        return addresses[-1] if addresses and self._responds(addresses[-1]) else None

    @staticmethod
    def _responds(address: str) -> bool:
        try:
            with urllib.request.urlopen(address + "/health", timeout=WAIT):
                return True
        except urllib.error.URLError:
            return False

    def wait_until(self, condition: Callable[[], _Result | None], seconds: float = WAIT) -> _Result:
        """Wait for a true result of ``condition`` and return it. Fails if the server exits before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            if result := condition():
                return result
            time.sleep(0.02)
        raise TimeoutError((self.folder / "log").read_text())

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=WAIT) as response:
            return json.load(response)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.log.close()
