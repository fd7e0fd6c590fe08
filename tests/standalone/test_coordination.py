"""The coordinator of several servers: one at a time, and none that could have lost its lease."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.standalone.coordination import LEASE_SECONDS, Coordination, Coordinator
from support.waiting import wait_for


class Roles:
    """Leases of one role by a clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_down = False
        self.owner, self.until = "", datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def hold(self, role: str, *, owner: str, now: datetime, duration: timedelta) -> str:
        del role
        if self.is_down:
            raise Unavailable("the table does not respond")
        if self.owner in {"", owner} or self.until <= now:
            self.owner, self.until = owner, now + duration
        return self.owner

    def leave(self, role: str, owner: str) -> None:
        del role
        if self.is_down:
            raise Unavailable("the table does not respond")
        if self.owner == owner:
            self.owner = ""

    def holder(self, role: str, now: datetime) -> str | None:
        del role
        return self.owner if self.until > now else None


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
    for seconds, owns in ((LEASE_SECONDS - 0.1, False), (LEASE_SECONDS, True)):
        roles.seconds = seconds
        b.renew()
        assert b.is_own() is owns
        assert a.is_own() is not owns
    a.renew()
    assert a.state() == Coordination("a", "b", is_own=False)


def test_a_server_stops_as_soon_as_it_sees_that_another_one_has_the_role() -> None:
    """The other one's clock is fast: the lease has ended for it, and not yet for the one that had it."""
    roles = Roles()
    (a,) = servers(roles, "a")
    fast = Coordinator(roles, "b", lambda: 0.0, lambda: roles.now() + timedelta(seconds=LEASE_SECONDS))
    a.renew()
    fast.renew()
    assert fast.is_own()
    a.renew()
    assert a.state() == Coordination("a", "b", is_own=False)


def test_a_lease_that_has_ended_meanwhile_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    """Another server had the role when it was asked for, and none when the table was asked who has it."""

    class Ending(Roles):
        def hold(self, *_: Any, **__: Any) -> str:
            return ""

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
