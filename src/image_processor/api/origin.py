"""The host names of a server of one machine, and the security headers of its responses. No web framework."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CACHED_HOSTS = 256
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@]+)(?::[0-9]*)?")
"""The value of a Host header: a name or an address, and a port (RFC 9110, 7.2)."""

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    # Records change, and an update of the web page must show at once.
    "cache-control": "no-cache",
}


class HostNames:
    """The names by which clients may address a server that listens on ``host``; ``allowed`` are more."""

    def __init__(self, host: str, allowed: Iterable[str]) -> None:
        self._names = frozenset(name.lower().strip("[]") for name in (*_LOOPBACK, host, *allowed))
        # Bound to every address, the server has each address of the machine as its name. DNS can
        # rebind names only, not addresses.
        self._any_address = _is_unspecified(host)
        self.has = lru_cache(_CACHED_HOSTS)(self._has)

    def _has(self, host: str) -> bool:
        """Whether the value of a Host header names the server."""
        match = _HOST.fullmatch(host)
        name = match[1].lower().strip("[]") if match else ""
        return name in self._names or (self._any_address and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    return _is_address(host.strip("[]")) and ipaddress.ip_address(host.strip("[]")).is_unspecified
