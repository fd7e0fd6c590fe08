"""The Python that our functions run in: an optimised build, as Lambda's is.

A Python built without --enable-optimizations, pyenv's default, takes a tenth longer from a function's
start to its first rendition. On a machine with such a build, Debian's Python is unpacked.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.aws_emulation.server import PYTHON

from .emulated_aws import ROOT

_VERSION = "3.13"
_RELEASE = "trixie"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_PACKAGES = ("base-files", f"libpython{_VERSION}-stdlib", "libstdc++6", f"python{_VERSION}-minimal")
_ASK = """
import json, platform, sys, sysconfig
arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
print(json.dumps({"version": platform.python_version(), "prefix": sys.base_prefix, "arguments": arguments}))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter: its name in reports, the command that starts it, and the variables it needs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def find() -> Python:
    """An optimised Python of Lambda's version. Without one prints a warning and returns that of .venv-aws."""
    own = Python("", (str(PYTHON),))
    built = _ask(own)
    own = Python(f"Python {built['version']} of .venv-aws", own.command)
    if optimised(built):
        return own
    try:
        return _debian()
    except _NoDebian as error:
        print(
            f"*** OUR SIDE IS SLOWER THAN IN LAMBDA, by about a tenth: the Python of .venv-aws was built "
            f"without --enable-optimizations, and there is no other: {error}. ***",
            file=sys.stderr,
        )
        return Python(f"{own.name}, NOT OPTIMISED", own.command)


def optimised(built: Mapping[str, Any]) -> bool:
    """Whether a Python with these build variables is optimised. A distribution's always is, though
    Debian's variables do not show it."""
    return "--enable-optimizations" in built["arguments"] or built["prefix"] == "/usr"


def inside(root: Path, machine: str) -> Python:
    """Debian's Python below ``root``. It runs with Debian's own loader and libraries, because this
    machine's may be older."""
    libraries = root / "usr" / "lib" / f"{machine}-linux-gnu"
    command = (
        str(libraries / _LOADERS[machine]),
        "--library-path",
        str(libraries),
        str(root / "usr" / "bin" / f"python{_VERSION}"),
    )
    return Python(f"Debian {_RELEASE}'s Python", command, {"PYTHONHOME": str(root / "usr")})


class _NoDebian(Exception):
    """Debian's Python cannot be unpacked; the message says why."""


def _debian() -> Python:
    machine = platform.machine()
    root = ROOT / "build" / f"{_RELEASE}-{machine}"
    python = inside(root, machine)
    if not root.exists():
        _unpack(root, machine)
    return Python(f"{python.name} {_ask(python)['version']}", python.command, python.environment)


def _unpack(root: Path, machine: str) -> None:
    """Unpack the packages into ``root``, which appears only when it is complete."""
    if not shutil.which("mmdebstrap"):
        raise _NoDebian("mmdebstrap, which downloads Debian's, is missing: apt-get install mmdebstrap")
    part = root.with_name(f"{root.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    archive = part / "system.tar"
    options = ("--quiet", "--variant=extract", f"--architectures={_ARCHITECTURES[machine]}")
    try:
        # Into an archive first: mmdebstrap gives the files of a folder to owners that only root can set.
        subprocess.run(
            ["mmdebstrap", *options, f"--include={','.join(_PACKAGES)}", _RELEASE, archive], check=True
        )
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", part, "./usr"], check=True)
        archive.unlink()
        # Installing the packages would have compiled the library.
        python = inside(part, machine)
        library = Path(python.environment["PYTHONHOME"]) / "lib" / f"python{_VERSION}"
        subprocess.run(
            [*python.command, "-S", "-m", "compileall", "-q", library], env=python.environment, check=True
        )
    except subprocess.CalledProcessError as error:
        raise _NoDebian(f"{error.cmd[0]} failed to unpack Debian's") from error
    part.rename(root)


def _ask(python: Python) -> dict[str, Any]:
    command = [*python.command, "-c", _ASK]
    asked = subprocess.run(command, env=python.environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(asked.stdout)
    return answer


if __name__ == "__main__":
    print(find())
