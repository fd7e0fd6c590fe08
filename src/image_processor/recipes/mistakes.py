"""Ground floor: the mistakes of a recipe, all of them, each with its line."""

from __future__ import annotations

from typing import Any

from image_processor.errors import Problem
from image_processor.toml_lines import Lines
from image_processor.transformation.parameters import among


class Mistakes:
    """Notes every mistake of a parsed TOML document instead of stopping at the first."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.problems: list[Problem] = []

    def table(self, given: Any, *path: str | int) -> dict[str, Any]:
        if isinstance(given, dict):
            return given
        self.note(path, "a table", given)
        return {}

    def only(self, known: tuple[str, ...], table: dict[str, Any], *path: str | int) -> None:
        for name in table:
            if name not in known:
                self.note((*path, name), among(known, name), "an unknown name", shown=True)

    def note(self, path: tuple[str | int, ...], expected: str, got: Any, *, shown: bool = False) -> None:
        """Remember a mistake; ``shown`` means that ``got`` is already a phrase for people."""
        name = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in path)
        got = got if shown else "nothing" if got is None else repr(got)
        self.problems.append(Problem(name, expected, got, self._lines.of(*path)))
