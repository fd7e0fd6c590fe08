"""The blocks of commands in README and docs/: which tests run them, and which pages say why none does.

A block of `sh`, `console` or `bash` is run by a test that follows its page from top to bottom, or it has a
mark above it: `<!-- not run: REASON -->`. A page of which no block is run says so once, below its title:
`<!-- commands not run: REASON -->`. In docs/learn a block of `console` is for AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAPERS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
SHELL = frozenset({"sh", "console", "bash", "shell"})

FOLLOWED = (
    "README.md",
    "docs/api.md",
    "docs/html.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/start-on-aws.md",
    "docs/start-with-docker.md",
    "docs/start.md",
    "docs/troubleshooting.md",
    "docs/urls.md",
    "docs/without-a-server.md",
)
"""The pages that tests/tutorials/test_start.py follows."""

_PAGE_MARK = re.compile(
    r"\A# [^\n]*\n\n(?:<!-- Written[^\n]*\n\n)?<!-- commands not run: ([^\n]+?) -->$", re.MULTILINE
)
_BLOCK = re.compile(
    r"^(?: *<!-- not run: (?P<reason>[^\n]+?) -->\n)? *```(?P<kind>\w+)[^\n]*\n(?P<content>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(Struct, frozen=True):
    """A fenced block. ``not_run`` is the reason of its mark."""

    kind: str
    content: str
    not_run: str | None = None


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page that name a language."""
    text = page.read_text(encoding="utf-8")
    mark = _PAGE_MARK.match(text)
    for match in _BLOCK.finditer(text):
        yield Block(match["kind"], match["content"], match["reason"] or (mark and mark[1]))


def is_followed(page: Path, block: Block) -> bool:
    """Whether a test runs the block."""
    name = page.relative_to(ROOT).as_posix()
    if name.startswith("docs/learn/"):
        return (ROOT / "tests" / "tutorials" / f"test_{page.stem.replace('-', '_')}.py").exists()
    return block.kind == "sh" and (name in FOLLOWED or name.startswith("docs/cookbook/"))
