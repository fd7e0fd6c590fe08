"""AWS credentials of a Lambda function: from environment variables, or, for a function restored by
SnapStart, from the local HTTP endpoint that a variable names.

Our own because botocore's chain takes 100 ms of a cold start; the CLI uses botocore.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import InvalidSettings, Problem, Unavailable
from image_processor.domain.redaction import redacted_repr

from .endpoints import Endpoint

_REFRESH_BEFORE = timedelta(minutes=5)
_TIMEOUT_SECONDS = 2.0
_MAX_BYTES = 64 * 1024


class Credentials(Struct, frozen=True):
    """An access key. ``token`` is None for a user's long-term key, ``expires_at`` None if unknown."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return redacted_repr(self, ("secret_access_key", "token"))


GetCredentials = Callable[[], Credentials]


class StaticCredentials(Struct, frozen=True):
    """Credentials that never change."""

    credentials: Credentials

    def __call__(self) -> Credentials:
        return self.credentials


def credentials_from(environment: Mapping[str, str] = os.environ) -> GetCredentials:
    """A function that returns credentials valid now; it raises Unavailable. Raises InvalidSettings where
    the environment has neither a key nor an endpoint."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return StaticCredentials(Credentials(key, secret, environment.get("AWS_SESSION_TOKEN") or None))
    url = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if url:
        return _EndpointCredentials(url, environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
    problem = Problem("AWS_ACCESS_KEY_ID", "credentials in the environment", "none")
    raise InvalidSettings([problem])


class _EndpointCredentials:
    """Credentials from an HTTP endpoint of this machine, refreshed five minutes before they expire."""

    def __init__(self, url: str, authorization: str) -> None:
        from urllib.parse import urlsplit  # noqa: PLC0415 - with ipaddress, 1 ms of a cold start

        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
            raise InvalidSettings([Problem(name, "an http URL of this machine", repr(url))])
        self._host, self._target = parts.netloc, url.partition(parts.netloc)[2] or "/"
        self._authorization = authorization
        self._current: Credentials | None = None

    def __call__(self) -> Credentials:
        current, now = self._current, datetime.now(UTC)
        if current is None or (
            current.expires_at is not None and current.expires_at - _REFRESH_BEFORE <= now
        ):
            current = self._current = self._fetch()
        return current

    def _fetch(self) -> Credentials:
        from .connection import Connection, Timeouts  # noqa: PLC0415 - http.client: 12 ms, only under SnapStart

        timeouts = Timeouts(silence=_TIMEOUT_SECONDS, exchange=_TIMEOUT_SECONDS)
        headers = {"host": self._host, "authorization": self._authorization}
        try:
            with closing(Connection(Endpoint("http", self._host), None, timeouts)) as connection:
                response = connection.request("GET", self._target, headers, b"")
                return _parse(json.loads(response.read(_MAX_BYTES)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"no credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI: {type(error).__name__}"
            ) from None


def _parse(fields: dict[str, Any]) -> Credentials:
    return Credentials(
        fields["AccessKeyId"],
        fields["SecretAccessKey"],
        fields["Token"],
        datetime.fromisoformat(fields["Expiration"]),
    )
