"""`doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from image_processor import __version__
from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    URL_SETTINGS,
    dialect_settings,
    effective,
)
from image_processor.domain.errors import UnsafeRuntime
from image_processor.domain.formats import FORMATS

from .exit_codes import UNSAFE
from .options import Data, RecipeFile, settings_with


def command(data: Data = None, recipe: RecipeFile = None) -> None:
    """Tell versions, codecs, limits and settings; exit with 4 if the runtime is not safe."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"image-processor {__version__}, SQLite {sqlite3.sqlite_version}")
    _runtime(console)
    _settings(console, data, recipe)


def _runtime(console: Console) -> None:
    try:
        from image_processor.engine import runtime  # noqa: PLC0415 - to diagnose that it cannot be loaded
        from image_processor.engine.operations import faces  # noqa: PLC0415 - to diagnose that it cannot be loaded

        runtime.start()
    except (UnsafeRuntime, ImportError, OSError) as error:
        console.print(f"unsafe runtime: {error}", style="red")
        console.print("fix: pip install 'pyvips>=3.2' 'pyvips-binary>=8.18' in a fresh environment")
        raise typer.Exit(UNSAFE) from None
    for name, version in runtime.versions().items():
        console.print(f"{name}: {version}")
    table = Table("Format", "Reads", "Writes", box=None)
    loaders, savers = runtime.loaders(), runtime.savers()
    for name in loaders:
        table.add_row(name, _mark(loaders[name]), _mark(savers.get(name, False)))
    console.print(table)
    for extra in (FORMATS[name].extra for name, there in loaders.items() if not there):
        if extra:
            console.print(f"to read {extra}: pip install 'image-processor[{extra}]'")
    console.print(f"gravity faces: {_mark(faces.available())}")
    if not faces.available():
        console.print(f"to crop by faces: {faces.INSTALL_HINT}")
    missing = [name for name, there in loaders.items() if not (there or FORMATS[name].extra)]
    if missing:
        console.print(f"missing: {', '.join(missing)}; the wheel pyvips-binary brings all of them")


def _mark(there: bool) -> str:  # noqa: FBT001 - a value to show
    return "yes" if there else "-"


def _settings(console: Console, data: Path | None, recipe: Path | None) -> None:
    settings = settings_with(data=data, recipe=recipe)
    free = shutil.disk_usage(settings.data if settings.data.exists() else ".").free
    console.print(f"disk: {free / 1e9:.1f} GB free for {settings.data}")
    for title, rows in _TABLES:
        console.print(title, style="bold")
        for row, value in effective(settings, rows):
            console.print(f"  {PREFIX}{row.name}={value}")
            console.print(f"      {row.meaning} ({row.expected})", style="dim")


_TABLES = (
    ("Settings", GENERAL_SETTINGS),
    ("Renditions by URL", (*URL_SETTINGS, *dialect_settings())),
    ("Limits", LIMIT_SETTINGS),
    ("Settings on AWS", AWS_SETTINGS),
)
