"""Invalidates CloudFront's cache with CreateInvalidation (REST and XML).

Loaded only by the function that has a distribution. It is our own because boto3 takes 170 ms of a cold
start, for one call.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from image_processor.domain.errors import Unavailable

from .client import Body, Client, HttpResponse, Request
from .credentials import GetCredentials, credentials_from
from .endpoints import Endpoint, endpoint_override, global_endpoint, parse_endpoint, region_from
from .retries import INTERACTIVE
from .signature import Scope

_VERSION = "2020-05-31"
_SAFE = "/!$&'()*+,;:=@-_."
"""Characters that an invalidation path holds unescaped: all but non-ASCII ones and those that RFC 1738
calls unsafe ("What you need to know when invalidating paths")."""

# Temporary errors with status 400: 15 invalidations with a wildcard may run at a time.
_THROTTLES = frozenset({"TooManyInvalidationsInProgress", "Throttling", "ThrottlingException"})
_CODE = re.compile(rb"<Code>\s*(\w+)\s*</Code>")


class Invalidations:
    """Invalidations of one distribution. Safe for threads. ``endpoint`` replaces AWS's own, by default
    AWS_ENDPOINT_URL_CLOUDFRONT does. Raises InvalidSettings."""

    def __init__(
        self, distribution: str, *, endpoint: str | None = None, credentials: GetCredentials | None = None
    ) -> None:
        address, region = _endpoint_and_region(endpoint or endpoint_override("cloudfront"))
        self._path = f"/{_VERSION}/distribution/{distribution}/invalidation"
        # Invalidations that are running take minutes, which no retry of a request outlasts.
        self._client = Client(
            address,
            Scope(region, "cloudfront"),
            credentials or credentials_from(os.environ),
            retries=INTERACTIVE,
        )

    def invalidate(self, paths: Sequence[str], reference: str) -> None:
        """Invalidate ``paths`` of invalidation_paths. A second call with the same ``reference`` and paths
        creates no second invalidation. Raises Unavailable, also where too many are running."""
        body = _batch(paths, reference)
        headers = {"content-type": "application/xml"}
        request = Request("POST", self._path, headers=headers, body=Body.from_bytes(body))
        response = self._client.send(request, is_throttled=_is_throttled)
        if response.status not in {200, 201}:
            raise Unavailable(
                f"CloudFront cannot invalidate {len(paths)} paths: {_code(response) or response.status}"
            )


def invalidation_paths(prefix: str) -> list[str]:
    """The wildcard paths for ``prefix``, one for each spelling in the cache.

    CloudFront accepts no tilde in such a path, escaped or not, so the path ends before it. A plus sign
    is escaped by our CloudFront function but not by other clients.
    """
    path = "/" + quote(prefix.partition("~")[0], safe=_SAFE) + "*"
    return list(dict.fromkeys((path, path.replace("+", "%2B"))))


def coalesce(paths: Iterable[str], limit: int) -> list[str]:
    """At most ``limit`` paths that cover all ``paths``: while there are more, those of one folder become the
    folder's `/folder/*`, first of the folder with the most of them. Every path ends in a wildcard."""
    remaining = _uncovered(paths)
    while len(remaining) > limit:
        folders = Counter(map(_folder, remaining))
        largest = max(
            folders, key=lambda folder: (folder != "/*", folders[folder], folder.count("/"), folder)
        )
        remaining = _uncovered([*remaining, largest])
    return remaining


def _uncovered(paths: Iterable[str]) -> list[str]:
    """The paths without those that another one covers."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda path: path[:-1]):
        if not kept or not path.startswith(kept[-1][:-1]):
            kept.append(path)
    return kept


def _folder(path: str) -> str:
    """The path of the folder that holds ``path``: `/a/*` for `/a/b.jpg*`, `/*` for `/a/*`."""
    name = path.removesuffix("*").rstrip("/")
    return name[: name.rfind("/") + 1] + "*"


def _endpoint_and_region(override: str | None) -> tuple[Endpoint, str]:
    """The endpoint that all regions of a partition share, and the region that signatures name."""
    endpoint, region = global_endpoint("cloudfront", region_from())
    return (parse_endpoint(override) if override else endpoint), region


def _batch(paths: Sequence[str], reference: str) -> bytes:
    # The ampersand is the only character of these paths that XML needs escaped.
    items = "".join(f"<Path>{path.replace('&', '&amp;')}</Path>" for path in paths)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/{_VERSION}/">'
        f"<CallerReference>{reference}</CallerReference>"
        f"<Paths><Items>{items}</Items><Quantity>{len(paths)}</Quantity></Paths></InvalidationBatch>"
    ).encode()


def _is_throttled(response: HttpResponse) -> bool:
    return response.status >= 400 and _code(response) in _THROTTLES


def _code(response: HttpResponse) -> str:
    match = _CODE.search(response.body)
    return match[1].decode() if match else ""
