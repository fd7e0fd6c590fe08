"""Delivery: the read path as both servers walk it: find, make if need be, reply.

What has to be waited for (making) is left to the server: one machine queues it, a Lambda function
does it at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError, NotFound, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.ports import StoredObject
from image_processor.domain.transformation import ON_DEMAND

from .http.response import ResponseHead, answer
from .on_demand import RenditionRepository
from .policy import Clock, Headers, Policy
from .resolver import HttpRequest, RenditionRef, RequestResolver
from .url.parser import parse_url
from .url.signing import signature_query

_NOTHING: Mapping[str, float] = MappingProxyType({})
_HELD_BACK = "no-store"
_SOON = 300
"""Seconds that a redirect may take to be followed."""


class Lookup(Struct, frozen=True):
    """A wanted rendition and, if it is there, the stored object. ``seconds`` says how long the parts of
    making it took; ``error`` is why another picture is shown in its place."""

    wanted: RenditionRef
    stored: StoredObject | None
    seconds: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    error: ImageProcessorError | None = None


class Delivery(Struct, frozen=True):
    """Everything a read needs. ``base`` is what keys are put behind to open them, None without."""

    reader: RequestResolver
    kept: RenditionRepository
    policy: Policy
    cache_control: str
    base: str | None = None
    clock: Clock = time.time

    def find(self, get: HttpRequest, wrong: NotFound | Refused | None = None) -> Lookup:
        """The rendition that ``get`` wants, ``stored`` if it need not be made; with ``error`` where it
        cannot be had, but something can be shown in its place. ``wrong`` as for `RequestResolver.read`.

        Raises what `RequestResolver.read` and `RenditionRepository.look` raise.
        """
        wanted = self.reader.read(get, wrong)
        try:
            return Lookup(wanted, self.kept.look(wanted))
        except (NotFound, Refused) as error:
            if self.fallback_for(wanted, error) is None:
                raise
            return Lookup(wanted, None, error=error)

    def fallback_for(self, wanted: RenditionRef, error: ImageProcessorError) -> RenditionRef | None:
        """What to show where ``wanted`` cannot be had: the same of the fallback image, if one is set."""
        key, transformation = self.policy.fallback, wanted.transformation
        if key in {None, wanted.key} or transformation is None or not isinstance(error, NotFound | Refused):
            return None
        assert key is not None
        stored_key = rendition_prefix(key) + ON_DEMAND + transformation.name
        return replace(wanted, key=key, stored_key=stored_key, declared=False)

    def reply(self, get: HttpRequest, found: Lookup) -> ResponseHead:
        """How to answer. A picture that stands in for another is sent whole, and never kept for long."""
        stored = found.stored
        assert stored is not None
        asked: Headers = get.headers if found.error is None else {}
        decided = answer(get.method, asked, stored, cache_control=self.cache_control)
        if decided.status >= 400:
            return replace(decided, headers={**decided.headers, **cors_headers(self.policy.cors)})
        headers = {**decided.headers, **self._told(found)}
        if found.error is not None:
            headers["cache-control"] = _HELD_BACK
        if decided.status == 304:
            headers = {name: value for name, value in headers.items() if name in _NOT_MODIFIED}
        return replace(decided, headers=headers)

    def stored_query(self, wanted: RenditionRef, seconds: int = _SOON) -> str:
        """What has to stand behind the path of the stored rendition to open it for so many ``seconds``.

        Raises InvalidRequest where its name is a digest, which says nothing that could be signed.
        """
        if wanted.is_public or not self.policy.keyring:
            return ""
        address = parse_url(quote(wanted.stored_key))
        return signature_query(self.policy.keyring.seal(address, int(self.clock()) + seconds))

    def _told(self, found: Lookup) -> dict[str, str]:
        wanted = found.wanted
        told = {"content-disposition": disposition(wanted)}
        if wanted.vary:
            told["vary"] = ", ".join(wanted.vary)
        if found.seconds:
            told["server-timing"] = ", ".join(
                f"{name};dur={1000 * spent:.1f}" for name, spent in found.seconds.items()
            )
        if self.base is not None and found.error is None and wanted.is_public:
            told["link"] = f'<{self.base}/{quote(wanted.stored_key, safe="/=,~:")}>; rel="canonical"'
        return told | cors_headers(self.policy.cors)


_NOT_MODIFIED = frozenset({"etag", "last-modified", "cache-control", "vary", "access-control-allow-origin"})


def cors_headers(origin: str | None) -> dict[str, str]:
    """The headers that let pages of ``origin`` (or `*`) read pixels."""
    if origin is None:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "ETag, Content-Length, Server-Timing",
        "cross-origin-resource-policy": "cross-origin",
    }


def preflight_headers(origin: str | None) -> dict[str, str] | None:
    """The headers of the 204 to a preflight of CORS (Fetch standard): what pages of ``origin`` may ask.
    None where pages of other sites may ask nothing."""
    if origin is None:
        return None
    methods = {"access-control-allow-methods": "GET, HEAD", "access-control-allow-headers": "*"}
    return {**cors_headers(origin), **methods, "access-control-max-age": "86400"}


def disposition(wanted: RenditionRef) -> str:
    """Content-Disposition (RFC 6266): shown unless a download was asked for, and saved under the
    original's name with the extension of what it is now."""
    kind = "attachment" if wanted.attachment else "inline"
    name = wanted.filename or _file_name(wanted)
    if not name:
        return kind
    plain = "".join(sign if (sign.isascii() and sign.isalnum()) or sign in "._- " else "_" for sign in name)
    text = f'{kind}; filename="{plain}"'
    return text if plain == name else f"{text}; filename*=UTF-8''{quote(name, safe='')}"


def _file_name(wanted: RenditionRef) -> str | None:
    if wanted.transformation is None:
        return None
    stem = wanted.key.rpartition("/")[2].rpartition(".")
    name = stem[0] or stem[2]
    return f"{name}.{FORMATS[wanted.transformation.format].extension}" if name else None
