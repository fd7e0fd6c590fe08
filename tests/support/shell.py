"""A shell that runs the commands of a page block by block, as a reader does in one terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

WAIT_SECONDS = 120
"""Until the commands of a block are ended, enough for a very busy machine."""
_END = "end of the block:"


class Shell:
    """One bash in a session of its own, with nothing of the tests' environment but ``environment``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.run("set -m -o pipefail")

    def run(self, commands: str) -> str:
        """What ``commands`` print. Raises AssertionError where one fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"set -e; {{\n{commands}\n}} </dev/null; set +e; echo; echo '{_END}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        watch = threading.Timer(WAIT_SECONDS, os.killpg, (self._process.pid, signal.SIGKILL))
        watch.start()
        try:
            for line in self._process.stdout:
                if line.strip() == _END:
                    return "".join(lines).removesuffix("\n")
                lines.append(line)
        finally:
            watch.cancel()
        raise AssertionError(f"a command failed:\n{commands}\n{''.join(lines)}")

    def close(self) -> None:
        """End the shell and all that it has started, also after a command that failed."""
        # Each job has a process group of its own, and all are in the shell's session.
        listed = subprocess.run(["ps", "-A", "-o", "pid=,sess="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, session = map(int, line.split())
            if session == self._process.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            self._process.communicate()


def _plain(text: str) -> str:
    """``text`` with one space for several: tables are as wide as the terminal."""
    return re.sub(r" +", " ", re.sub(r" +$", "", text.strip(), flags=re.MULTILINE))


def check_printed(expected: str, printed: str) -> None:
    """Raise AssertionError unless ``printed`` is the block ``expected``, where `...` stands for any text."""
    pattern = r".*?".join(re.escape(part) for part in _plain(expected).split("..."))
    assert re.fullmatch(pattern, _plain(printed), re.DOTALL), f"expected\n{expected}\ngot\n{printed}"
