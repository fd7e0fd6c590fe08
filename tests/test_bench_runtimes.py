"""The cold starts' runtimes: an optimised Python, Lambda's Node, and nothing missing in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import node_runtime, python_runtime
from benchmarks.python_runtime import find, inside, optimised

PLAIN = {"version": "3.13.0", "prefix": "/opt/python", "arguments": "'--enable-shared'"}
QUICK = {**PLAIN, "arguments": "'--enable-shared' '--enable-optimizations'"}


@pytest.mark.parametrize(
    ("built", "expected"),
    [(PLAIN, False), (QUICK, True), ({**PLAIN, "prefix": "/usr"}, True), ({**PLAIN, "arguments": ""}, False)],
)
def test_an_optimised_python_is_known_by_its_options_or_as_a_distributions(
    built: dict[str, str], *, expected: bool
) -> None:
    assert optimised(built) is expected


@pytest.mark.parametrize(
    ("machine", "loader"),
    [("x86_64", "ld-linux-x86-64.so.2"), ("aarch64", "ld-linux-aarch64.so.1")],
)
def test_debians_python_runs_in_its_own_system(machine: str, loader: str) -> None:
    python = inside(Path("system"), machine)
    libraries = f"system/usr/lib/{machine}-linux-gnu"
    assert python.command == (
        f"{libraries}/{loader}",
        "--library-path",
        libraries,
        "system/usr/bin/python3.13",
    )
    assert python.environment == {"PYTHONHOME": "system/usr"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, on a machine that has unpacked nothing yet."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(python_runtime, "ROOT", tmp_path)
    monkeypatch.setattr(python_runtime, "_ask", lambda _: PLAIN)
    monkeypatch.setattr(node_runtime, "_COMPILED", tmp_path / "rapid-client.node")
    return tools


def stub(folder: Path, name: str, code: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{code}\n")
    (folder / name).chmod(0o755)


def test_an_optimised_python_is_taken_as_it_is(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(python_runtime, "_ask", lambda _: QUICK)
    assert find().name == "Python 3.13.0 of .venv-aws"
    assert capsys.readouterr().err == ""
    assert not (machine.parent / "build").exists()


@pytest.mark.usefixtures("machine")
def test_a_slow_python_that_is_all_there_is_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert find().name.endswith("NOT OPTIMISED")
    told = capsys.readouterr().err
    assert "OUR SIDE IS SLOWER THAN IN LAMBDA" in told
    assert "apt-get install mmdebstrap" in told


def test_an_unpacking_that_fails_is_told_and_leaves_nothing_that_looks_whole(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(machine, "mmdebstrap", "exit 1")
    assert find().name.endswith("NOT OPTIMISED")
    assert "mmdebstrap failed" in capsys.readouterr().err
    assert [path.suffix for path in (machine.parent / "build").iterdir()] == [".part"]


def test_tools_that_the_client_is_compiled_with_are_named(machine: Path) -> None:
    assert node_runtime.missing() == "npm is missing"
    for tool in ("npm", "make", "python3", "g++"):
        stub(machine, tool)
    missing = node_runtime.missing()
    assert missing is not None
    assert missing.endswith("apt-get install autoconf automake cmake libtool xz-utils")


@pytest.mark.parametrize(("installed", "told"), [(False, "npm has said why"), (True, "ignore-scripts=false")])
def test_a_client_that_is_not_compiled_in_the_end_is_told(
    machine: Path, monkeypatch: pytest.MonkeyPatch, told: str, *, installed: bool
) -> None:
    for tool in ("npm", *node_runtime._TOOLS):
        stub(machine, tool)
    monkeypatch.setattr(node_runtime, "install", lambda *_: installed)
    missing = node_runtime.missing()
    assert missing is not None
    assert told in missing


def test_what_is_compiled_wants_no_tools(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(machine, "npm")
    monkeypatch.setattr(node_runtime, "install", lambda *_: True)
    node_runtime._COMPILED.touch()
    assert node_runtime.missing() is None


def test_the_peer_is_a_function_of_lambdas_node_through_awss_client() -> None:
    function = node_runtime.function("plain", {"WIDTHS": "720"})
    node, client, handler = function.command
    assert node.endswith("/bin/node")
    assert client.endswith("/aws-lambda-ric/index.mjs")
    assert function.environment["_HANDLER"] == handler == "node_modules/.bundle/plain.handler"
    assert function.environment["WIDTHS"] == "720"
