"""`list`, `show` and `reconcile`: what the library holds, and what it lacks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from image_processor.embedded.progress import Progress
from image_processor.embedded.sweep import mend
from image_processor.errors import FIXES, Invalid
from image_processor.model import Look, Outcome, Record, Result, Status
from image_processor.ports import Query
from image_processor.recipes import Recipe
from image_processor.settings import PREFIX, Settings
from image_processor.similar import find_record
from image_processor.wiring.machine import BUCKET, Stores, open_stores, reconciler, workers
from image_processor.wiring.recipe import load_recipe

from .exits import SOME_REFUSED, status_of
from .options import Data, Json, RecipeFile, settings_with
from .shown import in_units, printable

_ROLE = "reconcile:"


def list_command(
    data: Data = None,
    prefix: Annotated[str, typer.Option(help="Only originals whose key starts so.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only originals of this status.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 1000,
    as_json: Json = False,
) -> None:
    """List the originals, newest first."""
    settings = settings_with(data=data)
    table = Table("Original", "Status", "Size", "Format", "Bytes", "Renditions", box=None)
    with open_library(settings) as stores:
        for record in _records(stores, Query(prefix=prefix, status=status), limit):
            if as_json:
                typer.echo(as_line(record))
            else:
                table.add_row(*_row(record))
    if not as_json:
        Console(markup=False).print(table if table.row_count else "No originals.")


def show_command(
    key: Annotated[str, typer.Argument(help="An original's key, or its id.", metavar="KEY")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one original: its facts and its renditions."""
    with open_library(settings_with(data=data)) as stores:
        record = find_record(stores.catalog, BUCKET, key)
    if as_json:
        typer.echo(as_line(record))
        return
    console = Console(markup=False, highlight=False)
    console.print(printable(record.key), style="bold", end="")
    console.print(f"  {record.status}  id {record.id}")
    if record.reason:
        console.print(f"refused: {record.reason}: {record.message}")
        console.print(f"fix: {FIXES[record.reason]}")
    if record.original and record.look:
        facts = record.original
        console.print(
            f"{facts.width} x {facts.height} {facts.format}, {in_units(facts.bytes)}, "
            f"{facts.frames} frame(s), dominant colour {record.look.dominant_colour}"
        )
        for line in _looks(record.look):
            console.print(line)
    for name, value in record.exif:
        console.print(f"{name}: {printable(value)}")
    table = Table("Rendition", "Size", "Bytes", box=None)
    for rendition in record.renditions:
        facts = rendition.facts
        table.add_row(printable(rendition.key), f"{facts.width} x {facts.height}", in_units(facts.bytes))
    console.print(table)


def _looks(look: Look) -> Iterator[str]:
    """What of a look people can use; records of earlier versions have only the hash."""
    if look.palette:
        yield f"palette {' '.join(look.palette)}"
    if look.focus:
        yield f"focus {look.focus[0]:g},{look.focus[1]:g}"
    yield f"ThumbHash {look.thumbhash}" + (f", BlurHash {look.blurhash}" if look.blurhash else "")
    yield f"perceptual hash {look.perceptual_hash}"


def reconcile_command(
    data: Data = None,
    recipe: RecipeFile = None,
    on_aws: Annotated[
        bool, typer.Option("--aws", help="The buckets that the settings name, instead of --data.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what needs work.")] = False,
    as_json: Json = False,
) -> None:
    """Find missing, stale and orphaned work, and do it.

    Exits with 1 if an original was refused, with 3 if some work could not be done now.
    """
    settings = settings_with(data=data, recipe=recipe)
    with _on_aws(settings) if on_aws else _on_this_machine(settings) as (bucket, stores, rules):
        found = list(reconciler(settings, rules, stores, bucket).findings())
        for finding in found:
            line = {"key": finding.key, "why": finding.why}
            typer.echo(json.dumps(line) if as_json else f"{finding.why}: {printable(finding.key)}")
        if not as_json:
            typer.echo(f"{len(found)} found" + (", nothing done (--dry-run)" if dry_run else ""))
        if dry_run or not found:
            return
        with workers(settings, rules, {bucket: stores}, _ROLE, Progress()) as crew:
            waits = []
            for finding in found:
                mend(finding, stores.processed, lambda upload: waits.append(crew.submit(upload)))
            _report([wait.exception() or wait.result() for wait in waits])


Place = tuple[str, Stores, Recipe]
"""What is reconciled: the upload bucket's name, the stores, and the recipe."""


@contextmanager
def _on_this_machine(settings: Settings) -> Iterator[Place]:
    with open_library(settings) as stores:
        yield BUCKET, stores, load_recipe(settings.recipe)


@contextmanager
def _on_aws(settings: Settings) -> Iterator[Place]:
    from image_processor.wiring.cloud import open_cloud  # noqa: PLC0415 - one machine has no use for S3

    chosen = {} if settings.recipe is None else {f"{PREFIX}RECIPE": settings.recipe}
    cloud = open_cloud({**os.environ, **chosen})
    yield cloud.bucket, Stores(cloud.uploads, cloud.processed, cloud.catalog), cloud.recipe


@contextmanager
def open_library(settings: Settings) -> Iterator[Stores]:
    """The stores of a library that must be there already: looking at one never makes one."""
    if not settings.data.is_dir():
        raise Invalid.one("--data", "a data directory that exists", str(settings.data))
    with open_stores(settings) as stores:
        yield stores


def _report(ends: list[Outcome | BaseException]) -> None:
    for end in ends:
        if isinstance(end, BaseException):
            typer.echo(f"not done: {end}", err=True)
        elif end.result is Result.REFUSED:
            reason = end.record.reason if end.record else None
            typer.echo(f"refused: {printable(end.key)} ({reason}): {end.detail}", err=True)
    if errors := [end for end in ends if isinstance(end, BaseException)]:
        raise typer.Exit(max(map(status_of, errors)))
    if any(isinstance(end, Outcome) and end.result is Result.REFUSED for end in ends):
        raise typer.Exit(SOME_REFUSED)


def _records(stores: Stores, query: Query, limit: int) -> list[Record]:
    records: list[Record] = []
    cursor: str | None = None
    while len(records) < limit:
        page = stores.catalog.list(query, limit=min(1000, limit - len(records)), cursor=cursor)
        records.extend(page.records)
        if (cursor := page.cursor) is None:
            break
    return records


def _row(record: Record) -> tuple[str, ...]:
    facts = record.original
    status = f"{record.status}: {record.reason}" if record.reason else str(record.status)
    if facts is None:
        return printable(record.key), status, "", "", "", ""
    size = f"{facts.width} x {facts.height}"
    return (
        printable(record.key),
        status,
        size,
        facts.format,
        in_units(facts.bytes),
        str(len(record.renditions)),
    )


def as_line(record: Record) -> str:
    """The record as one line of JSON, in the same words as the API's; there are no URLs here."""
    from image_processor.http_api.views import ImageView  # noqa: PLC0415 - half a second, for --json alone

    return ImageView.of(record, None).model_dump_json(exclude_none=True)
