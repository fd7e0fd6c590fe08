"""Deployment: makes a CloudFront function small: no comments, no spaces that say nothing, short names.

It knows the JavaScript of viewer_request.js and no more of the language: strings in single quotes,
statements that end with a semicolon, objects without shorthand. The tests run what it makes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import product
from string import ascii_letters

# A slash begins a regular expression where no operand can have ended.
_TOKEN = re.compile(
    r"""(?P<nothing>//[^\n]*|\s+)
    |(?P<literal>'[^'\n]*'|(?<=[(=,!&|?:]\s)/(?![/ ])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\n\\[])+/[gi]*
        |(?<=[(=,!&|?:])/(?![/ ])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\n\\[])+/[gi]*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>\d+)
    |(?P<sign>[^\w\s'"`])""",
    re.VERBOSE,
)

# Of the language and of CloudFront's runtime.
_THEIRS = frozenset(
    {
        *("as", "async", "await", "catch", "const", "delete", "do", "else", "for", "from", "function", "if"),
        *("import", "in", "let", "new", "null", "of", "return", "try", "undefined"),
        *(
            "Date",
            "JSON",
            "Math",
            "Number",
            "Object",
            "decodeURIComponent",
            "encodeURI",
            "encodeURIComponent",
        ),
    }
)

Token = tuple[str, str]


def small(source: str, kept: Collection[str]) -> str:
    """``source`` as short as can be, with the names ``kept`` as they are: a statement of the top level
    a line. One name becomes one other name wherever it stands, so that scopes stay as they were."""
    tokens = list(_tokens(source))
    names = _short_names(tokens, kept)
    text, depth = "", 0
    for kind, original in tokens:
        piece = names.get(original, original) if kind == "word" else original
        if _WORDLIKE.match(text[-1:]) and _WORDLIKE.match(piece):
            text += " "
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(piece, 0)
        text = (text.removesuffix(";") if piece == "}" else text) + piece
        if depth == 0 and piece in {";", "}"}:
            text += "\n"
    return text.replace("}\n;", "};")


_WORDLIKE = re.compile(r"\w")


def _tokens(source: str) -> Iterator[Token]:
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ValueError(f"expected JavaScript of ours, got {source[at : at + 40]!r}")
        at, kind = match.end(), match.lastgroup or ""
        if kind != "nothing":
            yield kind, match[0]


def _short_names(tokens: list[Token], kept: Collection[str]) -> dict[str, str]:
    """A short name for each that is nobody else's: no field of an object, none of ``kept``."""
    fields = {
        token
        for number, (kind, token) in enumerate(tokens)
        if kind == "word" and (_before(tokens, number) == "." or _is_key(tokens, number))
    }
    uses = Counter(token for kind, token in tokens if kind == "word" and token not in fields | _THEIRS)
    taken = {token for kind, token in tokens if kind == "word" and token not in uses} | set(kept)
    free = ("".join(letters) for size in (1, 2) for letters in product(ascii_letters, repeat=size))
    ours = (name for name, _ in uses.most_common() if name not in kept and len(name) > 1)
    spare = (name for name in free if name not in taken and name not in uses and name not in _THEIRS)
    return {name: next(spare) for name in ours}


def _before(tokens: list[Token], number: int) -> str:
    return tokens[number - 1][1] if number else ""


def _is_key(tokens: list[Token], number: int) -> bool:
    after = tokens[number + 1][1] if number + 1 < len(tokens) else ""
    return after == ":" and _before(tokens, number) in {"{", ","}
