"""The peers' packages: what a package-lock.json pins, installed beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def install(folder: Path) -> bool:
    """Install what the folder's lock pins, unless it is there already. False if that fails."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    return subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, check=False).returncode == 0
