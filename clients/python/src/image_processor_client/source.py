"""The file of an upload, which each attempt reads from its beginning."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

File = bytes | Path | BinaryIO
"""What can be uploaded: the bytes of a file, its path, or a file that is open for reading bytes."""

_CHUNK_BYTES = 256 * 1024


class Source:
    """The bytes of a file. ``name`` is the file's own name, None if it has none; ``size`` is in bytes.

    An open file is read from where it stands. One that cannot seek is read into memory, so that an upload
    can be tried again.
    """

    def __init__(self, file: File) -> None:
        self.name: str | None = None
        if isinstance(file, Path):
            self._file: bytes | Path | BinaryIO = file
            self.name = file.name
            self.size = file.stat().st_size
            return
        if not isinstance(file, bytes):
            name = getattr(file, "name", None)
            self.name = os.path.basename(name) if isinstance(name, str) else None  # noqa: PTH119 - no path yet
            file = file if file.seekable() else file.read()
        self._file = file
        if isinstance(file, bytes):
            self.size = len(file)
            return
        self._start = file.tell()
        self.size = file.seek(0, io.SEEK_END) - self._start
        file.seek(self._start)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file at its first byte. A file that the caller opened stays open."""
        if isinstance(self._file, Path):
            with self._file.open("rb") as file:
                yield file
        elif isinstance(self._file, bytes):
            yield io.BytesIO(self._file)
        else:
            self._file.seek(self._start)
            yield self._file

    def part(self, start: int, size: int) -> bytes:
        """At most ``size`` bytes from ``start`` on. Raises ValueError for a file that has become shorter."""
        expected = min(size, self.size - start)
        with self.open() as file:
            file.seek(start, io.SEEK_CUR)
            part = file.read(expected)
        if len(part) < expected:
            raise ValueError(f"expected a file of {self.size} bytes, got {start + len(part)}")
        return part

    def chunks(self) -> Iterator[bytes]:
        """The bytes in chunks."""
        with self.open() as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    async def chunks_async(self) -> AsyncIterator[bytes]:
        """The bytes in chunks, read in a thread."""
        with self.open() as file:
            while chunk := await to_thread.run_sync(file.read, _CHUNK_BYTES):
                yield chunk
