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

SPARE = {
    "Deliver": {"dynamodb:DeleteItem": "only where the original goes between two looks of one request"},
}
"""Grants that no errand needs, and why they are there all the same."""


@pytest.mark.parametrize("role", ERRANDS)
def test_each_grant_is_needed(system: Deployed, role: str) -> None:
    assert unneeded_grants(system, role, ERRANDS[role]) == set(SPARE.get(role, ()))
