"""Settings of the whole suite, and how it is divided among processes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("support.aws_emulation.fixture",)

# A busy machine must not fail a property: no test judges time, so no example has a deadline.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What collection makes lives until the end. To look through it again and again takes time and finds
    nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


SHARED_AWS = "tests/aws/"
FIRST = (
    SHARED_AWS,
    *("tests/browser/", "tests/deployment/", "tests/tutorials/", "tests/simulation/", "tests/website/"),
    *("tests/clients/", "tests/fuzzing/", "tests/end_to_end/", "tests/studio/"),
)
"""What has few tests that take long each. Begun last, a file of them would keep one process alone."""


class ByFile(LoadScopeScheduling):
    """Gives whole files to the processes of `pytest -n`, so that fixtures of a module are set up once.

    The tests that share the emulated AWS run in one process and take longest, so they go first. Then go the
    other directories of FIRST, then what has most tests.
    """

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=_rank), last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        return SHARED_AWS if nodeid.startswith(SHARED_AWS) else nodeid.partition("::")[0]


def _rank(scope: str) -> int:
    return next((rank for rank, folder in enumerate(FIRST) if scope.startswith(folder)), len(FIRST))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)
