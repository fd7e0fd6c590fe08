"""Settings of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ("support.aws_emulation.fixture",)

# A busy machine must not fail a property: no test judges time, so no example has a deadline.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, on one of several workers, what shares an emulated AWS or the build folder."""
    for item in items:
        if item.nodeid.startswith(("tests/aws/", "tests/deployment/")):
            item.add_marker(pytest.mark.xdist_group("deployed"))
