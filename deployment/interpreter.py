"""Deployment: finds the Python that Lambda will run, because bytecode is one version's own.

It may lie off the PATH: in pyenv, whose shims refuse versions that are not switched on, or in uv.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSION = "3.13"
"""The version in the name of the template's runtime."""

VARIABLE = "LAMBDA_PYTHON"


class NoInterpreter(Exception):
    """There is no such Python here; the message says what helps."""


def find() -> str:
    """The command of a Python of this version that runs. Raises NoInterpreter."""
    for command in _candidates():
        if _version(command) == VERSION:
            return command
    raise NoInterpreter(
        f"expected Python {VERSION}, which Lambda runs, to compile the package's bytecode, got none: "
        f"install it (pyenv install {VERSION}, uv python install {VERSION}), or name it in {VARIABLE}"
    )


def _candidates() -> Iterator[str]:
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return  # a wrong answer to a plain question is no reason to look elsewhere
    yield sys.executable
    yield f"python{VERSION}"
    for name in _output("pyenv", "versions", "--bare").split():
        if name.startswith(f"{VERSION}."):
            yield str(Path(_output("pyenv", "prefix", name).strip()) / "bin" / "python")
    if found := _output("uv", "python", "find", VERSION).strip():
        yield found


def _version(command: str) -> str:
    return _output(command, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])").strip()


def _output(*command: str) -> str:
    """What a command prints, nothing if there is no such command or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    try:
        print(find())
    except NoInterpreter as error:
        sys.exit(str(error))
