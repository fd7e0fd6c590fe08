"""The coordinator of several servers: one at a time, and none that could have lost its lease."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import RoleLease
from image_processor.standalone.coordination import (
    LEASE_SECONDS,
    RENEW_SECONDS,
    Coordination,
    Coordinator,
    uptime,
)
from support.waiting import wait_for


class Roles:
    """A table with the lease of one role, and a clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_down = False
        self.lease: RoleLease | None = None
        self._versions = count()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def hold(
        self, role: str, *, owner: str, now: datetime, duration: timedelta, ended: RoleLease | None = None
    ) -> RoleLease | None:
        del role, now, duration
        if self.is_down:
            raise Unavailable("the table does not respond")
        if self.lease in {None, ended} or self.lease.owner == owner:
            self.lease = RoleLease(owner, str(next(self._versions)))
        return self.lease

    def leave(self, role: str, owner: str) -> None:
        del role
        if self.is_down:
            raise Unavailable("the table does not respond")
        if self.lease is not None and self.lease.owner == owner:
            self.lease = None

    def holder(self, role: str, now: datetime) -> str | None:
        del role, now
        return self.lease.owner if self.lease is not None else None


def servers(roles: Roles, *names: str) -> list[Coordinator]:
    return [Coordinator(roles, name, lambda: roles.seconds, roles.now) for name in names]


def test_one_server_coordinates_and_all_know_which_one() -> None:
    a, b = servers(Roles(), "a", "b")
    assert a.state() == Coordination("a", None, is_own=False)
    for server in (a, b):
        server.renew()
    assert a.state() == Coordination("a", "a", is_own=True)
    assert b.state() == Coordination("b", "a", is_own=False)


def test_another_server_takes_over_when_the_lease_has_ended_and_not_before() -> None:
    roles = Roles()
    a, b = servers(roles, "a", "b")
    a.renew()
    b.renew()
    for seconds, owns in ((LEASE_SECONDS - 0.1, False), (LEASE_SECONDS, True)):
        roles.seconds = seconds
        b.renew()
        assert b.is_own() is owns
        assert a.is_own() is not owns
    a.renew()
    assert a.state() == Coordination("a", "b", is_own=False)


def test_a_lease_that_is_renewed_does_not_end() -> None:
    roles = Roles()
    a, b = servers(roles, "a", "b")
    for _ in range(10):
        a.renew()
        b.renew()
        assert (a.is_own(), b.is_own()) == (True, False)
        roles.seconds += LEASE_SECONDS - 1


def test_a_server_stops_as_soon_as_it_sees_that_another_one_has_the_role() -> None:
    """Somebody has taken the role from it, whatever its clock says."""
    roles = Roles()
    (a,) = servers(roles, "a")
    a.renew()
    roles.lease = RoleLease("b", "its own")
    a.renew()
    assert a.state() == Coordination("a", "b", is_own=False)


def test_of_two_servers_that_wait_one_takes_over() -> None:
    roles = Roles()
    a, b, c = servers(roles, "a", "b", "c")
    for server in (a, b, c):
        server.renew()
    roles.seconds = LEASE_SECONDS
    for server in (b, c, b):
        server.renew()
    assert [server.is_own() for server in (a, b, c)] == [False, True, False]
    assert c.state().coordinator == "b"


YEAR = 365.0 * 24 * 3600


class _Server:
    """A server of the simulation, with clocks of its own: one that tells any time, and its uptime."""

    def __init__(self, roles: Roles, name: str, random: Random) -> None:
        self.random = random
        self.booted = roles.seconds - random.uniform(0, YEAR)
        self.error = 0.0
        self.coordinator = Coordinator(roles, name, lambda: roles.seconds - self.booted, self.now)
        self.roles = roles
        self.stopped_until = 0.0

    def now(self) -> datetime:
        if self.random.random() < 0.1:
            self.error = self.random.uniform(-YEAR, YEAR)
        return datetime.fromtimestamp(self.roles.seconds + YEAR + self.error, UTC)

    def renew(self) -> None:
        with suppress(Unavailable):
            self.coordinator.renew()


@pytest.mark.parametrize("seed", range(40))
def test_wrong_clocks_neither_give_the_role_to_two_servers_nor_keep_it_from_all(seed: int) -> None:
    """Servers are killed, stopped for a while and started, clocks jump by a year, and the table is away."""
    random, roles = Random(seed), Roles()
    running = [_Server(roles, f"first {number}", random) for number in range(3)]
    due = {id(server): random.uniform(0, RENEW_SECONDS) for server in running}
    without, is_calm_since = 0.0, 0.0
    longest_without = LEASE_SECONDS + 2 * RENEW_SECONDS
    for step in range(4000):
        roles.seconds += 0.25
        if random.random() < 0.01 and step < 3600:
            is_calm_since = roles.seconds
            victim = running.pop(random.randrange(len(running)))
            if random.random() < 0.5:  # stopped with its memory, and continued after a while
                victim.stopped_until = roles.seconds + random.uniform(0, 3 * LEASE_SECONDS)
                running.append(victim)
            else:
                running.append(_Server(roles, f"started at {step}", random))
            due.setdefault(id(running[-1]), roles.seconds)
        if random.random() < 0.005 or step == 3600:
            roles.is_down, is_calm_since = not roles.is_down and step < 3600, roles.seconds
        for server in running:
            if server.stopped_until <= roles.seconds and due[id(server)] <= roles.seconds:
                due[id(server)] = roles.seconds + RENEW_SECONDS
                server.renew()
        owners = [server for server in running if server.coordinator.is_own()]
        assert len(owners) <= 1, f"two servers at {roles.seconds} s"
        without = 0.0 if owners or roles.is_down else without + 0.25
        if roles.seconds - is_calm_since > 3 * LEASE_SECONDS + longest_without:
            assert without <= longest_without, f"no server at {roles.seconds} s"
    assert any(server.coordinator.is_own() for server in running)


def test_a_lease_that_has_ended_meanwhile_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    """Another server had the role when it was asked for, and none when the table was asked who has it."""

    class Ending(Roles):
        def hold(self, *_: Any, **__: Any) -> RoleLease | None:
            return None

    caplog.set_level("INFO")
    (a,) = servers(Ending(), "a")
    a.renew()
    assert a.state() == Coordination("a", None, is_own=False)
    assert "searches for lost work" not in caplog.text


def test_a_server_that_cannot_renew_stops_when_its_lease_may_have_ended() -> None:
    roles = Roles()
    (a,) = servers(roles, "a")
    a.renew()
    roles.is_down = True
    with pytest.raises(Unavailable):
        a.renew()
    assert a.is_own()
    roles.seconds = LEASE_SECONDS
    assert a.state() == Coordination("a", None, is_own=False)


def test_a_server_that_stops_leaves_the_role_at_once() -> None:
    roles = Roles()
    a, b = servers(roles, "a", "b")
    a.start()
    wait_for(a.is_own, "the role")
    a.stop()
    assert not a.is_own()
    b.renew()
    assert b.is_own()


def test_a_server_that_cannot_leave_says_how_long_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    roles = Roles()
    (a,) = servers(roles, "a")
    a.start()
    wait_for(a.is_own, "the role")
    roles.is_down = True
    a.stop()
    assert f"ends in {LEASE_SECONDS:g} s" in caplog.text


def test_the_uptime_goes_on() -> None:
    before = uptime()
    assert uptime() >= before > 0
