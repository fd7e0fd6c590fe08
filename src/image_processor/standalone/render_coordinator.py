"""Obtains renditions that are not stored: the workers render what ingest makes, the render pool what
a lazy preset or only a URL asks for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenderResult, RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import ImageMetadata, Outcome, Upload, UploadKind

from .activity import Activity
from .render_pool import RenderPool
from .rendition_cache import RenditionCache

_MAX_METADATA = 1000
"""Originals whose metadata is kept until the requests that waited for it have tried again."""


OnRender = Callable[[str, Mapping[str, float], float], object]
"""Gets the format of a rendition, the seconds of its stages, and all seconds that it took."""


class MetadataPending(Exception):
    """The header of the original is being read: try again when ``future`` is done.

    An error of the future is the error of the request.
    """

    def __init__(self, future: Future[Any]) -> None:
        super().__init__("a header is being read")
        self.future = future


class RenderCoordinator:
    """``submit`` queues an upload for the workers, ``activity`` counts. All of ``on_render`` are called after
    each rendering for a URL, ``on_touch`` with the key of each rendition that is used. Methods may be called
    from any thread."""

    def __init__(
        self,
        repository: RenditionRepository,
        pool: RenderPool[Any],
        cache: RenditionCache,
        submit: Callable[[Upload], Future[Outcome]],
        activity: Activity,
        on_render: Sequence[OnRender] = (),
        on_touch: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._on_render = on_render
        self._on_touch = on_touch
        self._activity = activity
        self._repository = repository
        self._cache = cache
        self._pool = pool
        self._submit = submit
        self._lock = Lock()
        self._metadata: OrderedDict[tuple[str, str], ImageMetadata] = OrderedDict()

    def request(self, ref: RenditionRef, client: str | None = None) -> Future[Any]:
        """Start rendering ``ref``; `resolve` turns the future's result into the rendition.

        Raises Overloaded, NotFound without an original, and ShareExceeded as `TaskPool.submit`.
        """
        if ref.is_eager:
            self._repository.original_version(ref.key)
            return self._submit(Upload(self._repository.bucket, ref.key, UploadKind.RECONCILE))
        return self._pool.submit(ref.stored_key, lambda renderer: self._render(renderer, ref), client)

    def resolve(self, ref: RenditionRef, result: Outcome | RenderResult) -> RenderResult:
        """The rendition that the result of a `request` stands for. Raises Refused, NotFound."""
        return result if isinstance(result, RenderResult) else self._repository.after_ingest(ref, result)

    def touch(self, stored_key: str, hits: int = 1) -> None:
        """Mark a stored rendition as used, so that it is evicted later, and count ``hits``. What ingest has
        made is never evicted."""
        if hits:
            self._activity.count("hits", hits)
        self._cache.touch(stored_key)
        self._on_touch(stored_key)

    def backlog(self) -> int:
        """Renditions and headers that wait or are being read."""
        return self._pool.backlog()

    def is_awaited(self, key: str) -> bool:
        """Whether several renditions of the original ``key`` wait or are being made."""
        return self._pool.backlog(rendition_prefix(key)) > 1

    def cached_bytes(self) -> int:
        """Bytes of the renditions that may be evicted."""
        return self._cache.total()

    def metadata_of(self, key: str, version: str) -> ImageMetadata:
        """The metadata of an original, from its header.

        Raises MetadataPending if the header has not been read: waiting here would block a thread that
        serves stored renditions. Raises Overloaded.
        """
        with self._lock:
            metadata = self._metadata.get((key, version))
        if metadata is None:
            raise MetadataPending(self._pool.submit(f"{key}/?{version}", self._read_metadata(key, version)))
        return metadata

    def _read_metadata(self, key: str, version: str) -> Callable[[OnDemandRenderer], None]:
        def read(renderer: OnDemandRenderer) -> None:
            with self._lock:
                if (key, version) in self._metadata:  # read since the task was submitted
                    return
            metadata = renderer.read_metadata(key, version)
            with self._lock:
                self._metadata[key, version] = metadata
                while len(self._metadata) > _MAX_METADATA:
                    self._metadata.popitem(last=False)

        return read

    def _render(self, renderer: OnDemandRenderer, ref: RenditionRef) -> RenderResult:
        """Render unless an earlier task has stored the rendition meanwhile."""
        stored = self._repository.find(ref)
        if stored is not None:
            return RenderResult(stored, {})
        started = time.monotonic()
        result = renderer.render(ref)
        assert ref.transformation is not None
        seconds = time.monotonic() - started
        for callback in self._on_render:
            callback(ref.transformation.format, result.timings, seconds)
        self._activity.count("misses")
        if result.is_stored and not ref.declared:
            self._cache.put(result.stored.entry)
        return result
