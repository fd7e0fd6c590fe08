"""Answers requests for stored renditions again, without the web framework and in the event loop.

The routes in `renditions` decide the first request for a URL. What they found is remembered here with all
that it was decided from, and holds while none of that has changed: the versions of the original and of
overlay images, the stored rendition, the headers that the response varies by, and the expiry of the URL. A
response from here equals that of the routes, byte for byte.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from image_processor.delivery.http.presentation import Presentation
from image_processor.domain.ports import CachedReads, StoredObject
from image_processor.renditions.originals import head_original, overlay_keys

from .origin import SECURITY_HEADERS
from .plain_request import PlainRequest

if TYPE_CHECKING:  # a hit server would hold it all in memory
    from image_processor.delivery.read_path import Delivery, Lookup
    from image_processor.delivery.request import Clock, HttpRequest

MAX_BUFFERED = 256 * 1024
"""Bytes of a rendition that are held while a client reads them. The routes send larger ones in such pieces,
also those that have just been rendered."""

_MAX_HITS = 8192
"""About three kilobytes of memory each."""

_MAX_KEY = 2048
"""Characters of the longest target and headers that are remembered: clients choose them."""

_MAX_HEADS = 16
"""Different conditions and ranges for which a rendition's response heads are remembered."""

_MAX_CONDITIONS = 256
"""Characters of the longest conditions for which they are."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Head = tuple[bytes, bytes, int, int]
"""A response's status line, its headers without those of the server, and the range of bytes that it sends."""


class LocalStores(Struct, frozen=True):
    """The stores of originals and renditions, where they are on this machine."""

    uploads: CachedReads
    processed: CachedReads


class StoredHit(Struct, frozen=True):
    """A stored rendition that answers one URL, and what that depends on.

    ``vary`` are the lower-case names of the request headers that it depends on, with their values.
    ``sources`` are the versions of objects of the upload side by key. ``recipe_number`` says by which recipe
    it was found, see `RequestResolver`.
    """

    stored: StoredObject
    presentation: Presentation
    vary: tuple[tuple[str, str | None], ...]
    sources: tuple[tuple[str, str], ...]
    recipe_number: int = 0


class _Remembered(Struct, frozen=True):
    """A hit, and the response heads that were built for it."""

    hit: StoredHit
    heads: dict[tuple[object, ...], _Head] = field(default_factory=dict)


class HitCache:
    """The hits of recent requests. ``allows_host`` says whether the value of a Host header names this server;
    ``touch`` marks the rendition with a key as used. Used in the event loop only, but for `hit_of` and
    `forget`."""

    def __init__(
        self,
        stores: LocalStores,
        allows_host: Callable[[str], bool],
        touch: Callable[[str], None],
        clock: Clock = time.time,
    ) -> None:
        self._stores = stores
        self._allows_host = allows_host
        self._touch = touch
        self._clock = clock
        self._on_use: Callable[[], object] | None = None
        self._is_quick: bool | None = None
        self._recipe_number = 0
        self._vary: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._hits: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()

    def on_first_hit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once, when the first hit is remembered."""
        self._on_use = callback

    def add(self, target: bytes, hit: StoredHit) -> None:
        """Remember that ``target`` is answered with ``hit``, unless it is too long or found by an earlier
        recipe."""
        known, hits = self._vary, self._hits  # before the check: `forget` may run in another thread
        if hit.recipe_number != self._recipe_number:
            return
        if len(target) + _length(value for _, value in hit.vary) > _MAX_KEY:
            return
        names = tuple(name for name, _ in hit.vary)
        _put(known, target, names)
        _put(hits, (target, *(value for _, value in hit.vary)), _Remembered(hit))
        call, self._on_use = self._on_use, None
        if call is not None:
            call()

    def forget(self, recipe_number: int) -> None:
        """Forget every hit: the recipe with this number is in force now. Call it from any thread."""
        self._recipe_number = recipe_number
        self._vary, self._hits = OrderedDict(), OrderedDict()

    def hit_of(self, request: HttpRequest, lookup: Lookup, delivery: Delivery) -> StoredHit | None:
        """``lookup``, which has just been found for ``request``, with all that it depends on; None if that
        cannot be remembered. Reads the stores and may be called from any thread. Raises what `Delivery.find`
        raises."""
        number = delivery.resolver.recipe_number
        ref, stored = lookup.ref, lookup.stored
        if stored is None or lookup.error is not None or lookup.timings:
            return None
        keys: set[str] = set()
        if ref.transformation is not None:
            keys = {ref.key, *overlay_keys([ref.transformation])}
        uploads = delivery.repository.uploads
        sources = [(key, self._version(key)) for key in sorted(keys) if head_original(uploads, key)]
        # Looked up once more, now that the versions are known: what changes from here on is noticed.
        if delivery.find(request) != lookup:
            return None
        known = tuple((key, version) for key, version in sources if version is not None)
        if len(known) < len(keys) or not self._reads_without_waiting(stored.entry.key, known):
            return None
        vary = tuple((name.lower(), request.headers.get(name.lower())) for name in ref.vary)
        return StoredHit(stored, delivery.presentation(lookup), vary, known, number)

    def _reads_without_waiting(self, key: str, sources: Sequence[tuple[str, str]]) -> bool:
        """Whether no read of a hit waits for a disk. Checked once, for the first hit that has sources."""
        if self._is_quick is not None:
            return self._is_quick
        uploads, processed = self._stores.uploads, self._stores.processed
        is_quick = processed.supports_cached_reads(key) and all(
            uploads.supports_cached_reads(source) for source, _ in sources
        )
        if sources:
            self._is_quick = is_quick
        return is_quick

    def find(self, target: bytes, headers: Mapping[str, str]) -> StoredHit | None:
        """The hit that answers a request with these headers by lower-case name."""
        found = self._find(target, headers)
        return found.hit if found is not None else None

    def respond(self, request: PlainRequest, server_headers: bytes) -> tuple[bytes, bytes | bytearray] | None:
        """Head and body of the response; None if the routes must answer. ``server_headers`` are lines that
        precede the other headers."""
        found = self._find(request.target, request.headers.by_name)
        if found is None or not self._allows_host(request.headers.host):
            return None
        head = self._head(request, found)
        if head is None:
            return None
        line, headers, start, stop = head
        stored = found.hit.stored
        body = self._body(stored, start, stop)
        if body is None:
            return None
        self._touch(stored.entry.key)
        return line + server_headers + headers, body

    def _find(self, target: bytes, headers: Mapping[str, str]) -> _Remembered | None:
        known, hits = self._vary, self._hits  # `forget` may replace them
        names = known.get(target)
        if names is None:
            return None
        key = (target, *(headers.get(name) for name in names))
        found = hits.get(key)
        if found is None:
            return None
        if not self._is_current(found.hit):
            del hits[key]
            return None
        known.move_to_end(target)
        hits.move_to_end(key)
        return found

    def _is_current(self, hit: StoredHit) -> bool:
        expires = hit.presentation.expires
        if expires is not None and expires <= self._clock():
            return False
        return all(self._version(key) == version for key, version in hit.sources)

    def _version(self, key: str) -> str | None:
        """The current version of an object of the upload side, if it is known."""
        cached = self._stores.uploads.head_cached(key)
        return cached.entry.version if cached else None

    def _head(self, request: PlainRequest, found: _Remembered) -> _Head | None:
        key = (request.method, request.headers.conditions)
        head = found.heads.get(key)
        if head is None:
            head = _build_head(request, found.hit, self._clock())
            # Of a URL that expires, each second has another head.
            is_lasting = found.hit.presentation.expires is None
            is_short = _length(request.headers.conditions) <= _MAX_CONDITIONS
            if head is not None and is_lasting and is_short and len(found.heads) < _MAX_HEADS:
                found.heads[key] = head
        return head

    def _body(self, stored: StoredObject, start: int, stop: int) -> bytes | bytearray | None:
        """The bytes to send, read from the current rendition."""
        if stop > start:
            return self._stores.processed.read_cached(stored, start, stop)
        return b"" if self._stores.processed.head_cached(stored.entry.key) == stored else None


def _build_head(request: PlainRequest, hit: StoredHit, now: float) -> _Head | None:
    """None for errors, and for what is too large to be sent at once."""
    head = hit.presentation.response(request.method, request.headers.by_name, hit.stored, now)
    start, stop = (head.byte_range.start, head.byte_range.stop) if head.byte_range else (0, 0)
    if head.status >= 400 or stop - start > MAX_BUFFERED:
        return None
    line = f"HTTP/1.1 {head.status} {HTTPStatus(head.status).phrase}\r\n"
    # The headers of a 304 replace those that the client has cached (RFC 9111, 3.2).
    added = {} if head.status == 304 else SECURITY_HEADERS
    lines = [f"{name}: {value}\r\n" for name, value in head.headers.items()]
    lines += [f"{name}: {value}\r\n" for name, value in added.items() if name not in head.headers]
    return line.encode(), ("".join(lines) + "\r\n").encode("latin-1"), start, stop


def _length(values: Iterable[str | None]) -> int:
    return sum(len(value) for value in values if value is not None)


def _put(cache: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > _MAX_HITS:
        cache.popitem(last=False)
