"""Adapter: objects as ordinary files under a root folder.

A key is a relative path, and a file that a user drops is an object. What a file system cannot
hold under its own name, and all that is not the object itself, lies in ROOT/.image-processor.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from image_processor.domain.errors import NotFound, PreconditionFailed, Reason, Refused, Unavailable
from image_processor.domain.formats import sniff
from image_processor.domain.keys import check_key
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .layout import Root, Segments
from .listing import Wish, walk
from .memory import Memory
from .objects import Objects, entry_of
from .private import PrivateFolder, Temporary, stamp, write_all

_CHUNK = 256 * 1024
_SNIFFED = 256
_LOOKS = 5


class DirectoryStore:
    """ObjectStore over a folder, made if missing. Safe for threads, and for processes of one
    machine. A read creates nothing in the folder.

    A version is the file's modification time and size. A program that changes a file in place,
    to the same size and within one tick of the file system's clock, is not noticed. Links
    inside the root are followed; a put replaces a link to a file, not the file, and attributes
    are kept by key, so one file has others under another name. Two keys that differ only in case
    are one object where the file system says so. Names that are not valid
    UTF-8 and folders that may not be opened are not listed.
    """

    def __init__(self, root: Path) -> None:
        with _answering("the store's root"):
            self._root = Root(root)
        self._private = PrivateFolder(self._root)
        self._objects = Objects(self._root, self._private)
        self._memory = Memory(self._root.path)

    def head(self, key: str) -> StoredObject:
        check_key(key)
        return self._memory.recall(key) or self._look(key, None, None, with_body=False)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        return self._look(key, limit, version, with_body=True)

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        chunks = self._read(key, start, stop, version)
        # Opens and checks now. A generator that has started also closes its file when dropped.
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

    def delete(self, key: str) -> None:
        check_key(key)
        with _answering(repr(key)):
            # A read-only folder is not touched to delete nothing.
            if not self._objects.present(key):
                return
            self._private.prepare()
            with self._private.locked():
                self._objects.remove(key)
                self._private.drop_attributes(key)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        wish = Wish(_raw(prefix), _raw(start_after), direct)
        with _answering(f"the listing of {prefix!r}"):
            for key, file in walk(self._root, wish):
                yield entry_of(key.decode(), file)

    def _look(self, key: str, limit: int | None, version: str | None, *, with_body: bool) -> StoredObject:
        for _ in range(_LOOKS):
            with self._opened(key, version) as (file, entry, found):
                if limit is not None and entry.size > limit:
                    raise _too_large(key, limit, entry.size)
                body = b"".join(_pieces(file, entry, 0, entry.size)) if with_body else b""
                attributes = self._attributes(file, entry)
            if attributes is not None:
                self._memory.keep(StoredObject(entry, attributes), found)
                return StoredObject(entry, attributes, body)
        raise Unavailable(f"{key!r} is overwritten faster than it can be read")

    def _read(self, key: str, start: int, stop: int, version: str | None) -> Iterator[bytes]:
        with self._opened(key, version) as (file, entry, _):
            yield b""
            yield from _pieces(file, entry, max(start, 0), min(stop, entry.size))

    @contextmanager
    def _opened(self, key: str, version: str | None) -> Iterator[tuple[int, Entry, os.stat_result]]:
        """The open file of an object, and what it was when it was opened. Its bytes stay whole: a put
        never writes into a file."""
        check_key(key)
        with _answering(repr(key)):
            file = self._objects.open(key)
            if file is None:
                raise NotFound(f"expected an object under {key!r}, got none")
            try:
                found = os.fstat(file)
                entry = entry_of(key, found)
                _require(key, version, entry)
                yield file, entry, found
            finally:
                os.close(file)

    def _attributes(self, file: int, entry: Entry) -> Attributes | None:
        """What was put with these bytes, or a guess for a file that a user dropped; None if the
        object was written twice since it was opened, for then nobody knows."""
        known = self._private.attributes(entry.key).get(entry.version)
        if known is not None:
            return known
        current = self._objects.find(entry.key)
        if current is None or current.entry.version != entry.version:
            return None
        format_ = sniff(os.pread(file, _SNIFFED, 0))
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
            with _answering(repr(key)):
                self._private.prepare()
                written = stack.enter_context(self._private.temporary())
            _fill(written, chunks, key, limit)
            with _answering(repr(key)):
                os.fsync(written.file)
                entry, folder = self._commit(key, written, attributes, condition)
                # The new name outlives a power cut, too. The attributes are not worth another
                # wait: lost ones are guessed from the content. The folder may be gone already,
                # with the object, by a delete.
                with suppress(FileNotFoundError), self._root.folder(folder) as opened:
                    os.fsync(opened)
        return entry

    def _commit(
        self, key: str, written: Temporary, attributes: Attributes, condition: str | Absent | None
    ) -> tuple[Entry, Segments]:
        """Give the written file its key. The attributes of the old and the new version both lie
        there before the rename, so object and attributes change in one instant."""
        with self._private.locked() as lock:
            current = self._objects.find(key)
            _require(key, condition, current.entry if current else None)
            entry = entry_of(key, stamp(lock, written.file, avoid=current.mtime_ns if current else None))
            kept = {entry.version: attributes}
            if current is not None:
                known = self._private.attributes(key)
                kept |= {version: known[version] for version in known if version == current.entry.version}
            self._private.keep_attributes(key, kept)
            try:
                return entry, self._objects.place(key, written, current)
            except OSError:
                if current is None:
                    self._private.drop_attributes(key)
                raise


def _fill(written: Temporary, chunks: Iterable[bytes], key: str, limit: int) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(key, limit, size)
        with _answering(repr(key)):
            write_all(written.file, chunk)


def _pieces(file: int, entry: Entry, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, _CHUNK):
        wanted = min(_CHUNK, stop - at)
        piece = os.pread(file, wanted, at)
        if len(piece) != wanted or entry_of(entry.key, os.fstat(file)) != entry:
            raise Unavailable(f"{entry.key!r} was changed in place while it was read")
        yield piece


def _require(key: str, condition: str | Absent | None, current: Entry | None) -> None:
    """Raise PreconditionFailed unless the current object is what the condition says."""
    version = current.version if current else None
    wanted = None if isinstance(condition, Absent) else condition
    if condition is not None and version != wanted:
        shown = "no object" if wanted is None else f"version {wanted}"
        raise PreconditionFailed(f"expected {shown} under {key!r}, got {version or 'no object'}")


def _too_large(key: str, limit: int, size: int) -> Refused:
    return Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes for {key!r}, got {size}")


def _raw(text: str) -> bytes:
    # A lone surrogate is in no key, but it has its place in the order.
    return text.encode(errors="surrogatepass")


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """What the system reports, as the port's error; without paths, which are nobody's business."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror}") from error
