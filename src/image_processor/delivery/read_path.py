"""Delivery, steps 1-4: the read path that the API and the *deliver* function share: find a rendition,
render it or its fallback if it is not stored, build the response.

    lookup = delivery.find(request)
    while lookup.stored is None:
        try:
            lookup = lookup.rendered(render(lookup.ref))
        except ImageProcessorError as error:
            lookup = delivery.recover(lookup, error)
    head = delivery.http_response(request, lookup)

`serve` is this loop for a caller that renders in place. The API runs the same loop and awaits a queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError, NotFound, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import KEEP_SMALLER
from image_processor.domain.ports import StoredObject
from image_processor.domain.transformation import ON_DEMAND

from .http.headers import content_disposition, cors_headers, server_timing
from .http.presentation import Presentation
from .http.response import ResponseHead
from .policy import Policy
from .repository import RenderResult, RenditionRepository
from .request import Clock, Headers, HttpRequest
from .resolver import RenditionRef, RequestResolver
from .url.parser import parse_url
from .url.signing import signature_query

_NO_TIMINGS: Mapping[str, float] = MappingProxyType({})
_NOT_CACHED = "no-store"
_REDIRECT_SECONDS = 300
"""How long a redirect to a stored rendition may be followed."""

Render = Callable[[RenditionRef], RenderResult]
"""Renders and stores a rendition. Raises ImageProcessorError."""


class Lookup(Struct, frozen=True):
    """A rendition and its stored object, None while it has to be rendered. ``timings`` are seconds by
    stage of the rendering. ``error`` is why the fallback is shown in place of the requested rendition."""

    ref: RenditionRef
    stored: StoredObject | None
    timings: Mapping[str, float] = field(default_factory=lambda: _NO_TIMINGS)
    error: ImageProcessorError | None = None

    def rendered(self, result: RenderResult) -> Lookup:
        """This lookup with the rendered object."""
        return replace(self, stored=result.stored, timings=result.timings)


class Delivery(Struct, frozen=True):
    """The read path over its parts. ``base_url`` is the URL below which keys can be opened, if any."""

    resolver: RequestResolver
    repository: RenditionRepository
    cache_control: str
    base_url: str | None = None
    clock: Clock = time.time

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.resolver.policy

    def serve(self, request: HttpRequest, render: Render) -> Lookup:
        """Find the rendition that ``request`` asks for, or render it with ``render``; if neither is
        possible, the fallback.

        Raises what `find`, `recover` and ``render`` raise.
        """
        lookup = self.find(request)
        while lookup.stored is None:
            try:
                lookup = lookup.rendered(render(lookup.ref))
            except ImageProcessorError as error:
                lookup = self.recover(lookup, error)
        return lookup

    def find(self, request: HttpRequest, metadata_error: NotFound | Refused | None = None) -> Lookup:
        """Look up the rendition that ``request`` asks for, without rendering; its fallback if the original
        is missing or refused. ``metadata_error`` as for `RequestResolver.resolve`.

        Raises what `RequestResolver.resolve` and `RenditionRepository.find` raise.
        """
        ref = self.resolver.resolve(request, metadata_error)
        try:
            return Lookup(ref, self.repository.find(ref))
        except (NotFound, Refused) as error:
            return self.recover(Lookup(ref, None), error)

    def recover(self, lookup: Lookup, error: ImageProcessorError) -> Lookup:
        """Look up the fallback of a rendition that could not be found or rendered because of ``error``.

        Raises ``error`` if there is no fallback for it. If the fallback itself is missing or refused,
        raises the error of the requested rendition.
        """
        if lookup.error is not None:
            raise lookup.error if isinstance(error, NotFound | Refused) else error
        fallback = self._fallback(lookup.ref, error)
        if fallback is None:
            raise error
        try:
            return Lookup(fallback, self.repository.find(fallback), error=error)
        except (NotFound, Refused):
            raise error from None

    def http_response(self, request: HttpRequest, lookup: Lookup) -> ResponseHead:
        """The response for a stored rendition. A fallback is sent whole and is not cached."""
        assert lookup.stored is not None
        conditions: Headers = request.headers if lookup.error is None else {}
        now = self.clock()
        return self.presentation(lookup).response(request.method, conditions, lookup.stored, now)

    def presentation(self, lookup: Lookup) -> Presentation:
        """What responses for the rendition say in addition to what is stored with it."""
        if lookup.error is not None:
            fixed: str | None = _NOT_CACHED
        else:
            fixed = None if lookup.ref.max_age is None else f"public, max-age={lookup.ref.max_age}"
        return Presentation(
            headers=self._rendition_headers(lookup),
            error_headers=cors_headers(self.policy.cors_origin),
            cache_control=self.cache_control,
            fixed_cache_control=fixed,
            expires=lookup.ref.expires if lookup.error is None else None,
        )

    def stored_query(self, ref: RenditionRef, seconds: int = _REDIRECT_SECONDS) -> str:
        """The query that opens the path of a stored rendition for ``seconds``; empty if none is needed.

        Raises InvalidRequest if its name is a digest, which cannot be signed.
        """
        if ref.is_public or not self.policy.keyring:
            return ""
        url = parse_url(quote(ref.stored_key))
        return signature_query(self.policy.keyring.sign(url, int(self.clock()) + seconds))

    def _fallback(self, ref: RenditionRef, error: ImageProcessorError) -> RenditionRef | None:
        """The same rendition of the fallback image, if one is set and ``error`` is about the original."""
        key, transformation = self.policy.fallback, ref.transformation
        if key in {None, ref.key} or transformation is None or not isinstance(error, NotFound | Refused):
            return None
        assert key is not None
        stored_key = rendition_prefix(key) + ON_DEMAND + transformation.name
        return replace(ref, key=key, stored_key=stored_key, declared=False, lazy=False)

    def _rendition_headers(self, lookup: Lookup) -> dict[str, str]:
        ref = lookup.ref
        filename = ref.filename or _default_filename(ref)
        headers = {"content-disposition": content_disposition(filename, attachment=ref.attachment)}
        if ref.vary:
            headers["vary"] = ", ".join(ref.vary)
        if lookup.timings:
            timings = [server_timing(lookup.timings)]
            kept = lookup.stored.attributes.metadata.get(KEEP_SMALLER) if lookup.stored else None
            timings += [f"{KEEP_SMALLER};desc={kept}"] if kept else []
            headers["server-timing"] = ", ".join(timings)
        if self.base_url is not None and lookup.error is None and ref.is_public:
            url = f"{self.base_url}/{quote(ref.stored_key, safe='/=,~:')}"
            headers["link"] = f'<{url}>; rel="canonical"'
        return headers | cors_headers(self.policy.cors_origin)


def _default_filename(ref: RenditionRef) -> str | None:
    """The original's file name with the extension of the rendition's format."""
    if ref.transformation is None:
        return None
    stem, _, extension = ref.key.rpartition("/")[2].rpartition(".")
    name = stem or extension
    return f"{name}.{FORMATS[ref.transformation.format].extension}" if name else None
