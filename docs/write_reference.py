"""Writes the pages of reference, each by a module of docs/reference from what the program itself uses.

A test compares each page with what its module returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from reference import command_line, error_codes, metrics, outcome_events, rest_api, settings, template

DOCS = Path(__file__).parent

PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "api-reference.md": rest_api.page,
        "cli.md": command_line.page,
        "errors.md": error_codes.page,
        "event-reference.md": outcome_events.page,
        "metrics.md": metrics.page,
        "settings.md": settings.page,
        "template.md": template.page,
    }
)
"""The text of each page, by its name in docs/."""

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text(), encoding="utf-8")
        print(f"wrote {page}")
