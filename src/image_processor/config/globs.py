"""Ground floor: globs on keys, as recipes write them.

`*` and `?` stay inside one segment, `**` crosses segments, `[abc]` is one of, `{a,b}` either.
Case counts, as it does in S3 keys.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|[{},])")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}


def matches(glob: str, key: str) -> bool:
    """Whether the whole of ``key`` fits ``glob``; ValueError if the glob is not well-formed."""
    return _compiled(glob).fullmatch(key) is not None


@lru_cache(maxsize=256)
def _compiled(glob: str) -> re.Pattern[str]:
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
