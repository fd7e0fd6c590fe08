"""Runs the commands of a tutorial as a newcomer does: from the page alone, in one shell, in a fresh copy.

A page's blocks of `sh` are run in order. A block of `text` after one is what it must have printed, where
`...` stands for any text. Blocks with a mark (tests/support/command_blocks.py) are not run here. Ports of the
page and of its example become free ones. `make venv` finds the environment of the tests. ~/Pictures/cat.jpg
is a photograph.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import skimage
from PIL import Image

from support.command_blocks import to_run
from support.shell import Shell, check_printed

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "learn"
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
_PORT = re.compile(r"\b(8000|8080|8888|3000)\b")


def to_follow(page: Path) -> list[tuple[str, str]]:
    """The kind and the content of each block of a page that this machine runs, and of what they print."""
    return [(block.kind, block.content) for block in to_run(page, on_aws=False)]


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
        self._left = to_follow(self.page)
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
        self._shell = Shell(
            clone,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(folder / "home"),
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
                "npm_config_update_notifier": "false",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "IMAGE_PROCESSOR_PORT": str(self.port("8000")),
                "IMAGE_PROCESSOR_SERVER_PROCESSES": "1",
            },
        )

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
        return self._shell.run(commands)

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
                check_printed(self.local(content), printed)
        assert until is None, f"{self.page.name} has no block with {until!r}"

    def close(self) -> None:
        """End the shell and all that it has started."""
        self._shell.close()
