"""Simulated threads for the package's own, in every test here that builds a world itself."""

from __future__ import annotations

import pytest

from simulation.works import installed


@pytest.fixture
def simulated():
    with installed():
        yield
