"""Settings of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ("support.aws_emulation.fixture",)

# A busy machine must not fail a property: no test judges time, so no example has a deadline.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the deployed system together: they share one emulated AWS."""
    for item in items:
        if "tests/aws/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("aws"))
