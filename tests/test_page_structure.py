"""Pages suit screen readers: headings in order, pictures with a text, blocks of code with a language."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from prose import pages

ROOT = Path(__file__).parents[1]
VAGUE = {"here", "this", "link", "click here", "this page", "read more", "more"}


def tokens(text: str):
    """All tokens of a page, those within lines included."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        for child in token.children or ():
            child.map = child.map or token.map
            yield child


def findings(text: str):
    """A line for each lack of a page."""
    yield from of_headings([int(token.tag[1]) for token in tokens(text) if token.type == "heading_open"])
    link, cell = None, False
    for token in tokens(text):
        found = [*of_token(token)]
        if cell and token.type == "inline" and not token.content.strip():
            found.append("expected a text in the head of a column, got none")
        cell = token.type == "th_open"
        if token.type == "link_open":
            link = ""
        elif token.type == "link_close":
            if link is not None and link.strip().lower() in VAGUE:
                found.append(f"expected a text that says where the link leads, got {link!r}")
            link = None
        elif link is not None:
            link += token.content
        yield from (f"line {token.map[0] + 1}: {each}" for each in found)


def of_headings(levels):
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"expected one heading of the first level, and it first, got levels {levels}"
    for before, after in itertools.pairwise(levels):
        if after > before + 1:
            yield f"expected no level left out between headings, got {before} and then {after}"


def of_token(token):
    if token.type == "fence" and not token.info.strip():
        yield "expected the language of a block of code, or text"
    elif token.type == "code_block":
        yield "expected a fenced block of code with its language"
    elif token.type == "image" and not token.content.strip():
        yield f"expected an alternative text for {token.attrGet('src')}"
    elif token.type in {"html_block", "html_inline"}:
        for tag in re.findall(r"<img\b[^>]*>", token.content):
            if not re.search(r'\balt="[^"]+"', tag):
                yield f"expected an alternative text in {tag}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_structured(page):
    assert list(findings(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("## Second\n", "expected one heading of the first level"),
        ("# One\n\n# Two\n", "expected one heading of the first level"),
        ("# One\n\n### Three\n", "expected no level left out between headings, got 1 and then 3"),
        ("# One\n\n```\ncode\n```\n", "line 3: expected the language"),
        ("# One\n\n    code\n", "line 3: expected a fenced block"),
        ("# One\n\n![](a.png)\n", "line 3: expected an alternative text for a.png"),
        ('# One\n\n<img src="a.png">\n', "line 3: expected an alternative text in <img"),
        (
            "# One\n\nSee [here](a.md).\n",
            "line 3: expected a text that says where the link",
        ),
    ],
)
def test_a_lack_of_structure_is_found(text, finding):
    (found,) = findings(text)
    assert found.startswith(finding)
