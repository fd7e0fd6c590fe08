"""`doctor`: versions, codecs and settings of this machine, and how to install what is missing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from image_processor import __version__
from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    REMOTE_SETTINGS,
    URL_SETTINGS,
    Settings,
    dialect_settings,
    effective,
    sources,
)
from image_processor.domain.errors import (
    CatalogDamaged,
    ImageProcessorError,
    Invalid,
    InvalidSettings,
    Unavailable,
    UnsafeRuntime,
)
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import SandboxPolicy

from . import reconcile
from .aws_target import AwsTarget, open_target
from .context import CommandContext, command_context
from .options import ConfigFile, Data, Json, Profile, RecipeFile, Region, StackName, settings_with
from .output import UNSAFE

_TABLES = (
    ("Settings", GENERAL_SETTINGS),
    ("Renditions by URL", (*URL_SETTINGS, *dialect_settings())),
    ("Remote sources", REMOTE_SETTINGS),
    ("Limits", LIMIT_SETTINGS),
    ("Settings on AWS", AWS_SETTINGS),
)


def command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    data: Data = None,
    recipe: RecipeFile = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    config: ConfigFile = None,
    json_: Json = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild a damaged catalog, while no server runs.")
    ] = False,
) -> None:
    """Print versions, codecs, limits and settings, and where each setting comes from; with --stack the
    settings of a stack's functions.

    With buckets it also prints which server has marked them as those of its catalog, and when.

    With --repair, a damaged catalog is moved aside. Its readable records are kept, and what they lack is
    rebuilt as by `reconcile`. An intact catalog is left alone.

    Exits with 3 if the catalog is damaged, with 4 if the runtime is not safe.
    """
    if repair:
        if stack is not None:
            raise Invalid.one("--repair", "no --stack: only one machine has a catalog file", stack)
        _repair(ctx, data, recipe)
        return
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if stack is not None:
        _print_stack(console, command_context(ctx), open_target(stack, profile, region), json_=json_)
        return
    if not json_:
        console.print(f"image-processor {__version__}, SQLite {sqlite3.sqlite_version}")
        _print_runtime(console, svg=_is_svg_on(config))
    settings = settings_with(config=config, data=data, recipe=recipe)
    context = command_context(ctx)
    catalog = context.catalog_file(settings)
    sandbox = _describe_sandbox(settings.sandbox)
    free = shutil.disk_usage(settings.data if settings.data.exists() else ".").free
    damage = None
    if json_:
        damage = context.find_catalog_damage(catalog)
        remote = context.check_remote_sources(settings)
        coordinator, mark = _coordinator(context, settings), _bucket_mark(context, settings)
        report = _Report(settings, sandbox, free, str(catalog), damage, remote, coordinator, mark)
        typer.echo(json.dumps(report.to_json()))
    else:
        console.print(f"sandbox of renderers: {sandbox}")
        console.print(f"disk: {free / 1e9:.1f} GB free for {settings.data}")
        for source, state in context.check_remote_sources(settings).items():
            console.print(f"remote source {source}: {state}")
        if settings.uses_buckets and settings.table is not None:
            console.print(f"coordinator of the servers: {_coordinator(context, settings)}")
        if (mark := _bucket_mark(context, settings)) is not None:
            console.print(f"mark in the buckets: {mark}")
        _print_settings(console, settings)
        damage = context.find_catalog_damage(catalog)
    if damage is not None:
        raise CatalogDamaged.of(str(catalog), damage)


def _coordinator(context: CommandContext, settings: Settings) -> str | None:
    """The server that searches for lost work, or why that is not known; None where there is only one."""
    if not settings.uses_buckets or settings.table is None:
        return None
    try:
        return context.coordinator(settings) or "none runs"
    except (Unavailable, InvalidSettings) as error:
        return f"unknown, {error}"


def _bucket_mark(context: CommandContext, settings: Settings) -> str | None:
    """Which server has marked the buckets as those of its catalog, or why that is not known; None without
    buckets."""
    if not settings.uses_buckets:
        return None
    try:
        return context.bucket_mark(settings)
    except ImageProcessorError as error:
        return f"unknown, {error}"


def _print_stack(console: Console, context: CommandContext, target: AwsTarget, *, json_: bool) -> None:
    """The settings of a stack, and whether a server of one machine works in its buckets."""
    try:
        mark = context.stack_mark(target.settings, target.session)
    except ImageProcessorError as error:  # reading the settings needs no permission on the bucket
        mark = f"unknown, {error}"
    if json_:
        typer.echo(json.dumps({"bucket_mark": mark, "settings": _settings_json(target.settings)}))
        return
    console.print(f"mark in the buckets: {mark}")
    _print_settings(console, target.settings)


class _Report(Struct, frozen=True):
    """What `--json` prints. ``free`` are bytes."""

    settings: Settings
    sandbox: str
    free: int
    catalog: str
    damage: str | None
    remote_sources: Mapping[str, str]
    coordinator: str | None
    bucket_mark: str | None

    def to_json(self) -> dict[str, object]:
        """Exits with UNSAFE if libvips cannot be used."""
        runtime = _started_runtime()
        if isinstance(runtime, Exception):
            typer.echo(f"unsafe runtime: {runtime}", err=True)
            raise typer.Exit(UNSAFE)
        return {
            "version": __version__,
            "versions": {"sqlite": sqlite3.sqlite_version, **runtime.versions()},
            "formats": {
                name: {
                    "reads": reads and (self.settings.limits.svg or not FORMATS[name].opt_in),
                    "writes": runtime.savers().get(name, False),
                    "extra": FORMATS[name].extra,
                }
                for name, reads in runtime.loaders().items()
            },
            "sandbox": self.sandbox,
            "disk_free_bytes": self.free,
            "catalog": {"file": self.catalog, "damage": self.damage},
            "remote_sources": self.remote_sources,
            "coordinator": self.coordinator,
            "bucket_mark": self.bucket_mark,
            "settings": _settings_json(self.settings),
        }


def _settings_json(settings: Settings) -> list[dict[str, str]]:
    return [
        {"name": item.name, "value": item.value, "source": item.source.value, "meaning": item.meaning}
        for item in sources(settings)
    ]


def _repair(ctx: typer.Context, data: Path | None, recipe: Path | None) -> None:
    settings, context = settings_with(data=data, recipe=recipe), command_context(ctx)
    catalog = context.catalog_file(settings)
    if not catalog.is_file():
        raise Invalid.one("--data", "a data directory with a catalog", str(catalog.parent))
    with context.data_dir_lock(catalog.parent):
        damage = context.find_catalog_damage(catalog)
        if damage is None:
            typer.echo(f"the catalog {catalog} is intact")
            return
        repaired = context.repair_catalog(catalog)
    typer.echo(f"the catalog {catalog} was damaged ({damage}) and is now {repaired.damaged}")
    typer.echo(f"kept {repaired.records} records and {repaired.events} unsent messages")
    reconcile.command(ctx, data=data, recipe=recipe)


def _started_runtime() -> ModuleType | Exception:
    """The engine's runtime, or why libvips cannot be used safely."""
    try:
        from image_processor.engine import runtime  # noqa: PLC0415 - reports that libvips cannot be loaded

        runtime.start()
    except (UnsafeRuntime, ImportError, OSError) as error:
        return error
    return runtime


def _is_svg_on(config: Path | None) -> bool:
    """Whether SVG is read. False for invalid settings, which are reported after the runtime."""
    try:
        return settings_with(config=config).limits.svg
    except InvalidSettings:
        return False


def _print_runtime(console: Console, *, svg: bool) -> None:
    runtime = _started_runtime()
    if isinstance(runtime, Exception):
        console.print(f"unsafe runtime: {runtime}", style="red")
        console.print("fix: pip install 'pyvips>=3.2' 'pyvips-binary>=8.18' in a fresh environment")
        raise typer.Exit(UNSAFE)
    from image_processor.engine.operations import faces  # noqa: PLC0415 - needs libvips, too

    for name, version in runtime.versions().items():
        console.print(f"{name}: {version}")
    loaders, savers = runtime.loaders(), runtime.savers()
    table = Table("Format", "Reads", "Writes", box=None)
    for name in loaders:
        is_off = FORMATS[name].opt_in and not svg
        reads = "off" if is_off and loaders[name] else _yes_or_dash(loaders[name])
        table.add_row(name, reads, _yes_or_dash(savers.get(name, False)))
    console.print(table)
    if not svg:
        console.print("to read svg: IMAGE_PROCESSOR_SVG=1")
    absent = [name for name, available in loaders.items() if not available]
    for extra in filter(None, (FORMATS[name].extra for name in absent)):
        console.print(f"for {extra}: pip install 'image-processor[{extra}]'")
    console.print(f"gravity faces: {_yes_or_dash(faces.available())}")
    if not faces.available():
        console.print(f"to crop by faces: {faces.INSTALL_HINT}")
    missing = [name for name in absent if not FORMATS[name].extra]
    if missing:
        console.print(f"missing: {', '.join(missing)}; the wheel pyvips-binary has all of them")


def _describe_sandbox(policy: SandboxPolicy) -> str:
    """Raises UnsafeRuntime if it is required and not complete."""
    from image_processor.engine.worker.isolation import IsolatedRenderer  # noqa: PLC0415 - as in _print_runtime

    with IsolatedRenderer(sandbox=policy) as renderer:
        try:
            renderer.warm()
        except Unavailable as error:
            return f"unknown, {error}"
        return "; ".join(renderer.sandbox_gaps) or "on"


def _yes_or_dash(available: bool) -> str:  # noqa: FBT001 - a value to print
    return "yes" if available else "-"


def _print_settings(console: Console, settings: Settings) -> None:
    for title, specs in _TABLES:
        console.print(title, style="bold")
        for spec, value in effective(settings, specs):
            name = PREFIX + spec.name
            source = settings.origins.get(name)
            console.print(f"  {name}={value}" + (f"  [{source.value}]" if source else ""))
            console.print(f"      {spec.meaning} ({spec.expected})", style="dim")
