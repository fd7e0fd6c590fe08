"""Uploads that arrive in several requests, as files next to the catalog until they are complete.

Each upload is two files: its description, and the bytes received so far. How many there are is the size of
the second file and stored nowhere else, so a server that is killed while it writes continues where it
stopped. The folder is outside the upload directory: the watcher and reconciliation see an original only when
the store has all of it. `api.resumable_uploads` is what clients talk to.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import (
    ChecksumMismatch,
    InsufficientStorage,
    Invalid,
    NotFound,
    Overloaded,
    ShareExceeded,
    Unavailable,
)

FOLDER = "resumable"

MAX_OPEN = 1000
"""Uploads that are not complete. Each creation looks at all of them. A client may have as many as there is
room left for others."""

CHECKSUMS = ("sha1", "sha256")
"""What `Checksum` may be made with."""

_CURE = "finish some, delete them with DELETE, or wait until they expire"
_CHUNK = 256 * 1024
_ID = re.compile(r"[0-9a-f]{32}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_INFO, _BYTES, _NEW = ".json", ".part", ".new"


class Checksum(Struct, frozen=True):
    """The digest of the bytes of one request, by one of CHECKSUMS."""

    algorithm: str
    digest: bytes


class ResumableUpload(Struct, frozen=True):
    """What is known about an upload, apart from its bytes."""

    id: str
    key: str
    length: int
    metadata: str = ""
    """The client's own text."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """The conditional headers of its creation, by lower-case names."""
    verified: int | None = None
    """Bytes after these are not known to be right. None: all are."""
    version: str | None = None
    """That of the original, once it is stored."""
    client: str = ""
    """Who began it."""


class Usage(Struct, frozen=True):
    """How many uploads are not complete, and the bytes of them that have arrived."""

    uploads: int = 0
    bytes: int = 0


class ResumableUploads:
    """The uploads in ``folder``, each until ``lifetime`` seconds after its last byte.

    ``check_room`` raises InsufficientStorage unless the disk has room for so many more bytes. An upload takes
    ``copies`` times its length before it is stored. Methods may be called from any thread; those that change
    one upload by one caller at a time.
    """

    def __init__(
        self,
        folder: Path,
        lifetime: float,
        check_room: Callable[[int], None],
        *,
        copies: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._lifetime = lifetime
        self._check_room = check_room
        self._copies = copies
        self._clock = clock
        self._creating = threading.Lock()

    def create(
        self, key: str, length: int, metadata: str, conditions: Mapping[str, str], client: str = ""
    ) -> ResumableUpload:
        """A new upload of ``length`` bytes for ``client``. Raises InsufficientStorage if there is no room for
        them and for the rest of the open ones, Overloaded, and ShareExceeded if the client leaves too few
        uploads or bytes for others."""
        upload = ResumableUpload(secrets.token_hex(16), key, length, metadata, conditions, client=client)
        with self._creating, _translated():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            others = list(self._unfinished())
            own = [pair for pair in others if pair[0].client == client]
            _check_count(len(others), len(own))
            self._check_share(self._copies * length + self._missing(others), self._missing(own))
            self._path(upload.id, _BYTES).touch(mode=0o600)
            self._save(upload)
        return upload

    def find(self, id_: str) -> ResumableUpload:
        """Raises NotFound for an upload that does not exist or has expired."""
        upload = self._read(id_) if _ID.fullmatch(id_) else None
        if upload is None or self.expires_at(upload).timestamp() <= self._clock():
            raise NotFound(f"no resumable upload has the id {id_!r}: it may have expired")
        return upload

    def offset(self, upload: ResumableUpload) -> int:
        """How many bytes of the upload have arrived. Raises NotFound."""
        if upload.version is not None:
            return upload.length
        try:
            size = self._path(upload.id, _BYTES).stat().st_size
        except FileNotFoundError:
            raise _gone(upload) from None
        return size if upload.verified is None else min(size, upload.verified)

    def expires_at(self, upload: ResumableUpload) -> datetime:
        """When the upload is deleted unless more bytes arrive."""
        times = [0.0]
        for suffix in (_INFO, _BYTES):
            with suppress(FileNotFoundError):
                times.append(self._path(upload.id, suffix).stat().st_mtime)
        return datetime.fromtimestamp(max(times) + self._lifetime, UTC)

    def append(
        self, upload: ResumableUpload, chunks: Iterable[bytes], checksum: Checksum | None = None
    ) -> ResumableUpload:
        """Write ``chunks`` after the bytes that have arrived. What arrives before an error is kept, unless
        there is a ``checksum``, which only the whole can be compared with.

        Raises Invalid for more bytes than the upload has, ChecksumMismatch, NotFound,
        InsufficientStorage, and what ``chunks`` raises.
        """
        offset = self.offset(upload)
        digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        with self._open_bytes(upload) as file:
            file.truncate(offset)
            file.seek(offset)
            upload = self._note_verified(upload, offset if checksum else None)
            try:
                for chunk in chunks:
                    offset += len(chunk)
                    if offset > upload.length:
                        raise Invalid.one("body", f"no more than the upload's {upload.length} bytes", offset)
                    with _translated():
                        file.write(chunk)
                        file.flush()
                    if digest:
                        digest.update(chunk)
            finally:
                with _translated():
                    os.fsync(file.fileno())
            if checksum and digest:
                return self._verify(
                    upload, file, is_right=hmac.compare_digest(digest.digest(), checksum.digest)
                )
        return upload

    def read(self, upload: ResumableUpload) -> Iterator[bytes]:
        """The bytes that have arrived, in chunks. Raises NotFound."""
        with self._open_bytes(upload) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def mark_stored(self, upload: ResumableUpload, version: str) -> ResumableUpload:
        """Note that the store has the original in this version, and delete its bytes here. The description
        stays for clients that have missed the response."""
        stored = replace(upload, version=version)
        with _translated():
            self._save(stored)
            self._path(upload.id, _BYTES).unlink(missing_ok=True)
        return stored

    def delete(self, upload: ResumableUpload) -> None:
        """Delete the upload. What the store has of it stays."""
        with _translated():
            for suffix in (_INFO, _BYTES):
                self._path(upload.id, suffix).unlink(missing_ok=True)

    def delete_expired(self) -> None:
        """Delete uploads that nobody has continued, and what a killed server has left of any."""
        with _translated():
            for id_ in self._ids():
                if self.expires_at(ResumableUpload(id_, "", 0)).timestamp() <= self._clock():
                    for suffix in (_INFO, _BYTES, _NEW):
                        self._path(id_, suffix).unlink(missing_ok=True)

    def usage(self) -> Usage:
        sizes = [received for _, received in self._unfinished()]
        return Usage(len(sizes), sum(sizes))

    def _check_share(self, count: int, own: int) -> None:
        """Raise InsufficientStorage unless the disk has room for ``count`` bytes, and ShareExceeded unless
        as much is left then as the client still needs for uploads that it has begun: ``own``."""
        self._check_room(count)
        if not own:
            return
        try:
            self._check_room(count + own)
        except InsufficientStorage as error:
            expected = "expected as much room for others as unfinished resumable uploads of one client need"
            raise ShareExceeded(f"{expected}: {error}; {_CURE}") from None

    def _missing(self, uploads: Iterable[tuple[ResumableUpload, int]]) -> int:
        """The bytes that these uploads still need."""
        return sum(self._copies * upload.length - received for upload, received in uploads)

    def _unfinished(self) -> Iterator[tuple[ResumableUpload, int]]:
        """The uploads that are not stored, each with the bytes that have arrived. Those that are stored have
        no file of bytes, and their descriptions are not read: there may be many."""
        for id_ in self._ids(_BYTES):
            upload = self._read(id_)
            if upload and upload.version is None:
                with suppress(NotFound):  # deleted meanwhile
                    yield upload, self.offset(upload)

    def _ids(self, suffix: str = "") -> set[str]:
        """The ids of all files, or of those with this suffix."""
        with _translated():
            names = os.listdir(self._folder) if self._folder.exists() else []  # noqa: PTH208 - no Path for each
        stems = (name.partition(".")[0] for name in names if name.endswith(suffix))
        return set(filter(_ID.fullmatch, stems))

    def _note_verified(self, upload: ResumableUpload, verified: int | None) -> ResumableUpload:
        if upload.verified == verified:
            return upload
        noted = replace(upload, verified=verified)
        with _translated():
            self._save(noted)
        return noted

    def _verify(self, upload: ResumableUpload, file: BinaryIO, *, is_right: bool) -> ResumableUpload:
        if not is_right:
            file.truncate(upload.verified)
        verified = self._note_verified(upload, None)
        if not is_right:
            raise ChecksumMismatch("expected bytes with the digest in Upload-Checksum, got others")
        return verified

    def _read(self, id_: str) -> ResumableUpload | None:
        """None if there is none, or a damaged one, which expires."""
        try:
            with _translated():
                described = self._path(id_, _INFO).read_bytes() if self._path(id_, _INFO).exists() else b""
            return msgspec.json.decode(described, type=ResumableUpload)
        except msgspec.DecodeError:
            return None

    def _save(self, upload: ResumableUpload) -> None:
        new = self._path(upload.id, _NEW)
        with new.open("wb") as file:
            file.write(msgspec.json.encode(upload))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path(upload.id, _INFO))

    def _open_bytes(self, upload: ResumableUpload) -> BinaryIO:
        with _translated():
            try:
                return self._path(upload.id, _BYTES).open("r+b")
            except FileNotFoundError:
                raise _gone(upload) from None

    def _path(self, id_: str, suffix: str) -> Path:
        return self._folder / f"{id_}{suffix}"


def _check_count(count: int, own: int) -> None:
    """Raise Overloaded or ShareExceeded if there is no room for another upload of a client that has ``own``
    of all ``count``."""
    if count >= MAX_OPEN:
        raise Overloaded(f"expected at most {MAX_OPEN} unfinished resumable uploads, got more")
    if own >= MAX_OPEN - count:
        expected = "expected at most as many unfinished resumable uploads of one client as others may begin"
        raise ShareExceeded(f"{expected}, got more than {own} of {MAX_OPEN}; {_CURE}")


def _gone(upload: ResumableUpload) -> NotFound:
    return NotFound(f"the resumable upload {upload.id!r} has been deleted")


@contextmanager
def _translated() -> Iterator[None]:
    """Raise Unavailable for OSError. The message leaves out paths, which are nobody else's business."""
    try:
        yield
    except OSError as error:
        kind = InsufficientStorage if error.errno in _NO_ROOM else Unavailable
        raise kind(f"the resumable uploads: {error.strerror}") from error
