"""Object store adapter: objects as ordinary files under a root folder.

A key is a relative path, and every file that a user copies into the folder is an object. Keys that a file
system cannot hold as names, and everything except the objects' bytes, lie in ROOT/.image-processor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from image_processor.domain.errors import (
    ImageProcessorError,
    InsufficientStorage,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unavailable,
    Unreadable,
)
from image_processor.domain.formats import sniff
from image_processor.domain.keys import check_key
from image_processor.domain.ports import Absent, Attributes, Entry, Original, OriginalFile, StoredObject

from .listing import KeyFilter, list_files
from .object_files import ObjectFiles, entry_from_stat
from .paths import Segments
from .private_folder import PrivateFolder, TemporaryFile, assign_mtime, write_all
from .root_folder import RootFolder
from .stat_cache import StatCache, supports_cached_reads

_CHUNK = 256 * 1024
_SNIFFED_BYTES = 256
_READ_ATTEMPTS = 5
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class DirectoryStore:
    """ObjectStore over a folder, created if missing. Safe for threads, and for processes of one
    machine. Reading creates nothing in the folder.

    An object's version is the file's modification time and size. A change by another program in
    place, to the same size and within one tick of the file system's clock, goes unnoticed. Links
    inside the root are followed; `put` replaces a link to a file, not the file. Attributes are
    stored by key, so one file under two keys has two sets of attributes. Two keys that differ only
    in case are one object if the file system ignores case. Names that are not valid UTF-8 and
    folders without permission are not listed. A put waits for the disk if it is to be ``durable``, which
    takes longer than to make a small rendition.
    """

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = True) -> None:
        self._durable = durable
        with _translate_errors("the store's root"):
            self._root = RootFolder(Path(root))
        self._private = PrivateFolder(self._root)
        self._files = ObjectFiles(self._root, self._private)
        self._cache = StatCache(self._root.path)

    def head(self, key: str) -> StoredObject:
        check_key(key)
        return self._cache.get(key) or self._read_object(key, None, None, with_body=False)

    def supports_cached_reads(self, key: str) -> bool:
        try:
            with self._open(key, None) as (file, _, _):
                return supports_cached_reads(file)
        except ImageProcessorError:
            return False

    def head_cached(self, key: str) -> StoredObject | None:
        return self._cache.get(key)

    def read_cached(self, stored: StoredObject, start: int, stop: int) -> bytearray | None:
        return self._cache.read(stored, start, stop)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        return self._read_object(key, limit, version, with_body=True)

    def open_original(self, key: str, *, limit: int, version: str | None) -> Original:
        """The object as an open file. Raises as `get`."""
        with self._open(key, version) as (file, entry, _):
            _check_size(entry, limit)
            descriptor = os.dup(file)
        check = partial(_check_unchanged, descriptor, entry)
        return Original(entry, OriginalFile(descriptor, entry.size, check, key))

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        chunks = self._read_range(key, start, stop, version)
        # Opens the file and checks the version now. A started generator also closes the file when
        # it is dropped.
        next(chunks)
        return chunks

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        return self._write(key, [body], attributes, len(body), condition)

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        return self._write(key, chunks, attributes, limit, condition)

    def delete(self, key: str, *, condition: str | None = None) -> None:
        check_key(key)
        with _translate_errors(repr(key)):
            # Deleting nothing must not fail on a read-only folder.
            if condition is None and not self._files.exists(key):
                return
            self._private.prepare()
            with self._private.lock():
                if condition is not None:
                    current = self._files.find(key)
                    _check_condition(key, condition, current.entry if current else None)
                self._files.delete(key)
                self._private.delete_attributes(key)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        keys = KeyFilter(_encode(prefix), _encode(start_after), direct)
        with _translate_errors(f"the listing of {prefix!r}"):
            for key, file in list_files(self._root, keys):
                yield entry_from_stat(key, file)

    def _read_object(
        self, key: str, limit: int | None, version: str | None, *, with_body: bool
    ) -> StoredObject:
        for _ in range(_READ_ATTEMPTS):
            with self._open(key, version) as (file, entry, file_stat):
                _check_size(entry, limit)
                body = b"".join(_read_chunks(file, entry, 0, entry.size)) if with_body else b""
                attributes = self._attributes(file, entry)
            if attributes is not None:
                self._cache.put(StoredObject(entry, attributes), file_stat)
                return StoredObject(entry, attributes, body)
        raise Unavailable(f"{key!r} is overwritten faster than it can be read")

    def _read_range(self, key: str, start: int, stop: int, version: str | None) -> Iterator[bytes]:
        with self._open(key, version) as (file, entry, _):
            yield b""
            yield from _read_chunks(file, entry, max(start, 0), min(stop, entry.size))

    @contextmanager
    def _open(self, key: str, version: str | None) -> Iterator[tuple[int, Entry, os.stat_result]]:
        """The open file of an object, with its entry and stat result as of opening. Later puts do
        not change the bytes read, because a put never writes into an existing file."""
        check_key(key)
        with _translate_errors(repr(key)), self._denials(key):
            file = self._files.open(key)
            if file is None:
                raise NotFound(f"expected an object under {key!r}, got none")
            try:
                file_stat = os.fstat(file)
                entry = entry_from_stat(key, file_stat)
                _check_condition(key, version, entry)
                yield file, entry, file_stat
            finally:
                os.close(file)

    @contextmanager
    def _denials(self, key: str) -> Iterator[None]:
        """Raise Unreadable for a file, or a folder on its path, that this process may not read. If the root
        may not be opened, that is Unavailable."""
        try:
            yield
        except PermissionError as error:
            try:
                found = self._files.find(key)
            except (OSError, Refused):
                found = None  # in a folder that may not be searched
            version = found.entry.version if found else None
            raise Unreadable(f"expected {key!r} to be readable, got {error.strerror}", version) from error

    def _attributes(self, file: int, entry: Entry) -> Attributes | None:
        """The attributes stored with these bytes, or guessed ones for a file that a user created.
        None if they are unknown because the object was overwritten twice since it was opened."""
        stored = self._private.read_attributes(entry.key).get(entry.version)
        if stored is not None:
            return stored
        current = self._files.find(entry.key)
        if current is None or current.entry.version != entry.version:
            return None
        format_ = sniff(os.pread(file, _SNIFFED_BYTES, 0))
        return Attributes() if format_ is None else Attributes(format_.media_type)

    def _write(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        limit: int,
        condition: str | Absent | None,
    ) -> Entry:
        check_key(key)
        with ExitStack() as stack:
            with _translate_errors(repr(key)):
                written = stack.enter_context(self._private.temporary_file())
            _write_chunks(written, chunks, key, limit)
            with _translate_errors(repr(key)):
                if self._durable:
                    os.fsync(written.fd)
                entry, folder = self._commit(key, written, attributes, condition)
                # Makes the new name survive a power cut. The attributes are not worth a second
                # fsync: lost ones are guessed from the content. A delete may already have removed
                # the folder with the object.
                if self._durable:
                    with suppress(FileNotFoundError), self._root.folder(folder) as opened:
                        os.fsync(opened)
        return entry

    def _commit(
        self, key: str, written: TemporaryFile, attributes: Attributes, condition: str | Absent | None
    ) -> tuple[Entry, Segments]:
        """Check the condition and give the written file its key. The sidecar holds the attributes of
        the old and the new version before the rename, so object and attributes change at once."""
        with self._private.lock() as lock:
            current = self._files.find(key)
            _check_condition(key, condition, current.entry if current else None)
            file_stat = assign_mtime(lock, written.fd, avoid=current.mtime_ns if current else None)
            entry = entry_from_stat(key, file_stat)
            versions = {entry.version: attributes}
            if current is not None:
                stored = self._private.read_attributes(key)
                versions |= {v: stored[v] for v in stored if v == current.entry.version}
            self._private.write_attributes(key, versions, written)
            try:
                return entry, self._files.install(key, written, current)
            except OSError:
                if current is None:
                    self._private.delete_attributes(key)
                raise


def _write_chunks(written: TemporaryFile, chunks: Iterable[bytes], key: str, limit: int) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(key, limit, size)
        with _translate_errors(repr(key)):
            write_all(written.fd, chunk)


def _read_chunks(file: int, entry: Entry, start: int, stop: int) -> Iterator[bytes]:
    for offset in range(start, stop, _CHUNK):
        length = min(_CHUNK, stop - offset)
        chunk = os.pread(file, length, offset)
        _check_unchanged(file, entry, is_whole=len(chunk) == length)
        yield chunk


def _check_unchanged(file: int, entry: Entry, *, is_whole: bool = True) -> None:
    """Raise Unavailable if an open file is not as ``entry`` says any more, or was not read whole."""
    if not is_whole or entry_from_stat(entry.key, os.fstat(file)) != entry:
        raise Unavailable(f"{entry.key!r} was changed in place while it was read")


def _check_size(entry: Entry, limit: int | None) -> None:
    if limit is not None and entry.size > limit:
        raise _too_large(entry.key, limit, entry.size)


def _check_condition(key: str, condition: str | Absent | None, current: Entry | None) -> None:
    """Raise PreconditionFailed unless ``condition`` is None or holds for the current object."""
    if condition is None:
        return
    version = current.version if current else None
    expected = None if isinstance(condition, Absent) else condition
    if version != expected:
        shown = "no object" if expected is None else f"version {expected}"
        raise PreconditionFailed(f"expected {shown} under {key!r}, got {version or 'no object'}")


def _too_large(key: str, limit: int, size: int) -> Refused:
    return Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes for {key!r}, got {size}")


def _encode(text: str) -> bytes:
    # A lone surrogate is in no key, but `start_after` may contain one and must still be comparable.
    return text.encode(errors="surrogatepass")


@contextmanager
def _translate_errors(subject: str) -> Iterator[None]:
    """Raise Unavailable for OSError. The message leaves out paths, which are nobody else's business."""
    try:
        yield
    except OSError as error:
        kind = InsufficientStorage if error.errno in _NO_ROOM else Unavailable
        raise kind(f"{subject}: {error.strerror}") from error
