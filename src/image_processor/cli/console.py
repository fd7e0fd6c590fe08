"""Where tables are printed: as wide as the terminal, and uncut into a file or a pipe."""

from __future__ import annotations

import os

from rich.console import Console

_UNCUT = 100_000


def open_console(*, highlight: bool = True) -> Console:
    """A console on standard output, without markup, because uploaders choose the keys.

    rich takes a pipe for 80 columns wide and cuts longer rows: `grep` would miss the end of a key.
    COLUMNS sets another width.
    """
    console = Console(markup=False, highlight=highlight)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(markup=False, highlight=highlight, width=_UNCUT)
