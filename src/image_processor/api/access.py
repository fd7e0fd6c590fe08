"""Who may call which route: one literal table, and what enforces and describes it is made of it.

`access_guard` asks the table before a route runs. A route without a row is for admins, and fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from re import Pattern
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from msgspec import Struct
from starlette.routing import BaseRoute
from starlette.types import Scope as AsgiScope

from image_processor.config.tokens import Scope

from .connections import EVENTS_PATH, HEALTH_PATH
from .openapi import extend
from .problems import TOO_MANY
from .route_patterns import route_patterns
from .sessions import COOKIE


class Access(StrEnum):
    """What a route asks of a request."""

    PUBLIC = "public"
    """Nothing, and it does not look at tokens: renditions and the files of the page."""

    OPTIONAL = "optional"
    """Nothing, but it says less without a token."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def scope(self) -> Scope | None:
        """The scope that a token must have; None if none is needed."""
        return Scope(self.value) if self in _SCOPED else None


_SCOPED = frozenset({Access.READ, Access.WRITE, Access.ADMIN})

# HEAD is as GET. Reading is what changes nothing that others see; `write` is what stores, deletes, or opens
# an image to people without a token.
ACCESS: tuple[tuple[str, str, Access], ...] = (
    ("GET", "/", Access.PUBLIC),
    ("GET", "/docs", Access.PUBLIC),  # the page; the description that it shows is below
    ("GET", "/static", Access.PUBLIC),
    ("GET", "/renditions/{key}", Access.PUBLIC),  # presets, else the signature decides
    ("OPTIONS", "/renditions/{key}", Access.PUBLIC),
    ("GET", "/{key}", Access.PUBLIC),  # URLs of dialects, where they are enabled: as /renditions
    ("GET", HEALTH_PATH, Access.OPTIONAL),
    ("GET", "/session", Access.OPTIONAL),
    ("POST", "/session", Access.PUBLIC),  # the route verifies the token in the body
    ("DELETE", "/session", Access.PUBLIC),  # closes the session of the cookie, if there is one
    ("GET", "/openapi.json", Access.READ),
    ("GET", "/recipe", Access.READ),
    ("GET", "/recipe/source", Access.READ),
    ("POST", "/recipe/check", Access.READ),  # says whether the text is a recipe
    ("POST", "/recipe/plan", Access.WRITE),  # reads the whole library
    ("POST", "/recipe", Access.ADMIN),
    ("GET", "/settings", Access.ADMIN),
    ("GET", "/metrics", Access.READ),
    ("GET", "/activity", Access.READ),
    ("GET", "/parameters", Access.READ),
    ("GET", EVENTS_PATH, Access.READ),
    ("GET", "/images", Access.READ),
    ("GET", "/images.ndjson", Access.READ),
    ("GET", "/folders", Access.READ),
    ("GET", "/images/{id}", Access.READ),
    ("GET", "/images/{id}/original", Access.READ),
    ("POST", "/archives", Access.READ),  # a download of many files
    ("GET", "/images/{id}/similar", Access.READ),
    ("POST", "/images/{id}/preview", Access.READ),  # renders, and returns bytes to nobody else
    ("POST", "/images", Access.WRITE),
    ("GET", "/images/{id}/markup", Access.WRITE),  # signs URLs, which outlive a reader's token
    ("GET", "/images/{id}/urls", Access.WRITE),  # as above
    ("POST", "/images/{id}/renditions", Access.WRITE),  # as above
    ("POST", "/images/{id}/reprocess", Access.WRITE),
    ("PUT", "/images/{id}/focus", Access.WRITE),
    ("DELETE", "/images/{id}/focus", Access.WRITE),
    ("DELETE", "/images/{id}", Access.WRITE),
    ("PUT", "/uploads/{key}", Access.WRITE),
    ("POST", "/uploads", Access.OPTIONAL),  # the route wants `write`, or a signed form
    ("POST", "/uploads/from-url", Access.WRITE),
    ("OPTIONS", "/resumable", Access.PUBLIC),  # the protocol and the largest size
    ("POST", "/resumable", Access.WRITE),
    ("GET", "/resumable/{upload_id}", Access.WRITE),  # HEAD is how a writer continues
    ("PATCH", "/resumable/{upload_id}", Access.WRITE),
    ("DELETE", "/resumable/{upload_id}", Access.WRITE),
    ("POST", "/samples", Access.WRITE),
)

_RENDITIONS = frozenset({"/renditions/{key}", "/{key}"})

_ROWS: Mapping[tuple[str, str], Access] = MappingProxyType(
    {(method, path): to for method, path, to in ACCESS}
)

_SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `image-processor token create`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The page's cookie, which `POST /session` sets.",
    },
}


_AWS_SECURITY_SCHEMES = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4 of IAM credentials (AWS_IAM).",
    },
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The API key (API_KEY)."},
    "pool": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the Cognito user pool (COGNITO).",
    },
}


class _Route(Struct, frozen=True):
    path: str
    """As `ACCESS` writes it."""

    pattern: Pattern[str]
    access: Mapping[str, Access]
    """By method."""


class RouteAccess:
    """What each route of an application asks of a request, in the order in which they are tried."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = tuple(_routes(routes))

    def of(self, scope: AsgiScope) -> Access:
        """What a request needs. What no route answers is public: its response is a 404 or a 405."""
        path, method = scope["path"], scope["method"]
        for route in self._routes:
            if method in route.access and route.pattern.match(path):
                return route.access[method]
        return Access.PUBLIC

    def is_of_rendition(self, path: str) -> bool:
        """Whether ``path`` is that of a rendition, also by a URL of a dialect."""
        found = next((route.path for route in self._routes if route.pattern.match(path)), None)
        return found in _RENDITIONS


def _routes(routes: Sequence[BaseRoute]) -> Iterator[_Route]:
    for route in route_patterns(routes):
        by_method = {method: access_of(method, route.path) for method in route.methods}
        yield _Route(route.path, route.pattern, by_method)


def access_of(method: str, path: str) -> Access:
    """What the table says of a route, and the most that there is if it says nothing."""
    return _ROWS.get(("GET" if method == "HEAD" else method, path), Access.ADMIN)


def describe(app: FastAPI, *, is_required: bool) -> None:
    """Add to the description of ``app`` what each route needs, and the errors that follow. Unless
    ``is_required``, every route can be used without a token too."""

    def add(schema: dict[str, Any]) -> None:
        schema["components"]["securitySchemes"] = _SECURITY_SCHEMES
        for path, method, operation in _operations(schema):
            _describe(operation, access_of(method.upper(), path), is_required=is_required)

    extend(app, add)


def describe_aws(app: FastAPI) -> None:
    """Add to the description of ``app`` how API Gateway lets callers in: by one of these, which the
    template's ApiAuthorization chooses."""

    def add(schema: dict[str, Any]) -> None:
        schema["components"]["securitySchemes"] = _AWS_SECURITY_SCHEMES
        schema["security"] = [{name: []} for name in _AWS_SECURITY_SCHEMES]

    extend(app, add)


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _describe(operation: dict[str, Any], access: Access, *, is_required: bool) -> None:
    if access is Access.PUBLIC:
        operation["security"] = []
        return
    scopes = [access.scope] if access.scope else []
    without: list[dict[str, list[str]]] = [] if is_required and access.scope else [{}]
    operation["security"] = [{"token": scopes}, {"session": scopes}, *without]
    descriptions = _ERRORS if access.scope else {status: _ERRORS[status] for status in (401, 429)}
    for status, description in descriptions.items():
        problem = {"$ref": "#/components/schemas/ProblemModel"}
        content = {"application/problem+json": {"schema": problem}}
        operation["responses"].setdefault(str(status), {"description": description, "content": content})


_ERRORS = {
    401: "The request has no token, or an unknown one.",
    403: "The token's scope does not allow it, or a page of another site sent the request.",
    429: TOO_MANY,
}
