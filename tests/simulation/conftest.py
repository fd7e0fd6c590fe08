"""The fixture for tests that build a Simulator themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulation.system import simulated_threads


@pytest.fixture
def simulated() -> Iterator[None]:
    with simulated_threads():
        yield
