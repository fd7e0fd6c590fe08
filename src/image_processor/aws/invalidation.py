"""AWS room: has CloudFront forget what it keeps, by its CreateInvalidation (REST and XML).

Loaded only where a distribution is named.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from image_processor.domain.errors import Unavailable

from .client import Answer, Body, Client, Request
from .credentials import GetCredentials, credentials_from
from .endpoints import Endpoint, global_endpoint, override_of, parse_endpoint, region_from
from .signature import Scope

_VERSION = "2020-05-31"
_SAFE = "/!$&'()*+,;:=@-_."
"""What stands for itself in a path to forget: CloudFront wants no others escaped than the non-ASCII and
those that RFC 1738 calls unsafe ("What you need to know when invalidating paths")."""

# Answers with status 400 that time heals: of paths with a wildcard 15 may be in work at a time.
_THROTTLES = frozenset({"TooManyInvalidationsInProgress", "Throttling", "ThrottlingException"})
_CODE = re.compile(rb"<Code>\s*(\w+)\s*</Code>")


class Invalidations:
    """Of one distribution. Safe for threads. ``endpoint`` stands for AWS's own, by default as
    AWS_ENDPOINT_URL_CLOUDFRONT says. Raises InvalidSettings."""

    def __init__(
        self, distribution: str, *, endpoint: str | None = None, credentials: GetCredentials | None = None
    ) -> None:
        address, region = _place(endpoint or override_of("cloudfront"))
        self._path = f"/{_VERSION}/distribution/{distribution}/invalidation"
        self._client = Client(
            address, Scope(region, "cloudfront"), credentials or credentials_from(os.environ)
        )

    def forget(self, beginning: str, change: str) -> None:
        """Forget every path that begins with ``beginning``. The same ``change`` again is no second
        invalidation. Raises Unavailable, also where too many are in work."""
        body = _batch(paths_of(beginning), change)
        request = Request("POST", self._path, headers={"content-type": "application/xml"}, body=Body.of(body))
        answer = self._client.send(request, throttled=_is_throttled)
        if answer.status not in {200, 201}:
            raise Unavailable(f"CloudFront cannot forget {beginning!r}: {_code(answer) or answer.status}")


def paths_of(beginning: str) -> list[str]:
    """The invalidation paths for what begins with these letters, by their spellings in the cache.

    A tilde cannot be said in such a path, escaped or not, so that the path ends before it. The
    function at the edge escapes a plus sign, other clients do not.
    """
    path = "/" + quote(beginning.partition("~")[0], safe=_SAFE) + "*"
    return list(dict.fromkeys((path, path.replace("+", "%2B"))))


def _place(override: str | None) -> tuple[Endpoint, str]:
    """The one address that all regions of a partition share, and the region that signatures name."""
    address, region = global_endpoint("cloudfront", region_from())
    return (parse_endpoint(override) if override else address), region


def _batch(paths: list[str], change: str) -> bytes:
    # Of the signs that mean something to XML, only this one is left in a path.
    items = "".join(f"<Path>{path.replace('&', '&amp;')}</Path>" for path in paths)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/{_VERSION}/">'
        f"<CallerReference>{change}</CallerReference>"
        f"<Paths><Items>{items}</Items><Quantity>{len(paths)}</Quantity></Paths></InvalidationBatch>"
    ).encode()


def _is_throttled(answer: Answer) -> bool:
    return answer.status >= 400 and _code(answer) in _THROTTLES


def _code(answer: Answer) -> str:
    found = _CODE.search(answer.body)
    return found[1].decode() if found else ""
