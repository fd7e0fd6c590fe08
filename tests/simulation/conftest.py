"""The fixture for tests that build a Simulator themselves."""

from __future__ import annotations

import pytest

from simulation.system import simulated_threads


@pytest.fixture
def simulated():
    with simulated_threads():
        yield
