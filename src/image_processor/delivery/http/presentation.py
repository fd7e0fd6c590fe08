"""Delivery, step 4: what responses say in addition to what is stored. Of the read path, a hit server needs
this part only."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.ports import StoredObject

from .headers import expiring_cache_control
from .response import ResponseHead, build_response

_NOT_MODIFIED = frozenset({"etag", "last-modified", "cache-control", "vary", "access-control-allow-origin"})


class Presentation(Struct, frozen=True):
    """What the responses for one stored rendition say in addition to what is stored with it."""

    headers: Mapping[str, str]
    """The headers of the rendition."""
    error_headers: Mapping[str, str]
    """The headers of a 412 or 416."""
    cache_control: str
    """For an object without a Cache-Control of its own."""
    fixed_cache_control: str | None = None
    """For every object."""
    expires: float | None = None
    """The Unix time after which no cache may use a response."""

    def response(
        self, method: str, conditions: Mapping[str, str], stored: StoredObject, now: float
    ) -> ResponseHead:
        """The response to a GET or HEAD with these ``conditions`` at ``now`` (Unix seconds)."""
        head = build_response(method, conditions, stored, cache_control=self.cache_control)
        if head.status >= 400:
            return replace(head, headers={**head.headers, **self.error_headers})
        headers = {**head.headers, **self.headers}
        if self.fixed_cache_control is not None:
            headers["cache-control"] = self.fixed_cache_control
        if self.expires is not None:
            seconds = max(0, int(self.expires - now))
            headers["cache-control"] = expiring_cache_control(headers["cache-control"], seconds)
        if head.status == 304:
            headers = {name: value for name, value in headers.items() if name in _NOT_MODIFIED}
        return replace(head, headers=headers)
