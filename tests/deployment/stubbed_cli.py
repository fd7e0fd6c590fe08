"""A stage for deploy.sh and teardown.sh: a PATH where aws and sam are stubs that note how they were
called and answer from a table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import interpreter
from linters import DEPLOYMENT

# What the scripts need of a real machine.
REAL = (
    "bash",
    "cat",
    "cksum",
    "dirname",
    "env",
    "find",
    "grep",
    "make",
    "mkdir",
    "mktemp",
    "rm",
    "sh",
    "sort",
    "tr",
)


class StubbedCli:
    """``answers`` maps a piece of a call to the shell code that answers it; the first that fits."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        self.log.touch()
        self.answers: dict[str, str] = {
            "get-caller-identity": "echo 111122223333",
            "sam build": "mkdir -p build/sam",
        }
        for tool in REAL:
            self.link(tool)
        self.replace("python3", f'exec "{sys.executable}" "$@"')
        self.replace("lambda-python", f"echo {interpreter.VERSION}")

    def link(self, tool: str) -> None:
        (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def run(
        self, script: str, *arguments: str | Path, stdin: str = "", without: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The script's end, with the tool ``without`` taken away."""
        for tool in ("aws", "sam"):
            self.replace(tool, self._stub(tool, self.answers))
        if without:
            (self.bin / without).unlink()
        return subprocess.run(
            [str(self.bin / "bash"), str(DEPLOYMENT / script), *map(str, arguments)],
            env={
                "PATH": str(self.bin),
                "AWS_REGION": "eu-central-1",
                "LAMBDA_PYTHON": "lambda-python",
                **environment,
            },
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, piece: str = "") -> list[str]:
        return [line for line in self.log.read_text().splitlines() if piece in line]

    def _stub(self, tool: str, answers: Mapping[str, str]) -> str:
        rows = "\n".join(f"    *{piece!r}*) {code} ;;" for piece, code in answers.items())
        return f'call="{tool} $*"\nprintf "%s\\n" "$call" >>"{self.log}"\ncase "$call" in\n{rows}\nesac'

    def replace(self, name: str, code: str) -> None:
        """Put a shell script of this ``code`` in the place of the tool ``name``."""
        file = self.bin / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!{os.path.realpath(shutil.which('sh') or 'sh')}\n{code}\n")
        file.chmod(0o755)
