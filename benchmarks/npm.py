"""Installs the peers' packages, as a package-lock.json pins them, beside that file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Install what the folder's lock file pins, unless that is done. Returns False if it fails.
    ``environment`` adds variables for install scripts."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    command = [npm, "ci", "--no-audit", "--no-fund"]
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(command, cwd=folder, env=variables, check=False).returncode == 0
