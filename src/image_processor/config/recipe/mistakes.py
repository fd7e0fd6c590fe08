"""Ground floor: the mistakes of a recipe, all of them, each with its line."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import Problem
from image_processor.domain.transformation.parameters import among

if TYPE_CHECKING:
    from image_processor.config.toml_lines import Lines


class ErrorCollector:
    """Notes every mistake of a parsed TOML document instead of stopping at the first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.problems: list[Problem] = []

    @cached_property
    def _lines(self) -> Lines:
        from image_processor.config.toml_lines import Lines  # noqa: PLC0415 - most recipes have no mistake

        return Lines(self._text)

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
