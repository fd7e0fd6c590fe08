"""The cache of one edge location: the cache key, and how long each response is cached.

Sources are pages of the CloudFront developer guide, named where a rule is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_messages import Answer, NotSimulated, Request, only

Json = Mapping[str, Any]
Key = tuple[str, str, tuple[tuple[str, str], ...]]

# "How CloudFront processes HTTP 4xx and 5xx status codes from your origin".
_ERRORS_KEPT = {404, 405, 414, 500, 501, 502, 503, 504}
_ERRORS_KEPT_IF_TOLD = {400, 403, 412, 415}
_ERROR_SECONDS = 10  # "Control how long CloudFront caches errors": the default
_NOT_KEPT_IF_TOLD = {404, 410, 414, 501}  # the same page: only these heed no-store, no-cache and private
# A part is not the object, and "not modified" answers one viewer's condition only.
_NOT_WHOLE = {206, 304}

_PASSED = ("if-", "range")

_AGE = re.compile(r"(s-maxage|max-age)=(\d+)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """A cache policy without cookies, as the template has it. ``without`` are the query parameters that
    are not in the key."""

    minimum: int
    default: int
    maximum: int
    headers: tuple[str, ...]
    without: frozenset[str]
    encodings: tuple[str, ...]

    @classmethod
    def of(cls, config: Json) -> CachePolicy:
        only(config, "Name", "MinTTL", "DefaultTTL", "MaxTTL", "ParametersInCacheKeyAndForwardedToOrigin")
        key = config["ParametersInCacheKeyAndForwardedToOrigin"]
        headers, query = key["HeadersConfig"], key["QueryStringsConfig"]
        reported = (
            key["CookiesConfig"]["CookieBehavior"],
            headers["HeaderBehavior"],
            query["QueryStringBehavior"],
        )
        if reported != ("none", "whitelist", "allExcept"):
            raise NotSimulated(f"a cache key of {reported}")
        flags = {"br": "EnableAcceptEncodingBrotli", "gzip": "EnableAcceptEncodingGzip"}
        return cls(
            config["MinTTL"],
            config["DefaultTTL"],
            config["MaxTTL"],
            tuple(name.lower() for name in headers["Headers"]),
            frozenset(query["QueryStrings"]),
            tuple(name for name, flag in flags.items() if key[flag]),
        )

    def kept(self, request: Request) -> Request:
        """The request that the origin gets by this policy, which holds all that the key is made of.

        "Serving compressed files": Accept-Encoding is normalised. "Request and response behavior for
        custom origins": conditions and ranges are passed on.
        """
        headers = {
            name: text
            for name, text in request.headers.items()
            if name.startswith(_PASSED) or name in self.headers
        }
        expected = re.findall(r"[\w*]+", request.headers.get("accept-encoding", ""))
        if encodings := ",".join(name for name in self.encodings if name in expected):
            headers["accept-encoding"] = encodings
        headers["user-agent"] = "Amazon CloudFront"
        query = "&".join(part for part in _parts(request) if part.partition("=")[0] not in self.without)
        return replace(request, headers=headers, query=query)

    def seconds(self, answer: Answer, error_seconds: Mapping[int, int]) -> int:
        """How long ``answer`` is cached, in seconds; 0 is not at all. ``error_seconds`` is the error caching
        minimum TTL by status."""
        reported = answer.headers.get("cache-control", "")
        ages = {name: int(seconds) for name, seconds in _AGE.findall(reported)}
        age = ages.get("s-maxage", ages.get("max-age"))
        if answer.status >= 400:
            return self._error_seconds(answer.status, reported, age, error_seconds)
        if answer.status in _NOT_WHOLE:
            return 0
        # "Manage how long content stays in the cache (expiration)", the table of TTLs.
        if re.search(r"no-cache|no-store|private", reported):
            return self.minimum
        return max(self.minimum, self.default if age is None else min(age, self.maximum))

    def _error_seconds(
        self, status: int, told: str, age: int | None, error_seconds: Mapping[int, int]
    ) -> int:
        """ "Control how long CloudFront caches errors"."""
        if status in _NOT_KEPT_IF_TOLD and re.search(r"no-cache|no-store|private", told):
            return 0
        if status not in _ERRORS_KEPT and not (status in _ERRORS_KEPT_IF_TOLD and age is not None):
            return 0
        return max(error_seconds.get(status, _ERROR_SECONDS), min(age or 0, self.maximum))


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """An origin request policy that adds query parameters, as the template has it."""

    query: frozenset[str]

    @classmethod
    def of(cls, config: Json) -> OriginPolicy:
        only(config, "Name", "Comment", "CookiesConfig", "HeadersConfig", "QueryStringsConfig")
        query = config["QueryStringsConfig"]
        reported = (
            config["CookiesConfig"]["CookieBehavior"],
            config["HeadersConfig"]["HeaderBehavior"],
            query["QueryStringBehavior"],
        )
        if reported != ("none", "none", "whitelist"):
            raise NotSimulated(f"an origin request policy of {reported}")
        return cls(frozenset(query["QueryStrings"]))

    def sent(self, request: Request, kept: Request) -> Request:
        """``kept``, which the cache policy lets through, with what this one adds of ``request``:
        "Understand how origin request policies and cache policies work together"."""
        passed = set(_parts(kept))
        parts = [part for part in _parts(request) if part in passed or part.partition("=")[0] in self.query]
        return replace(kept, query="&".join(parts))


def _parts(request: Request) -> list[str]:
    return [part for part in request.query.split("&") if part]


class Cache:
    """Responses by key, with the second at which each becomes stale."""

    def __init__(self) -> None:
        self._entries: dict[Key, tuple[Answer, float]] = {}

    def fresh(self, request: Request, now: float) -> Answer | None:
        """The cached response, limited to what is requested. A cached GET answers a HEAD."""
        for method in dict.fromkeys((request.method, "GET")):
            answer, until = self._entries.get(_key(request, method), (None, 0.0))
            if answer and now < until:
                return _cut(request, answer)
        return None

    def stale(self, request: Request) -> Answer | None:
        """A stale successful response for the request, whole."""
        answer, _ = self._entries.get(_key(request, request.method), (None, 0.0))
        return answer if answer and answer.status < 400 else None

    def keep(self, request: Request, answer: Answer, until: float) -> None:
        self._entries[_key(request, request.method)] = (answer, until)


def _key(request: Request, method: str) -> Key:
    target = f"{request.uri}?{request.query}"
    reported = (pair for pair in request.headers.items() if not pair[0].startswith((*_PASSED, "user-agent")))
    return method, target, tuple(sorted(reported))


def _cut(request: Request, answer: Answer) -> Answer:
    """ "How CloudFront processes partial requests for an object", and conditions by entity tag."""
    if answer.status != 200:
        return answer
    tag = answer.headers.get("etag")
    if tag and tag in request.headers.get("if-none-match", ""):
        return Answer(304, answer.headers)
    if request.method == "HEAD":
        return replace(answer, body=b"")
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or "if-range" in request.headers:
        return answer
    size = len(answer.body)
    first, last = (int(digits) if digits else None for digits in match.groups())
    start = size - (last or 0) if first is None else first
    stop = size if first is None or last is None else min(last + 1, size)
    part = {"content-range": f"bytes {start}-{stop - 1}/{size}", "content-length": str(stop - start)}
    return Answer(206, {**answer.headers, **part}, answer.body[start:stop])
