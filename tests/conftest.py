"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ("support.aws_emulation.fixture",)

# A busy machine must not fail a property: no test judges time, so no example has a deadline.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
