"""Least privilege, both ways: every grant of every role is needed, and no call lacks one.

For each role there are errands that together need all its grants. The journal of decisions tells
which errand uses which grant; then each grant is taken away alone, and an errand that uses it
must fail.
"""

from __future__ import annotations

import pytest
from errands import ERRANDS
from privilege import unneeded_grants

from support.aws_emulation.deployed import Deployed


@pytest.mark.parametrize("role", ERRANDS)
def test_each_grant_is_needed(system: Deployed, role: str) -> None:
    assert unneeded_grants(system, role, ERRANDS[role]) == set()
