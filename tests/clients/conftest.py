"""A running server for the clients' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client_kinds import KINDS, connected
from client_site import Site, site_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, site: Site) -> Iterator[Any]:
    """The Python client of each kind."""
    yield from connected(request.param, site.address, token=site.token)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses, with characters that URLs escape."""
    return f"{request.node.name}/ü+%20 ?#.jpg"
