"""Tables of Markdown, as the pages of reference write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def row(*cells: str) -> str:
    """One row; bars within cells are escaped."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its head, and a line break at the end."""
    lines = [
        row(*head),
        f"| {' | '.join('---' for _ in head)} |",
        *(row(*cells) for cells in rows),
    ]
    return "\n".join(lines) + "\n"


def code(text: object) -> str:
    """``text`` as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def one_line(text: str) -> str:
    """``text`` without line breaks, with the quotes of Markdown."""
    return " ".join(text.replace("``", "`").split())


def sentence(text: str) -> str:
    """``text`` with a capital letter, unless it starts with code."""
    return text[:1].upper() + text[1:]
