"""The blocks of commands in pages: which tests run them, and which say why none does.

A block of `sh`, `console`, `bash` or `shell` of README, docs/, clients/ and examples/ has one of three:

- a test that follows its page from top to bottom on this machine (`FOLLOWED`, and the pages of docs/learn);
- above it `<!-- run on AWS -->`: tests/aws/test_docs_on_aws.py runs it in the emulated AWS;
- above it `<!-- not run: REASON -->`. A page of which no block is run may say so once, below its title:
  `<!-- commands not run: REASON -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAPERS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
)
SHELL = frozenset({"sh", "console", "bash", "shell"})

FOLLOWED = (
    "README.md",
    "docs/access.md",
    "docs/api.md",
    "docs/backup.md",
    "docs/cost.md",
    "docs/html.md",
    "docs/migrating-from-imgix.md",
    "docs/migrating.md",
    "docs/operations.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/start-on-aws.md",
    "docs/start.md",
    "docs/troubleshooting.md",
    "docs/upgrading.md",
    "docs/urls.md",
    "docs/without-a-server.md",
)
"""The pages that tests/tutorials/test_start.py follows."""

_PAGE_MARK = re.compile(
    r"\A# [^\n]*\n\n(?:<!-- Written[^\n]*\n\n)?<!-- commands not run: ([^\n]+?) -->$", re.MULTILINE
)
_BLOCK = re.compile(
    r"^(?: *<!-- (?:not run: (?P<reason>[^\n]+?)|(?P<aws>run on AWS)) -->\n)?"
    r" *```(?P<kind>\w+)[^\n]*\n(?P<content>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(Struct, frozen=True):
    """A fenced block. ``not_run`` is the reason of its mark."""

    kind: str
    content: str
    not_run: str | None = None
    is_on_aws: bool = False


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page that name a language."""
    text = page.read_text(encoding="utf-8")
    mark = _PAGE_MARK.match(text)
    for match in _BLOCK.finditer(text):
        is_on_aws = match["aws"] is not None
        reason = None if is_on_aws else match["reason"] or (mark and mark[1])
        yield Block(match["kind"], match["content"], reason, is_on_aws)


def is_followed(page: Path, block: Block) -> bool:
    """Whether a test runs the block."""
    name = page.relative_to(ROOT).as_posix()
    if block.is_on_aws:
        return True
    if name.startswith("docs/learn/"):
        found = (ROOT / "tests" / "tutorials" / f"test_{page.stem.replace('-', '_')}.py").exists()
        return block.kind == "sh" and found
    return block.kind == "sh" and (name in FOLLOWED or name.startswith("docs/cookbook/"))


def to_run(page: Path, *, on_aws: bool) -> Iterator[Block]:
    """The blocks of `sh` that AWS runs, or else this machine, and the blocks of `text` after them."""
    is_run = False
    for block in blocks(page):
        if block.kind != "text":
            is_run = block.kind == "sh" and not block.not_run and block.is_on_aws == on_aws
        if is_run:
            yield block


def on_aws() -> list[Path]:
    """The pages with a block that the emulated AWS runs."""
    return [page for page in PAPERS if any(block.is_on_aws for block in blocks(page))]
