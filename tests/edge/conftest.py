"""The simulated edge, and the JavaScript engines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Provides the template as it is deployed.
sys.path.append(str(Path(__file__).parents[1] / "deployment"))

from edge_function import Host, Njs, Node, found
from edge_stack import Edge


@pytest.fixture(scope="session")
def node() -> Iterator[Host]:
    program = found("node")
    if program is None:
        missing = "node is not installed: THE EDGE WAS NOT TESTED (apt-get install nodejs)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with Node(program) as host:
        yield host


@pytest.fixture(scope="session")
def njs() -> Host:
    program = found("njs")
    if program is None:
        pytest.skip("njs is not installed: the CloudFront function ran in node alone (apt-get install njs)")
    return Njs(program)


@pytest.fixture(params=["node", "njs"])
def host(request: pytest.FixtureRequest) -> Host:
    """Each JavaScript engine for the CloudFront function."""
    chosen: Host = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def edge(node: Host) -> Edge:
    return Edge(node)
