"""Changes that users make in a directory store's folder."""

from __future__ import annotations

from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n and so on"


def create_file(path: Path, body: bytes = PNG) -> Path:
    """Create a file as a user does, without the store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def tree(folder: Path) -> dict[str, int]:
    """Every path below a folder, with its modification time."""
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*")}
