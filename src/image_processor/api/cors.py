"""Which other sites' pages may use the REST API of one machine: CORS, by Starlette's middleware.

Such a page brings a token. The cookie of the studio is never for it: SameSite keeps browsers from sending it,
and `access_guard` does not read it. Renditions have a setting of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from . import tus

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    *(
        "authorization",
        "content-type",
        "if-match",
        "if-none-match",
        "prefer",
        "last-event-id",
        "idempotency-key",
    ),
    *("x-http-method-override", *tus.REQUEST_HEADERS),
)
RESPONSE_HEADERS = (
    "etag",
    "location",
    "link",
    "retry-after",
    "x-request-id",
    "idempotent-replayed",
    *tus.RESPONSE_HEADERS,
)
MAX_AGE_SECONDS = 3600


class ApiCors:
    """Adds CORS headers to responses of the API, and answers preflights, for pages of ``origins``.
    ``is_of_rendition`` says whether a path is that of a rendition."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], is_of_rendition: Callable[[str], bool]) -> None:
        self._app = app
        self._is_of_rendition = is_of_rendition
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            max_age=MAX_AGE_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_rendition = scope["type"] == "http" and self._is_of_rendition(scope["path"])
        await (self._app if of_rendition else self._cors)(scope, receive, send)
