"""The peers' packages: what a package-lock.json pins, installed beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Install what the folder's lock pins, unless it is there already. False if that fails.
    ``environment`` is for install scripts."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    command = [npm, "ci", "--no-audit", "--no-fund"]
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(command, cwd=folder, env=variables, check=False).returncode == 0
