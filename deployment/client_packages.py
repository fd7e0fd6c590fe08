"""Deployment: builds what users of the clients install: the wheel of clients/python and the tarball of
clients/typescript. `make release` calls it.

Both have the server's version, with which they are released. The same checkout gives the same bytes, because
hatchling and npm write no times of this build into them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from image_processor import __version__

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "clients" / "python"
TYPESCRIPT = ROOT / "clients" / "typescript"


class ClientError(Exception):
    """A package of a client cannot be built."""


def build(into: Path) -> None:
    """Write both packages into a folder. Raises ClientError."""
    wheel(into)
    tarball(into)


def wheel(into: Path) -> None:
    """Write the wheel of the Python client, with hatchling of this Python. Raises ClientError."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)], PYTHON)


def tarball(into: Path) -> None:
    """Write the package of the TypeScript client as npm publishes it. Raises ClientError."""
    if not (TYPESCRIPT / "node_modules").is_dir():
        raise ClientError("expected TypeScript in clients/typescript, got none: run `npm ci` there")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, TYPESCRIPT.name)
        compiled(folder)
        set_version(folder / "package.json", npm_version(__version__))
        _run(["npm", "pack", "--ignore-scripts", "--pack-destination", str(into.absolute())], folder)


def compiled(folder: Path) -> None:
    """Copy the TypeScript client into a new folder and compile it there. Raises ClientError."""
    shutil.copytree(TYPESCRIPT, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    _run(["node", "node_modules/typescript/bin/tsc"], folder)


def npm_version(version: str) -> str:
    """A version of Python as npm writes it (Semantic Versioning): `0.3.0-dev.0` for `0.3.0.dev0`. Raises
    ClientError."""
    match = re.fullmatch(r"(\d+\.\d+\.\d+)(?:\.?(dev|a|b|rc)(\d+))?", version)
    if match is None:
        raise ClientError(f"expected a version such as 0.3.0 or 0.3.0.dev0, got {version!r}")
    return match[1] + (f"-{match[2]}.{match[3]}" if match[2] else "")


def set_version(manifest: Path, version: str) -> None:
    """Put the version into a package.json."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "version": version}, indent=2) + "\n", encoding="utf-8")


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1580601600"},
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise ClientError(f"expected {command[0]} on the PATH, got {error}") from None
    if done.returncode:
        raise ClientError(f"{' '.join(command)}: {(done.stderr or done.stdout).decode(errors='replace')}")
