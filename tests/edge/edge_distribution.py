"""CloudFront at one edge location, driven by the resolved template: viewer request -> function ->
cache -> origin group -> response headers. README.md says what is simulated and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from edge_cache import Cache, CachePolicy, OriginPolicy
from edge_function import Attached, FunctionFault
from edge_messages import Answer, NotSimulated, Request, only

Json = Mapping[str, Any]

START = 1_800_000_000.0
"""The creation time of a distribution, in Unix seconds."""

# "Request and response behavior for origin groups".
_FAIL_OVER = ("GET", "HEAD", "OPTIONS")
# Settings without effect on a single response.
_WITHOUT_EFFECT = ("Enabled", "Comment", "HttpVersion", "IPV6Enabled", "PriceClass", "ViewerCertificate")


class Origin(Protocol):
    """An origin."""

    def fetch(self, request: Request) -> Answer: ...


class Distribution:
    """``later`` advances the clock. ``x-cache`` says, as in CloudFront, where a response is from."""

    def __init__(
        self,
        config: Json,
        origins: Mapping[str, Origin],
        policies: tuple[CachePolicy, OriginPolicy],
        headers_policy: Json | None,
        function: Attached | None,
    ) -> None:
        only(
            config,
            "Origins",
            "OriginGroups",
            "DefaultCacheBehavior",
            "CustomErrorResponses",
            *_WITHOUT_EFFECT,
        )
        self._behavior: Json = config["DefaultCacheBehavior"]
        only(
            self._behavior, "TargetOriginId", "ViewerProtocolPolicy", "AllowedMethods", "CachedMethods",
            "Compress", "CachePolicyId", "OriginRequestPolicyId", "ResponseHeadersPolicyId",
            "FunctionAssociations",
        )  # fmt: skip
        self._groups = {group["Id"]: group for group in config["OriginGroups"]["Items"]}
        self._error_seconds = dict(map(_error_seconds, config["CustomErrorResponses"]))
        self._origins = origins
        self._policy, self._origin_policy = policies
        self._headers = None if headers_policy is None else ResponseHeaders(headers_policy)
        self._function = function
        self._cache = Cache()
        self.now = START

    def later(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, request: Request) -> Answer:
        """The response to a viewer's request."""
        if not request.secure and self._behavior["ViewerProtocolPolicy"] == "redirect-to-https":
            return Answer(301, {"location": f"https://cdn.example{request.uri}"})
        if request.method not in self._behavior["AllowedMethods"]:
            return Answer(403, {"x-cache": "Error from cloudfront"})
        try:
            changed = self._function(request, self.now) if self._function else request
        except FunctionFault:
            return Answer(503, {"x-cache": "FunctionExecutionError from cloudfront"})
        if isinstance(changed, Answer):
            # Policy headers are added to responses that leave the cache; this one was never in it.
            return _told(changed, "FunctionGeneratedResponse")
        answer = self._answer(changed)
        return self._headers.added(request, answer) if self._headers else answer

    def _answer(self, request: Request) -> Answer:
        asked = self._policy.kept(request)
        if kept := self._cache.fresh(asked, self.now):
            return _told(kept, "Hit" if kept.status < 400 else "Error")
        answer = self._fetch(self._origin_policy.sent(request, asked))
        if request.method not in self._behavior["CachedMethods"]:
            return _told(answer, "Miss" if answer.status < 400 else "Error")
        seconds = self._policy.seconds(answer, self._error_seconds)
        # "How CloudFront processes HTTP 4xx and 5xx": a stale copy is served in place of a 5xx.
        if answer.status >= 500 and (old := self._cache.stale(asked)):
            answer = old
        if seconds:
            self._cache.keep(asked, answer, self.now + seconds)
        return _told(answer, "Miss" if answer.status < 400 else "Error")

    def _fetch(self, request: Request) -> Answer:
        target = self._behavior["TargetOriginId"]
        if target not in self._groups:
            return self._origins[target].fetch(request)
        group = self._groups[target]
        first, second = (self._origins[member["OriginId"]] for member in group["Members"]["Items"])
        answer = first.fetch(request)
        failed = answer.status in group["FailoverCriteria"]["StatusCodes"]["Items"]
        return second.fetch(request) if failed and request.method in _FAIL_OVER else answer


def _error_seconds(row: Json) -> tuple[int, int]:
    only(row, "ErrorCode", "ErrorCachingMinTTL")
    return row["ErrorCode"], row["ErrorCachingMinTTL"]


def _told(answer: Answer, origin: str) -> Answer:
    return replace(answer, headers={**answer.headers, "x-cache": f"{origin} from cloudfront"})


class ResponseHeaders:
    """A response headers policy ("Understand response headers policies")."""

    def __init__(self, config: Json) -> None:
        only(
            config,
            "Name",
            "SecurityHeadersConfig",
            "CustomHeadersConfig",
            "CorsConfig",
            "RemoveHeadersConfig",
        )
        self._removed = {row["Header"] for row in config.get("RemoveHeadersConfig", {}).get("Items", ())}
        self._fixed = [
            *map(_security, config.get("SecurityHeadersConfig", {}).items()),
            *(
                (row["Header"].lower(), row["Value"], row["Override"])
                for row in config.get("CustomHeadersConfig", {}).get("Items", ())
            ),
        ]
        self._cors: Json | None = config.get("CorsConfig")

    def added(self, request: Request, answer: Answer) -> Answer:
        """``answer`` with the policy's headers; its own stay where the policy does not override."""
        headers = {name: text for name, text in answer.headers.items() if name not in self._removed}
        for name, value, override in (*self._fixed, *self._cors_headers(request)):
            if override or name not in headers:
                headers[name] = value
        return replace(answer, headers=headers)

    def _cors_headers(self, request: Request) -> Iterator[tuple[str, str, bool]]:
        """For requests with an Origin only; those about methods for preflights only."""
        if self._cors is None or "origin" not in request.headers:
            return
        if self._cors["AccessControlAllowCredentials"]:
            raise NotSimulated("CORS with credentials")
        override = self._cors["OriginOverride"]
        origins = self._cors["AccessControlAllowOrigins"]["Items"]
        if "*" not in origins and request.headers["origin"] not in origins:
            return
        yield "access-control-allow-origin", "*" if "*" in origins else request.headers["origin"], override
        if request.method == "OPTIONS":
            methods = self._cors["AccessControlAllowMethods"]["Items"]
            yield "access-control-allow-methods", ", ".join(methods), override


def _security(item: tuple[str, Json]) -> tuple[str, str, bool]:
    kind, row = item
    match kind:
        case "ContentTypeOptions":
            return "x-content-type-options", "nosniff", row["Override"]
        case "StrictTransportSecurity":
            also = "; includeSubDomains" if row["IncludeSubdomains"] else ""
            value = f"max-age={row['AccessControlMaxAgeSec']}{also}"
            return "strict-transport-security", value, row["Override"]
        case "ContentSecurityPolicy":
            return "content-security-policy", row["ContentSecurityPolicy"], row["Override"]
    raise NotSimulated(kind)
