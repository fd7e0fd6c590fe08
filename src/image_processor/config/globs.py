"""Matches keys with the globs of a recipe's rules.

`*` and `?` match within one segment, `**` across segments, `[abc]` one of the characters, `{a,b}`
either text. Matching is case-sensitive, like S3 keys, except for a file's extension: cameras write
`IMG_1.JPG`.

A regular expression tries each way to divide a key among the stars, so its time grows with the key's length
to the power of their number: four took seconds for a key of 300 characters. Globs with more than MAX_STARS
are matched by all their states at once, in time proportional to the lengths of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import Struct, field

_SPECIAL = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|[{},])")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}

MAX_STARS = 2
"""The most stars of a glob that is matched by a regular expression, which takes a hundredth of the time."""

_Match = Callable[[str], object]


def matches(glob: str, key: str) -> bool:
    """Whether ``glob`` matches all of ``key``. Raises ValueError if the glob is not well-formed."""
    if _compile(glob)(key):
        return True
    return bool(_compile(_with_lower_extension(glob))(_with_lower_extension(key)))


def _with_lower_extension(text: str) -> str:
    stem, dot, extension = text.rpartition(".")
    return f"{stem}{dot}{extension.lower()}" if dot and "/" not in extension else text


@lru_cache(maxsize=256)
def _compile(glob: str) -> _Match:
    pieces = _pieces(glob)
    if sum("*" in piece and not piece.startswith("[") for piece, _ in pieces) > MAX_STARS:
        return _States.of(pieces).match
    return re.compile("".join(_translate(*piece) for piece in pieces), re.DOTALL).fullmatch


def _pieces(glob: str) -> list[tuple[str, bool]]:
    """The parts of a glob, each with whether it is inside braces. Raises ValueError."""
    depth = 0
    pieces = []
    for piece in filter(None, _SPECIAL.split(glob)):
        depth += (piece == "{") - (piece == "}")
        if depth not in (0, 1):
            raise ValueError(f"unbalanced or nested braces in {glob!r}")
        pieces.append((piece, depth == 1))
    if depth:
        raise ValueError(f"unclosed brace in {glob!r}")
    return pieces


def _translate(piece: str, inside_braces: bool) -> str:  # noqa: FBT001 - a pair of _pieces
    if piece == ",":
        return "|" if inside_braces else ","
    if _is_class(piece):
        negated = piece[1] in "!^" and len(piece) > 3
        members = re.escape(piece[2:-1] if negated else piece[1:-1]).replace(r"\-", "-")
        return f"[{'^/' if negated else ''}{members}]"
    return _MEANING.get(piece, re.escape(piece))


def _is_class(piece: str) -> bool:
    return piece.startswith("[") and piece.endswith("]") and len(piece) > 1


class _States(Struct):
    """A nondeterministic automaton (Thompson's construction). State 0 is the first, ``end`` the last.

    ``steps`` has for each state the characters, as a regular expression for one, and the states that follow;
    ``free`` the states that follow without a character.
    """

    steps: list[list[tuple[re.Pattern[str], int]]] = field(default_factory=lambda: [[]])
    free: list[list[int]] = field(default_factory=lambda: [[]])
    end: int = 0

    @classmethod
    def of(cls, pieces: Iterable[tuple[str, bool]]) -> _States:
        made = cls()
        start = join = 0
        for piece, inside in pieces:
            if piece == "{":
                start, join = made.end, made._add()
                made._restart(start)
            elif piece == "," and inside:
                made.free[made.end].append(join)
                made._restart(start)
            elif piece == "}":
                made.free[made.end].append(join)
                made.end = join
            else:
                made._append(piece, inside=inside)
        return made

    def match(self, text: str) -> bool:
        current = self._reach({0})
        for character in text:
            current = self._reach(
                {to for state in current for allowed, to in self.steps[state] if allowed.match(character)}
            )
            if not current:
                return False
        return self.end in current

    def _reach(self, states: set[int]) -> set[int]:
        """``states`` and those that follow without a character."""
        waiting = list(states)
        while waiting:
            for to in self.free[waiting.pop()]:
                if to not in states:
                    states.add(to)
                    waiting.append(to)
        return states

    def _add(self) -> int:
        self.steps.append([])
        self.free.append([])
        return len(self.steps) - 1

    def _restart(self, start: int) -> None:
        """Continue at a new state that follows ``start``."""
        self.end = self._add()
        self.free[start].append(self.end)

    def _append(self, piece: str, *, inside: bool) -> None:
        if piece in {"*", "**", "**/"}:
            before, loop, after = self.end, self._add(), self._add()
            self.free[before].append(loop)
            self.steps[loop].append((_ANY if piece != "*" else _NO_SLASH, loop))
            if piece == "**/":
                self.steps[loop].append((_SLASH, after))
                self.free[before].append(after)
            else:
                self.free[loop].append(after)
            self.end = after
            return
        for part in [piece] if piece == "?" or _is_class(piece) else piece:
            after = self._add()
            self.steps[self.end].append((re.compile(_translate(part, inside), re.DOTALL), after))
            self.end = after


_ANY, _NO_SLASH, _SLASH = re.compile(".", re.DOTALL), re.compile("[^/]"), re.compile("/")
