"""AWS room: whose keys sign a request. Lambda gives them in the environment, or, to a function
restored by SnapStart, from an address on the loopback that the environment names.
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

_EARLY = timedelta(minutes=5)
_SECONDS = 2.0


class Credentials(Struct, frozen=True):
    """``token`` is None for keys of a user. ``expires_at`` is None where nobody says."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return redacted_repr(self, ("secret_access_key", "token"))


GetCredentials = Callable[[], Credentials]


class Fixed(Struct, frozen=True):
    """Gives credentials that are the same for as long as the process lives."""

    credentials: Credentials

    def __call__(self) -> Credentials:
        return self.credentials


def credentials_from(environment: Mapping[str, str] = os.environ) -> GetCredentials:
    """A function that gives credentials that are valid now. Raises InvalidSettings where the
    environment names neither keys nor an address; the function raises Unavailable."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Fixed(Credentials(key, secret, environment.get("AWS_SESSION_TOKEN") or None))
    address = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if address:
        return _Container(address, environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
    problem = Problem("AWS_ACCESS_KEY_ID", "credentials in the environment", "none")
    raise InvalidSettings([problem])


class _Container:
    """Credentials from the loopback, asked for again shortly before they end."""

    def __init__(self, address: str, authorization: str) -> None:
        from urllib.parse import urlsplit  # noqa: PLC0415 - with ipaddress, 1 ms of a cold start

        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
            raise InvalidSettings([Problem(name, "an http address of this machine", repr(address))])
        self._host, self._target = parts.netloc, address.partition(parts.netloc)[2] or "/"
        self._authorization = authorization
        self._current: Credentials | None = None

    def __call__(self) -> Credentials:
        current, now = self._current, datetime.now(UTC)
        if current is None or (current.expires_at is not None and current.expires_at - _EARLY <= now):
            current = self._current = self._fetch()
        return current

    def _fetch(self) -> Credentials:
        from .endpoints import Endpoint  # noqa: PLC0415 - only a function under SnapStart comes here
        from .wire import Connection  # noqa: PLC0415 - as above

        headers = {"host": self._host, "authorization": self._authorization}
        try:
            with closing(Connection(Endpoint("http", self._host), None, seconds=_SECONDS)) as connection:
                return _parse(json.loads(connection.ask("GET", self._target, headers, b"").read()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"no credentials from the environment's address: {type(error).__name__}"
            ) from None


def _parse(answer: dict[str, Any]) -> Credentials:
    return Credentials(
        answer["AccessKeyId"],
        answer["SecretAccessKey"],
        answer["Token"],
        datetime.fromisoformat(answer["Expiration"]),
    )
