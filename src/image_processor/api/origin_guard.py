"""HTTP edge of one machine: the middleware turns away who must not come in.

The server has no login, so a browser must not become somebody else's hand: names that are not
ours (DNS rebinding) and writes from other sites are refused.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Scope

from image_processor.config.settings import Settings

from .problems import of_status, problem
from .security_headers import Edge

MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request that is not an upload."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Guard(Edge):
    """The middleware around the application of one machine."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._hosts = frozenset(
            name.lower().strip("[]") for name in (*_LOOPBACK, settings.host, *settings.allowed_hosts)
        )
        # Bound to every address, each address of the machine is our name. Only names can be
        # rebound by DNS, addresses cannot.
        self._any_address = _is_unspecified(settings.host)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return problem(
                421,
                "unknown-host",
                f"expected a name of this server for Host, got {headers.get('host')!r}",
                fix="Add the name to IMAGE_PROCESSOR_ALLOWED_HOSTS if it is one.",
            )
        if scope["method"] not in _SAFE_METHODS and _is_foreign(headers):
            return problem(403, "cross-site", "expected this server's own pages for Origin, got another site")
        if scope["method"] == "PUT":
            return None
        if "transfer-encoding" in headers:
            return of_status(411, "expected a Content-Length, got a body of unknown length")
        if int(headers.get("content-length", "0")) > MAX_BODY_BYTES:
            return of_status(413, f"expected at most {MAX_BODY_BYTES} bytes for the body, got more")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site asks. Programs that are no browsers say nothing.

    `same-site` is foreign too: every port of localhost is the same site.
    """
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # no browser writes such an origin
        return True


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    return _is_address(host.strip("[]")) and ipaddress.ip_address(host.strip("[]")).is_unspecified
