"""Copies of remote files as originals: fetched when first asked for, and again when they have changed.

A copy is an object of the upload store like any upload. Its metadata names the file that it was fetched from,
by a digest of the URL, and how long it may be used. An original without it was uploaded, and is not replaced.
A copy that has expired is served while its source is asked (stale-while-revalidate, RFC 5861), and stays if
the source fails.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Any

from msgspec import Struct

from image_processor.config.remote_sources import RemoteSource, RemoteSources, parse_remote_url
from image_processor.domain.errors import (
    ImageProcessorError,
    Invalid,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    SourceFailed,
    SourceNotAllowed,
    Unavailable,
)
from image_processor.domain.formats import sniff
from image_processor.domain.hashing import sha256_hex, sha256_of
from image_processor.domain.keys import original_of
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import (
    ABSENT,
    Absent,
    Attributes,
    Entry,
    ObjectStore,
    RemoteFile,
    RemoteReader,
    StoredObject,
    Validators,
)

from .logs import log
from .task_pool import TaskPool

_SOURCE, _EXPIRES, _ETAG, _MODIFIED = "remote-source", "remote-expires", "remote-etag", "remote-modified"
"""The metadata of a copy: the digest of its URL, Unix seconds, and the source's names of this version."""

_MAX_COPIES = 100_000
"""Copies whose expiry is remembered, about 300 bytes each."""
_MAX_FAILURES = 10_000
_SKEW_SECONDS = 60.0
"""How much the clocks of servers over the same buckets may differ."""

_RESULTS: tuple[tuple[type[ImageProcessorError], str], ...] = (
    (NotFound, "missing"),
    (SourceNotAllowed, "not-allowed"),
    (Refused, "refused"),
    (ImageProcessorError, "failed"),
)
_REMEMBERED = (NotFound, SourceNotAllowed, SourceFailed, Refused)

_log = logging.getLogger("image_processor.remote")

OnFetch = Callable[[str, float], object]
"""Gets how a request to a source has ended, and its seconds."""


class OriginalPending(Exception):
    """An original is being fetched: try again when ``future`` is done. How that ended is remembered."""

    def __init__(self, future: Future[Any]) -> None:
        super().__init__("an original is being fetched")
        self.future = future


class RemotePolicy(Struct, frozen=True):
    """How copies of remote files are kept."""

    min_seconds: int
    """How long a copy is used at least, until its source is asked again."""
    max_seconds: int
    """How long a copy is used at most, until its source is asked again."""
    failure_seconds: int
    """How long a file that could not be fetched is not asked for again."""
    max_bytes: int
    """The most bytes of a file."""
    connections: int
    """How many files are fetched from one host at a time."""
    max_waiting: int
    """How many files may wait to be fetched."""


class FetchResult(Struct, frozen=True):
    """The stored copy, or why there is none."""

    entry: Entry | None
    error: ImageProcessorError | None = None
    is_new: bool = False
    """False if the copy replaces an original, or is the same as before."""


class PlannedImport(Struct, frozen=True):
    """A file that is to be fetched on request, and the key under which it is stored."""

    key: str
    url: str
    source: RemoteSource


class _Copy(Struct, frozen=True):
    """What is known of a copy: until when it is fresh (Unix seconds), and its validators."""

    version: str
    expires: float
    validators: Validators


class _Job(Struct, frozen=True):
    """A file to be fetched."""

    key: str
    url: str
    is_forced: bool = False
    """Whether it is fetched although a copy is fresh, and also over an upload."""
    condition: str | Absent | None = None
    """The version that the upload must have then; None for any."""


class RemoteOriginals:
    """``readers`` read the URLs of a scheme. ``submit`` queues an upload for the workers. Methods may be
    called from any thread."""

    def __init__(  # noqa: PLR0913 - a part of the server, given its other parts
        self,
        sources: RemoteSources,
        readers: Mapping[str, RemoteReader],
        bucket: str,
        uploads: ObjectStore,
        submit: Callable[[Upload], object],
        policy: RemotePolicy,
        *,
        on_fetch: OnFetch = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sources = sources
        self._readers = readers
        self._bucket = bucket
        self._uploads = uploads
        self._submit = submit
        self._policy = policy
        self._longest = max(policy.max_seconds, policy.failure_seconds)
        self._on_fetch = on_fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._numbers = count()
        self._failures: OrderedDict[str, tuple[float, ImageProcessorError]] = OrderedDict()
        self._pools: dict[str, TaskPool[FetchResult]] = {
            source.base.host: TaskPool("files being fetched", policy.connections, policy.max_waiting)
            for source in sources.items
        }

    def close(self) -> None:
        """Wait for what is being fetched."""
        for pool in self._pools.values():
            pool.close()

    def backlog(self) -> int:
        """Files that are being fetched, or wait for it."""
        return sum(pool.backlog() for pool in self._pools.values())

    def require(self, key: str) -> None:
        """Have the missing original ``key`` fetched; nothing happens if no source has it.

        Raises OriginalPending; what fetching it has raised a short while ago; and Overloaded.
        """
        found = self.sources.source_of(key)
        if found is None:
            return
        source, url = found
        if (failure := self._failure(key)) is not None:
            raise copy(failure)
        raise OriginalPending(self._start(source, _Job(key, url)))

    def use(self, key: str) -> None:
        """Note that the stored original ``key`` is used: ask its source again if its copy has expired."""
        with self._lock:  # first, because each hit comes here
            known = self._copies.get(key)
        if known is not None and self._is_fresh(known):
            return
        found = self.sources.source_of(key)
        if found is None or self._failure(key):
            return
        source, url = found
        with suppress(Unavailable):  # another use will ask
            self._start(source, _Job(key, url))

    def touch(self, stored_key: str) -> None:
        """Note that a rendition is used, by its key."""
        prefix, slash, _ = stored_key.rpartition("/")
        if key := original_of(prefix + slash):
            self.use(key)

    def plan_import(self, text: str, key: str | None) -> PlannedImport:
        """How the file at the URL ``text`` is imported: as the copy that its source has, unless another
        ``key`` is given; then it is an upload like any other. Raises Invalid, SourceNotAllowed."""
        try:
            url = parse_remote_url(text)
        except ValueError:
            expected = "a URL like https://host/path without credentials and dot segments"
            raise Invalid.one("url", expected, text) from None
        own_key = self.sources.key_of(url)
        chosen = key or own_key
        if chosen is None:
            raise Invalid.one("key", "a key, because the URL is none of its own", "nothing")
        found = self.sources.source_of(chosen)
        if chosen == own_key and found is not None:
            return PlannedImport(chosen, found[1], found[0])
        source = next(source for source in self.sources.items if source.covers(url))
        return PlannedImport(chosen, url.text, source)

    def start_import(
        self, plan: PlannedImport, condition: str | Absent | None, client: str | None = None
    ) -> Future[FetchResult]:
        """Fetch the file although a copy of it may be fresh, and also over an upload, which must have the
        version ``condition`` then. The caller submits the key. Raises Overloaded, and ShareExceeded as
        `TaskPool.submit`."""
        job = _Job(plan.key, plan.url, is_forced=True, condition=condition)
        return self._start(plan.source, job, client)

    def _start(self, source: RemoteSource, job: _Job, client: str | None = None) -> Future[FetchResult]:
        # Of two requests with one condition, the second one finds that it does not hold any more.
        own = next(self._numbers) if job.condition is not None else ""
        name = f"{job.key}\0{job.url}\0{own}" if job.is_forced else job.key
        return self._pools[source.base.host].submit(name, partial(self._run, job), client)

    def _run(self, job: _Job) -> FetchResult:
        stored = self._head(job.key)
        if not job.is_forced and stored is not None and not self._has_expired(stored, job):
            return FetchResult(stored.entry)
        _check_condition(job, stored)
        started = time.monotonic()
        try:
            result, entry = self._fetch(job, stored)
        except ImageProcessorError as error:
            result = next(name for class_, name in _RESULTS if isinstance(error, class_))
            self._report(job, result, time.monotonic() - started, str(error))
            if not isinstance(error, _REMEMBERED):
                raise
            self._fail(job, stored, error)
            return FetchResult(None, error)
        self._report(job, result, time.monotonic() - started)
        return FetchResult(entry, is_new=stored is None)

    def _fetch(self, job: _Job, stored: StoredObject | None) -> tuple[str, Entry]:
        """Ask the source, and store what it sends. Returns how that ended, and what is stored now."""
        reader = self._readers[job.url.partition("://")[0]]
        old = stored if stored is not None and _is_copy(stored, job.url) else None
        validators = self._validators(old) if old is not None else Validators()
        with reader.open(job.url, validators, limit=self._policy.max_bytes) as file:
            if file.chunks is None:
                assert old is not None
                self._renew(old.entry, file, validators)
                return "unchanged", old.entry
            try:
                entry = self._store(job, stored, old, file)
            except _SameBytes:
                assert old is not None
                self._renew(old.entry, file, file.validators)
                return "unchanged", old.entry
            except PreconditionFailed:
                if job.condition is not None:
                    raise
                # Somebody has uploaded it meanwhile, which wins.
                stored = self._head(job.key)
                if stored is None:
                    raise Unavailable(f"{job.key!r} changes too fast to be fetched") from None
                return "fetched", stored.entry
        self._renew(entry, file, file.validators)
        if not job.is_forced:
            self._submit(Upload(self._bucket, job.key, UploadKind.CREATED, entry.version))
        return "fetched", entry

    def _store(
        self, job: _Job, stored: StoredObject | None, old: StoredObject | None, file: RemoteFile
    ) -> Entry:
        assert file.chunks is not None
        chunks = iter(file.chunks)
        first = next(chunks, b"")
        if not first:
            raise Refused(Reason.EMPTY, "the source's file has no bytes")
        format_ = sniff(first)
        if format_ is None:
            raise Refused(Reason.NOT_AN_IMAGE, "expected an image from the source, got something else")
        attributes = Attributes(format_.media_type, metadata=self._metadata(job.url, file))
        body = _chain(first, chunks) if old is None else self._changed(old.entry, _chain(first, chunks))
        condition = job.condition if job.is_forced else ABSENT if stored is None else stored.entry.version
        limit = self._policy.max_bytes
        return self._uploads.put_stream(job.key, body, attributes, limit=limit, condition=condition)

    def _changed(self, entry: Entry, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield ``chunks``, and raise _SameBytes at the end if ``entry`` has the same."""
        size, digest = 0, sha256()
        for chunk in chunks:
            size += len(chunk)
            digest.update(chunk)
            yield chunk
        if size == entry.size and digest.digest() == self._digest(entry):
            raise _SameBytes

    def _digest(self, entry: Entry) -> bytes | None:
        try:
            return sha256_of(self._uploads.read(entry.key, 0, entry.size, version=entry.version))
        except (NotFound, PreconditionFailed):
            return None

    def _metadata(self, url: str, file: RemoteFile) -> dict[str, str]:
        values = {
            _SOURCE: sha256_hex(url.encode()),
            _EXPIRES: str(int(self._expires(file))),
            _ETAG: file.validators.etag,
            _MODIFIED: file.validators.last_modified,
        }
        return {name: value.strip() for name, value in values.items() if value and value.strip()}

    def _expires(self, file: RemoteFile) -> float:
        policy, seconds = self._policy, file.fresh_seconds or 0.0
        return self._clock() + min(max(seconds, policy.min_seconds), policy.max_seconds)

    def _renew(self, entry: Entry, file: RemoteFile, validators: Validators) -> None:
        self._remember(entry.key, _Copy(entry.version, self._expires(file), validators))
        with self._lock:
            self._failures.pop(entry.key, None)

    def _remember(self, key: str, known: _Copy) -> None:
        with self._lock:
            self._copies[key] = known
            self._copies.move_to_end(key)
            while len(self._copies) > _MAX_COPIES:
                self._copies.popitem(last=False)

    def _has_expired(self, stored: StoredObject, job: _Job) -> bool:
        """Whether ``stored`` is a copy of the file of ``job``, and not fresh."""
        version = stored.entry.version
        if not _is_copy(stored, job.url):  # a copy may replace it, which is looked for after a while
            expires = self._clock() + self._policy.failure_seconds
            self._remember(job.key, _Copy(version, expires, Validators()))
            return False
        with self._lock:
            known = self._copies.get(job.key)
        if known is None or known.version != version:
            stated = stored.attributes.metadata.get(_EXPIRES, "")
            expires = float(stated) if stated.isdecimal() else 0.0
            known = _Copy(version, expires, _stored_validators(stored))
            self._remember(job.key, known)
        return not self._is_fresh(known)

    def _is_fresh(self, known: _Copy) -> bool:
        """Not if it expires later than any copy: the clock was set back, or the maximum lowered."""
        return 0 < known.expires - self._clock() <= self._longest + _SKEW_SECONDS

    def _validators(self, stored: StoredObject) -> Validators:
        with self._lock:
            known = self._copies.get(stored.entry.key)
        if known is not None and known.version == stored.entry.version:
            return known.validators
        return _stored_validators(stored)

    def _fail(self, job: _Job, stored: StoredObject | None, error: ImageProcessorError) -> None:
        """Remember a failure. A copy is deleted if its source has no such file any more; other failures leave
        it as it is."""
        found = self.sources.source_of(job.key)
        if found is None or found[1] != job.url:
            return  # an import under another key says nothing about the key's own source
        with self._lock:
            self._failures[job.key] = (self._clock() + self._policy.failure_seconds, error)
            self._failures.move_to_end(job.key)
            while len(self._failures) > _MAX_FAILURES:
                self._failures.popitem(last=False)
        if isinstance(error, NotFound) and stored is not None and _is_copy(stored, job.url):
            with suppress(PreconditionFailed):
                self._uploads.delete(job.key, condition=stored.entry.version)
                self._submit(Upload(self._bucket, job.key, UploadKind.DELETED))

    def _failure(self, key: str) -> ImageProcessorError | None:
        with self._lock:
            until, error = self._failures.get(key, (0.0, None))
            if error is not None and not 0 < until - self._clock() <= self._longest + _SKEW_SECONDS:
                del self._failures[key]
                return None
        return error

    def _head(self, key: str) -> StoredObject | None:
        try:
            return self._uploads.head(key)
        except NotFound:
            return None

    def _report(self, job: _Job, result: str, seconds: float, problem: str = "") -> None:
        self._on_fetch(result, seconds)
        level = logging.INFO if result in {"fetched", "unchanged", "missing"} else logging.WARNING
        shown = {"key": job.key, "result": result, "ms": round(1000 * seconds, 1)}
        log(_log, level, problem or "asked a remote source", shown, url=job.url.partition("?")[0])


def _check_condition(job: _Job, stored: StoredObject | None) -> None:
    """Raise PreconditionFailed if the key holds something else than the import expects: the source may say
    that a copy which has come meanwhile is unchanged, and so nothing would be written."""
    current: str | Absent = ABSENT if stored is None else stored.entry.version
    if job.condition is not None and job.condition != current:
        raise PreconditionFailed(f"{job.key!r} was stored or deleted by another request meanwhile")


class _SameBytes(Exception):
    """The source has sent what is stored already."""


def _is_copy(stored: StoredObject, url: str) -> bool:
    return stored.attributes.metadata.get(_SOURCE) == sha256_hex(url.encode())


def _stored_validators(stored: StoredObject) -> Validators:
    metadata = stored.attributes.metadata
    return Validators(metadata.get(_ETAG), metadata.get(_MODIFIED))


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
