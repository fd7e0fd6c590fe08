"""Ground floor: on which line of a TOML text a value stands.

The standard parser forgets positions; this finds table headers and `name =` lines again, which
is all that an error message needs.
"""

from __future__ import annotations

import re
from collections import Counter

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Lines:
    """The lines of a TOML text's tables and values, by path: `("presets", "small", "width")`.

    Elements of an array of tables are counted from 0: `("rules", 0, "match")`.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        tables: Counter[Path] = Counter()
        here: Path = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                here = _parts(header[2])
                if header[1] == "[[":
                    tables[here] += 1
                    here = (*here, tables[here] - 1)
                self._lines.setdefault(here, number)
            elif assignment := _ASSIGNMENT.match(line):
                self._lines.setdefault((*here, *_parts(assignment[1])), number)

    def of(self, *path: str | int) -> int | None:
        """The 1-based line of ``path``, or of the nearest table round it; None for the file itself."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return None


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(dotted))
