"""The fixture `aws`: one emulated AWS for all tests of a session (of a worker's, where several run)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import EmulatedAws


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    """Skips where there is no venv for it, except in CI."""
    from .server import EmulatedAws, NotInstalled  # noqa: PLC0415  # boto3 takes its time, and few tests need it

    try:
        emulated = EmulatedAws(tmp_path_factory.mktemp("aws"))
    except NotInstalled as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(reason))
    with emulated:
        yield emulated
