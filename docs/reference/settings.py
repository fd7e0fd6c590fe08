"""docs/settings.md: every setting, from the table of their specifications."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    REMOTE_SETTINGS,
    URL_SETTINGS,
    Settings,
    SettingSpec,
    dialect_settings,
    effective,
)

from .tables import code, table

_HEAD = f"""# Settings

Every setting is an environment variable with the prefix `{PREFIX}`, or a line of a
[file](operations.md#settings-in-a-file). `image-processor doctor` says which value is in force and where it
comes from. On AWS the [template's parameters](template.md#parameters) set most of them. This page is
written by `docs/write_reference.py`.
"""

_SECTIONS: tuple[tuple[str, Sequence[SettingSpec]], ...] = (
    ("The server and what it makes", GENERAL_SETTINGS),
    ("Renditions by URL", URL_SETTINGS),
    ("Remote sources", REMOTE_SETTINGS),
    ("Limits", LIMIT_SETTINGS),
    ("URLs of other products", dialect_settings()),
    ("Buckets and AWS", AWS_SETTINGS),
)


def page() -> str:
    """The page of all settings."""
    return "\n".join([_HEAD, *(part for name, specs in _SECTIONS for part in _section(name, specs))])


def _section(name: str, specs: Sequence[SettingSpec]) -> Iterator[str]:
    yield f"## {name}\n"
    yield table(
        ("Variable", "Meaning and values", "Default"),
        (
            (code(PREFIX + spec.name), f"{spec.meaning}<br>*{_breakable(spec.expected)}*", code(default))
            for spec, default in effective(Settings(), specs)
        ),
    )


def _breakable(text: str) -> str:
    """``text`` with spaces in its lists, so that a line of a table can end in them."""
    return re.sub(r",(?=\w)", ", ", text)
