"""The Python that our side runs in: an optimised one, as Lambda's is.

Who builds Python without --enable-optimizations, as pyenv does unless it is told, gets one that takes a
tenth longer from a function's start to its first rendition. Debian's is unpacked for such a machine.
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

from .stage import ROOT

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
    """``name`` tells a reader which it is, ``command`` starts it, ``environment`` is what it needs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def find() -> Python:
    """An optimised Python of Lambda's version; where there is none the one of .venv-aws, which is said."""
    own = Python("", (str(PYTHON),))
    built = _ask(own)
    own = Python(f"Python {built['version']} of .venv-aws", own.command)
    if optimised(built):
        return own
    try:
        return _debian()
    except _NoDebian as error:
        print(
            f"*** OUR SIDE IS SLOWER THAN IN LAMBDA, by about a tenth: .venv-aws has a Python that was built "
            f"without --enable-optimizations, and there is no other, because {error}. ***",
            file=sys.stderr,
        )
        return Python(f"{own.name}, NOT OPTIMISED", own.command)


def optimised(built: Mapping[str, Any]) -> bool:
    """Whether a Python that says this of itself is optimised. A distribution's always is; Debian's
    does not show it."""
    return "--enable-optimizations" in built["arguments"] or built["prefix"] == "/usr"


def inside(root: Path, machine: str) -> Python:
    """Debian's Python in an unpacked system. It is started by that system's loader: our libraries
    may be older than what it wants."""
    libraries = root / "usr" / "lib" / f"{machine}-linux-gnu"
    command = (
        str(libraries / _LOADERS[machine]),
        "--library-path",
        str(libraries),
        str(root / "usr" / "bin" / f"python{_VERSION}"),
    )
    return Python(f"Debian {_RELEASE}'s Python", command, {"PYTHONHOME": str(root / "usr")})


class _NoDebian(Exception):
    """Debian's Python cannot be had here; the message says why."""


def _debian() -> Python:
    machine = platform.machine()
    root = ROOT / "build" / f"{_RELEASE}-{machine}"
    python = inside(root, machine)
    if not root.exists():
        _unpack(root, machine)
    return Python(f"{python.name} {_ask(python)['version']}", python.command, python.environment)


def _unpack(root: Path, machine: str) -> None:
    """Unpack the packages into ``root``, which is there only once it is complete."""
    if not shutil.which("mmdebstrap"):
        raise _NoDebian("mmdebstrap, which would fetch Debian's, is missing: apt-get install mmdebstrap")
    part = root.with_name(f"{root.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    archive = part / "system.tar"
    options = ("--quiet", "--variant=extract", f"--architectures={_ARCHITECTURES[machine]}")
    try:
        # By way of an archive: whoever is not root may not own the files that mmdebstrap leaves in a folder.
        subprocess.run(
            ["mmdebstrap", *options, f"--include={','.join(_PACKAGES)}", _RELEASE, archive], check=True
        )
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", part, "./usr"], check=True)
        archive.unlink()
        # As installing the packages would have done.
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
