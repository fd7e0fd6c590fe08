"""The id of a request: the client's or the proxy's, or a new one. It is in the log and in `X-Request-Id`."""

from __future__ import annotations

import re
import secrets
from itertools import count

HEADER = "x-request-id"

_SAFE = re.compile(r"[A-Za-z0-9._~-]{1,128}")
"""What goes into a log line and a header as it is."""

_PROCESS = secrets.token_hex(6)
_numbers = count(1)


def request_id_of(value: str | None) -> str:
    """The id in the value of the header, if that is safe to repeat; else one that no other request has."""
    if value is not None and _SAFE.fullmatch(value):
        return value
    return f"{_PROCESS}-{next(_numbers):x}"
