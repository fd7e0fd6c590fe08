"""Runs the commands of a tutorial as a newcomer does: from the page alone, in one shell, in a fresh copy.

A page's blocks of `sh` are run in order. A block of `text` after one is what it must have printed, where
`...` stands for any text. Blocks of `console` are for AWS and are not run. Ports of the page and of its
example become free ones. `make venv` finds the environment of the tests; ~/Pictures/cat.jpg is a photograph.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import skimage
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "learn"
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"\b(8000|8080|8888|3000)\b")
WAIT_SECONDS = 120
"""Until the commands of a block are ended, enough for a very busy machine."""
_END = "end of the block:"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The kind and the content of each fenced block of a page."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def photograph() -> Image.Image:
    """A cat, 1,353 x 900 pixels."""
    with Image.open(CAT) as cat:
        return cat.convert("RGB").resize((cat.width * 3, cat.height * 3))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Tutorial:
    """A clone of the repository with one example, and a shell in it."""

    def __init__(self, folder: Path, name: str, replace: Mapping[str, str] | None = None) -> None:
        self.page = PAGES / f"{name}.md"
        self.example = folder / "image-processor" / "examples" / name
        self.ports: dict[str, int] = {}
        self._replace = replace or {}
        self._left = blocks(self.page)
        clone = folder / "image-processor"
        tracked = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", f"examples/{name}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for line in tracked.stdout.splitlines():
            (clone / line).parent.mkdir(parents=True, exist_ok=True)
            (clone / line).write_text(self.local((ROOT / line).read_text(encoding="utf-8")), encoding="utf-8")
        (clone / "Makefile").write_text("venv:\n\t@true\n")
        (clone / ".venv").symlink_to(Path(sys.executable).parents[1])
        (folder / "home" / "Pictures").mkdir(parents=True)
        photograph().save(folder / "home" / "Pictures" / "cat.jpg", quality=90)
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=clone,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder / "home"),
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
                "npm_config_update_notifier": "false",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "IMAGE_PROCESSOR_PORT": str(self.port("8000")),
                "IMAGE_PROCESSOR_SERVER_PROCESSES": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.run("set -m -o pipefail")

    def local(self, text: str) -> str:
        """``text`` with a free port in place of each of its ports, and what this test replaces."""
        for old, new in self._replace.items():
            text = text.replace(old, new)
        return _PORT.sub(lambda match: str(self.port(match[0])), text)

    def port(self, written: str | int) -> int:
        """The free port in place of one of the page."""
        written = str(written)
        if written not in self.ports:
            self.ports[written] = _free_port()
        return self.ports[written]

    def address(self, port: int) -> str:
        """Where what listens on ``port`` in the page listens."""
        return f"http://127.0.0.1:{self.port(port)}"

    def run(self, commands: str) -> str:
        """What ``commands`` print. Raises AssertionError where one fails."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"set -e; {{\n{commands}\n}} </dev/null; set +e; echo; echo '{_END}'\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        watch = threading.Timer(WAIT_SECONDS, os.killpg, (self._shell.pid, signal.SIGKILL))
        watch.start()
        try:
            for line in self._shell.stdout:
                if line.strip() == _END:
                    return "".join(lines).removesuffix("\n")
                lines.append(line)
        finally:
            watch.cancel()
        raise AssertionError(f"{self.page.name}: a command failed:\n{commands}\n{''.join(lines)}")

    def follow(self, until: str | None = None) -> None:
        """Run the blocks of the page that are left, up to the first that has the text ``until``."""
        printed = ""
        while self._left:
            kind, content = self._left[0]
            if until is not None and until in content:
                return
            self._left.pop(0)
            if kind == "sh":
                printed = self.run(self.local(content))
            elif kind == "text":
                _check(self.local(content), printed)
        assert until is None, f"{self.page.name} has no block with {until!r}"

    def close(self) -> None:
        """End the shell and all that it has started, also after a command that failed."""
        # Each job has a process group of its own, and all are in the shell's session.
        listed = subprocess.run(["ps", "-A", "-o", "pid=,sess="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, session = map(int, line.split())
            if session == self._shell.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            self._shell.communicate()


def _check(expected: str, printed: str) -> None:
    pattern = r".*?".join(re.escape(part) for part in expected.strip().split("..."))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"expected\n{expected}\ngot\n{printed}"
