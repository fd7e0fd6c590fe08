"""Collects every problem of a recipe, each with its line, instead of stopping at the first.

tomllib does not keep positions, so the table headers and `name =` lines are searched again in the text.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import Any

from image_processor.domain.errors import Problem
from image_processor.domain.transformation import suggest

TomlPath = tuple[str | int, ...]
"""A value's place: `("presets", "small", "width")`; elements of an array count from 0."""


class ErrorCollector:
    """The problems found so far in a parsed TOML document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.problems: list[Problem] = []

    @cached_property
    def _lines(self) -> TomlLines:
        return TomlLines(self._text)

    def require_table(self, value: Any, *path: str | int) -> dict[str, Any]:
        """``value`` if it is a table, else an empty one and a problem."""
        if isinstance(value, dict):
            return value
        self.add(path, "a table", value)
        return {}

    def check_names(self, known: tuple[str, ...], table: dict[str, Any], *path: str | int) -> None:
        """Add a problem for every name in ``table`` that is not ``known``."""
        for name in table:
            if name not in known:
                self.add_text((*path, name), suggest(known, name), "an unknown name")

    def add(self, path: TomlPath, expected: str, value: Any) -> None:
        """Add a problem with the ``value`` at ``path``; it is shown as Python shows it."""
        self.add_text(path, expected, "nothing" if value is None else repr(value))

    def add_text(self, path: TomlPath, expected: str, got: str) -> None:
        """Add a problem whose ``got`` is a phrase already."""
        # People count from 1.
        name = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in path)
        self.problems.append(Problem(name, expected, got, self._lines.line_of(*path)))

    def add_all(self, path: TomlPath, problems: list[Problem] | tuple[Problem, ...]) -> None:
        """Add the problems of a value at ``path``; their names are relative to it."""
        for problem in problems:
            self.add_text((*path, problem.name), problem.expected, problem.got)


class TomlLines:
    """The lines of the tables and values of a TOML text, by path."""

    def __init__(self, text: str) -> None:
        # Compiled here: a recipe without problems never needs them.
        name = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
        header = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
        assignment = re.compile(rf"\s*({name}(?:\s*\.\s*{name})*)\s*=")
        self._lines: dict[TomlPath, int] = {}
        tables: Counter[TomlPath] = Counter()
        current: TomlPath = ()
        for number, line in enumerate(text.splitlines(), 1):
            if match := header.match(line):
                current = _split(match[2])
                if match[1] == "[[":
                    tables[current] += 1
                    current = (*current, tables[current] - 1)
                self._lines.setdefault(current, number)
            elif match := assignment.match(line):
                self._lines.setdefault((*current, *_split(match[1])), number)

    def line_of(self, *path: str | int) -> int | None:
        """The line, from 1, of ``path`` or of the nearest table around it; None if there is neither."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return None


def _split(dotted: str) -> TomlPath:
    return tuple(part.strip("\"'") for part in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted))
