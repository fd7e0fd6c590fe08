"""What both clients need around httpx: configuration, requests, responses, and which errors are retried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
from msgspec import Struct

from .errors import ApiError, ConnectionFailed, ImageProcessorError, error_from
from .flows import Call, Reply

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
USER_AGENT = "image-processor-client"


class Server(Struct, frozen=True):
    """Where the API is, and what each request to it carries."""

    base_url: str
    headers: Mapping[str, str]
    auth: httpx.Auth | None = None

    @classmethod
    def of(
        cls, base_url: str, token: str | None, headers: Mapping[str, str] | None, auth: httpx.Auth | None
    ) -> Server:
        """Raises ValueError for an address that is no URL of HTTP."""
        if not _ABSOLUTE.match(base_url):
            raise ValueError(f"expected the API's address such as http://127.0.0.1:8000, got {base_url!r}")
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        return cls(base_url.rstrip("/"), {"user-agent": USER_AGENT, **bearer, **(headers or {})}, auth)

    def __repr__(self) -> str:
        return f"Server({self.base_url!r})"

    def url(self, path: str) -> str:
        """The address of ``path``, which may be an address already."""
        return path if _ABSOLUTE.match(path) else self.base_url + path

    def options(self, call: Call) -> dict[str, Any]:
        """The options of httpx for a request, without its body. What is for the API is sent to nobody else:
        the form of a bucket brings its own authorisation."""
        if _ABSOLUTE.match(call.path):
            return {"headers": dict(call.headers), "auth": None}
        headers = {**self.headers, **call.headers}
        options: dict[str, Any] = {"headers": headers}
        if self.auth is not None:
            options["auth"] = self.auth
        if call.params:
            options["params"] = dict(call.params)
        if call.json is not None:
            options["json"] = call.json
        return options


def reply_of(call: Call, response: httpx.Response, attempt: int) -> Reply:
    """The reply, or the error that the response stands for. Raises ApiError."""
    status = response.status_code
    if 200 <= status < 300:
        return Reply(status, response.headers, response.content)
    if call.method == "DELETE" and status == 404 and attempt > 1:
        return Reply(204, {}, b"")  # an attempt before it has deleted it, and its response was lost
    raise error_from(status, response.headers, response.content)


def connection_failed(error: httpx.HTTPError, url: str) -> ConnectionFailed:
    return ConnectionFailed(f"no response from {url.partition('?')[0]}: {str(error) or type(error).__name__}")


def should_retry(error: Exception) -> bool | float:
    """Whether a call is tried again, or after how many seconds at least, as stamina asks. Every call of the
    clients has the same effect when it is sent twice."""
    if not isinstance(error, ImageProcessorError) or not error.retryable:
        return False
    if isinstance(error, ApiError) and error.retry_after is not None:
        return error.retry_after
    return True
