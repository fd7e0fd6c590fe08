"""docs/reliability.md and docs/security-model.md: every promise and threat names a test that is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
THREATS = (ROOT / "docs" / "security-model.md").read_text(encoding="utf-8").partition("## Threats")[2]
PROMISES = 58
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_promise_has_one_row_with_a_test_and_a_figure() -> None:
    rows = ROW.findall(TEXT)
    assert [int(number) for number, *_ in rows] == list(range(1, PROMISES + 1))
    for number, promise, tests, figure in rows:
        assert promise.strip(), number
        assert TEST.search(tests), f"promise {number} names no test"
        assert "FIGURE" not in figure, f"promise {number} tells no figure"


def test_every_test_that_is_named_is_there() -> None:
    named = TEST.findall(TEXT)
    assert len(named) > PROMISES
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []


def test_every_threat_names_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| ([A-Z].+?) \| (.+?) \| (.+?) \|$", THREATS, re.MULTILINE)[1:]
    assert [threat for threat, _, tests in rows if not TEST.search(tests)] == []
    named = TEST.findall(THREATS)
    assert len(named) > len(rows) > 15
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []
