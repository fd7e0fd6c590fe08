"""Which of several servers over one table searches for lost work: the coordinator.

Each server tries to lease the role in the table; the one that has it renews the lease. When it stops or dies,
the lease ends and another server takes over. All of them serve, render and process uploads, which leases on
their keys make safe.

Clocks of the time of day may be wrong, so none is compared: a server takes over when it has seen the same
version of another one's lease for LEASE_SECONDS of its own uptime, as Amazon's DynamoDB Lock Client does.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.ports import RoleLease, RoleLeases

from .periodic import Periodic

ROLE = "coordinator"

LEASE_SECONDS = 15.0
"""How long a lease lasts, and a coordinator that died is waited for."""

RENEW_SECONDS = 5.0
"""How often each server asks for the role, or renews it."""

_log = logging.getLogger(__name__)


class Coordination(Struct, frozen=True):
    """Who coordinates. ``coordinator`` is the name of a server, None as long as it is not known."""

    server: str
    coordinator: str | None
    is_own: bool


ALONE = Coordination("", None, is_own=True)
"""Of a server whose catalog no other one uses."""


def uptime() -> float:
    """Seconds by a clock that nobody sets, and that goes on while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class _Seen(Struct, frozen=True):
    """Another server's lease, and since when it is known to be the same."""

    lease: RoleLease
    since: float


class Coordinator:
    """Tries to be the coordinator, under the name ``server``, from `start` to `stop`.

    `is_own` becomes false when the lease cannot be renewed in time, whatever the reason, and not only when
    another server has the role.
    """

    def __init__(
        self,
        roles: RoleLeases,
        server: str,
        clock: Callable[[], float] = uptime,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._roles = roles
        self._server = server
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._holder: str | None = None
        self._until = 0.0
        self._seen: _Seen | None = None
        self._thread = Periodic("the lease of the coordinator", RENEW_SECONDS, self.renew)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leave the role, so that another server takes it over at once."""
        self._thread.stop()
        with self._lock:
            was_own, self._until = self._clock() < self._until, 0.0
        if was_own:
            try:
                self._roles.leave(ROLE, self._server)
            except ImageProcessorError as error:
                _log.warning("the role of the coordinator ends in %g s: %s", LEASE_SECONDS, error)

    def is_own(self) -> bool:
        """Whether this server is the coordinator now."""
        with self._lock:
            return self._clock() < self._until

    def state(self) -> Coordination:
        is_own = self.is_own()
        with self._lock:
            holder = self._holder if is_own or self._holder != self._server else None
        return Coordination(self._server, holder, is_own)

    def renew(self) -> None:
        """Ask for the role, or extend it. Raises Unavailable."""
        # Others count from a later moment: the request has not left yet.
        until = self._clock() + LEASE_SECONDS
        lease = self._roles.hold(
            ROLE,
            owner=self._server,
            now=self._now(),
            duration=timedelta(seconds=LEASE_SECONDS),
            ended=self._ended(),
        )
        holder = lease.owner if lease is not None else None
        self._seen = self._see(lease)
        with self._lock:
            before, self._holder = self._holder, holder
            # The table's word counts: another server may have taken a lease that could not be renewed.
            self._until = until if holder == self._server else 0.0
        if holder not in {None, before}:
            who = "this server" if holder == self._server else holder
            _log.info("%s searches for lost work (coordinator of the servers over this table)", who)

    def _ended(self) -> RoleLease | None:
        """The lease of another server that has not been renewed for as long as it lasts."""
        seen = self._seen
        return seen.lease if seen is not None and self._clock() - seen.since >= LEASE_SECONDS else None

    def _see(self, lease: RoleLease | None) -> _Seen | None:
        """What is known of another server's lease after it was read."""
        if lease is None or lease.owner == self._server:
            return None
        if self._seen is not None and self._seen.lease == lease:
            return self._seen
        return _Seen(lease, self._clock())
