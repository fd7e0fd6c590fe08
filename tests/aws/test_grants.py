"""Least privilege, both ways: every grant of every role is needed, and no call lacks one.

For each role there are scenarios that together need all its grants. The journal of decisions tells
which scenario uses which grant; then each grant is taken away alone, and an scenario that uses it
must fail.
"""

from __future__ import annotations

import pytest
from privilege import unneeded_grants
from scenarios import SCENARIOS

from support.aws_emulation.deployed import Deployed


@pytest.mark.parametrize("role", SCENARIOS)
def test_each_grant_is_needed(system: Deployed, role: str) -> None:
    assert unneeded_grants(system, role, SCENARIOS[role]) == set()
