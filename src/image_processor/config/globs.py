"""Matches keys with the globs of a recipe's rules.

`*` and `?` match within one segment, `**` across segments, `[abc]` one of the characters, `{a,b}`
either text. Matching is case-sensitive, like S3 keys, except for a file's extension: cameras write
`IMG_1.JPG`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|[{},])")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}


def matches(glob: str, key: str) -> bool:
    """Whether ``glob`` matches all of ``key``. Raises ValueError if the glob is not well-formed."""
    if _compile(glob).fullmatch(key):
        return True
    return _compile(_with_lower_extension(glob)).fullmatch(_with_lower_extension(key)) is not None


def _with_lower_extension(text: str) -> str:
    stem, dot, extension = text.rpartition(".")
    return f"{stem}{dot}{extension.lower()}" if dot and "/" not in extension else text


@lru_cache(maxsize=256)
def _compile(glob: str) -> re.Pattern[str]:
    depth = 0
    parts = []
    for piece in _SPECIAL.split(glob):
        depth += (piece == "{") - (piece == "}")
        if depth not in (0, 1):
            raise ValueError(f"unbalanced or nested braces in {glob!r}")
        parts.append(_translate(piece, inside_braces=depth == 1))
    if depth:
        raise ValueError(f"unclosed brace in {glob!r}")
    return re.compile("".join(parts), re.DOTALL)


def _translate(piece: str, *, inside_braces: bool) -> str:
    if piece == ",":
        return "|" if inside_braces else ","
    if piece.startswith("[") and piece.endswith("]"):
        negated = piece[1] in "!^" and len(piece) > 3
        members = re.escape(piece[2:-1] if negated else piece[1:-1]).replace(r"\-", "-")
        return f"[{'^/' if negated else ''}{members}]"
    return _MEANING.get(piece, re.escape(piece))
