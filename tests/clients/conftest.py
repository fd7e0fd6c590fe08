"""A running server for the clients' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_site import Site, site_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("site")) as site:
        yield site
