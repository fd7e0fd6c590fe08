"""`doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import shutil
import sqlite3

import typer
from rich.console import Console
from rich.table import Column, Table

from image_processor import __version__
from image_processor.errors import InvalidSettings, UnsafeRuntime
from image_processor.settings import PREFIX, from_environment, in_force

from .exits import UNSAFE, USAGE


def command() -> None:
    """Tell versions, codecs, limits and settings; exit with 4 if the runtime is not safe."""
    console = Console()
    console.print(f"image-processor {__version__}, SQLite {sqlite3.sqlite_version}")
    _runtime(console)
    _settings(console)


def _runtime(console: Console) -> None:
    from image_processor.engine import runtime  # noqa: PLC0415 - a broken libvips must not stop the doctor

    try:
        runtime.start()
    except UnsafeRuntime as error:
        console.print(f"[red]unsafe runtime[/red]: {error}")
        console.print("fix: pip install 'pyvips>=3.2' 'pyvips-binary>=8.18' in a fresh environment")
        raise typer.Exit(UNSAFE) from None
    for name, version in runtime.versions().items():
        console.print(f"{name}: {version}", highlight=False)
    table = Table("Format", "Reads", "Writes", box=None)
    loaders, savers = runtime.loaders(), runtime.savers()
    for name in loaders:
        table.add_row(name, _mark(loaders[name]), _mark(savers.get(name, False)))
    console.print(table)
    missing = [name for name, there in loaders.items() if not there]
    if missing:
        console.print(f"missing: {', '.join(missing)}; the wheel pyvips-binary brings all of them")


def _mark(there: bool) -> str:  # noqa: FBT001 - a value to show
    return "yes" if there else "-"


def _settings(console: Console) -> None:
    try:
        settings = from_environment(os.environ)
    except InvalidSettings as error:
        for problem in error.problems:
            console.print(f"[red]setting[/red]: {problem}", highlight=False)
        raise typer.Exit(USAGE) from None
    free = shutil.disk_usage(settings.data if settings.data.exists() else ".").free
    console.print(f"disk: {free / 1e9:.1f} GB free for {settings.data}", highlight=False)
    table = Table(Column("Setting", no_wrap=True), "In force", "Meaning", box=None)
    for row, value in in_force(settings):
        table.add_row(PREFIX + row.name, value, f"{row.meaning} ({row.expected})")
    console.print(table)
