"""Deployment: finds a Python of Lambda's version, because bytecode works in one version only.

It may be off the PATH: in pyenv, whose shims reject versions that are not enabled, or in uv.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSION = "3.13"
"""The Python version of the runtime in the template."""

VARIABLE = "LAMBDA_PYTHON"


class NoInterpreter(Exception):
    """No Python of this version is installed; the message says how to get one."""


def find() -> str:
    """The command of a working Python of this version. Raises NoInterpreter."""
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
        return  # an explicit choice is not replaced by another
    yield sys.executable
    yield f"python{VERSION}"
    for name in _output("pyenv", "versions", "--bare").split():
        if name.startswith(f"{VERSION}."):
            yield str(Path(_output("pyenv", "prefix", name).strip()) / "bin" / "python")
    if path := _output("uv", "python", "find", VERSION).strip():
        yield path


def _version(command: str) -> str:
    return _output(command, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])").strip()


def _output(*command: str) -> str:
    """The output of a command; empty if it is missing or fails."""
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
