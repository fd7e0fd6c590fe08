"""Sessions of the web page: what a cookie stands for, and wrong tokens by address.

Both are in memory. A session ends with the server, when its token is removed, when somebody signs out, and
after SESSION_SECONDS; a signed cookie without a list on the server could not be ended early.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from image_processor.config.tokens import Token
from image_processor.domain.hashing import sha256_hex

COOKIE = "image_processor_session"
SESSION_SECONDS = 12 * 3600
MAX_FAILURES = 10
FAILURE_SECONDS = 60.0

_MAX_SESSIONS = 1000
_MAX_ADDRESSES = 4096
_MAX_COOKIES = 4
"""Cookies of the name that are looked up: a browser sends those of several paths, and so of other
servers on the host."""


class Session(Struct, frozen=True):
    """Who signed in, and until when (seconds since 1970). ``id`` is the hash of the cookie."""

    id: str
    token: Token
    expires: float


class Sessions:
    """The open sessions. ``tokens`` returns those that the server has. Used in the event loop only.

    What is stored is the hash of each cookie, so that the duration of a look-up reveals nothing about it.
    """

    def __init__(
        self, tokens: Callable[[], Collection[Token]], clock: Callable[[], float] = time.time
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, token: Token) -> tuple[str, Session]:
        """A new session: the value of its cookie, and what it stands for."""
        cookie = secrets.token_urlsafe(32)
        session = Session(sha256_hex(cookie.encode()), token, self._clock() + SESSION_SECONDS)
        self._sessions[session.id] = session
        if len(self._sessions) > _MAX_SESSIONS:
            self._close_one()
        return cookie, session

    def _close_one(self) -> None:
        """End the oldest session of the token that has most: nobody signs others out by signing in."""
        (token, _), *_ = Counter(session.token.digest for session in self._sessions.values()).most_common(1)
        oldest = next(session for session in self._sessions.values() if session.token.digest == token)
        del self._sessions[oldest.id]

    def find(self, cookies: Iterable[str]) -> Session | None:
        """The session of the first of these cookies that has one."""
        for cookie in list(cookies)[:_MAX_COOKIES]:
            session = self._sessions.get(sha256_hex(cookie.encode()))
            if session is not None and self.is_open(session):
                return session
        return None

    def is_open(self, session: Session) -> bool:
        """Whether it has not expired, and its token is still one of the server's."""
        is_known = session.id in self._sessions
        return is_known and session.expires > self._clock() and session.token in self._tokens()

    def close(self, cookies: Iterable[str]) -> None:
        """End the sessions of these cookies."""
        for cookie in list(cookies)[:_MAX_COOKIES]:
            self._sessions.pop(sha256_hex(cookie.encode()), None)


class WrongTokens:
    """How often each address has sent an unknown token: MAX_FAILURES in FAILURE_SECONDS are too many.

    Nobody can guess 256 bits, and a right token always counts. This only changes the response to further
    unknown ones, a 429, and writes one line to the log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_left(self, address: str) -> float:
        """How long further unknown tokens of the address are a 429; 0 if they are a 401."""
        count, until = self._failures.get(network_of(address), (0, 0.0))
        return max(0.0, until - self._clock()) if count >= MAX_FAILURES else 0.0

    def note(self, address: str) -> bool:
        """Count an unknown token; whether it was one too many."""
        network, now = network_of(address), self._clock()
        count, until = self._failures.pop(network, (0, 0.0))
        if until <= now:
            count, until = 0, now + FAILURE_SECONDS
        self._failures[network] = count + 1, until
        while len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return count + 1 == MAX_FAILURES


def network_of(address: str) -> str:
    """What counts as one client: the address, or the /64 of an IPv6 address, all of which one client has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
