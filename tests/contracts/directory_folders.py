"""What users do to a directory store's folder, without us."""

from __future__ import annotations

from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n and so on"


def drop(path: Path, body: bytes = PNG) -> Path:
    """What a user does: a file appears, without us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def tree(folder: Path) -> dict[str, int]:
    """Every path below a folder, with its time of change."""
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*")}
