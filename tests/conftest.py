"""Settings of the whole suite, and how it is divided among processes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("support.aws_emulation.fixture",)

# A busy machine must not fail a property: no test judges time, so no example has a deadline.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

SHARED_AWS = "tests/aws/"


class ByFile(LoadScopeScheduling):
    """Gives whole files to the processes of `pytest -n`, so that fixtures of a module are set up once.

    The tests that share the emulated AWS run in one process. What has most tests goes first, so they start
    early.
    """

    def _split_scope(self, nodeid: str) -> str:
        return SHARED_AWS if nodeid.startswith(SHARED_AWS) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)
