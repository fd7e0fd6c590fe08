"""`list` and `show`: what the library holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from image_processor.bootstrap.standalone import BUCKET, Stores, open_stores
from image_processor.config.settings import Settings
from image_processor.domain.errors import FIXES, Invalid
from image_processor.domain.models import Record, Status, VisualSummary
from image_processor.domain.ports import Query
from image_processor.domain.similarity import find_record

from .formatting import in_units, printable
from .options import Data, Json, settings_with


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
    if record.original and record.summary:
        facts = record.original
        console.print(
            f"{facts.width} x {facts.height} {facts.format}, {in_units(facts.bytes)}, "
            f"{facts.frames} frame(s), dominant colour {record.summary.dominant_colour}"
        )
        for line in _looks(record.summary):
            console.print(line)
    for name, value in record.exif:
        console.print(f"{name}: {printable(value)}")
    table = Table("Rendition", "Size", "Bytes", box=None)
    for rendition in record.renditions:
        facts = rendition.metadata
        table.add_row(printable(rendition.key), f"{facts.width} x {facts.height}", in_units(facts.bytes))
    console.print(table)


def _looks(look: VisualSummary) -> Iterator[str]:
    """What of a look people can use; records of earlier versions have only the hash."""
    if look.palette:
        yield f"palette {' '.join(look.palette)}"
    if look.focus:
        yield f"focus {look.focus[0]:g},{look.focus[1]:g}"
    yield f"ThumbHash {look.thumbhash}" + (f", BlurHash {look.blurhash}" if look.blurhash else "")
    yield f"perceptual hash {look.perceptual_hash}"


@contextmanager
def open_library(settings: Settings) -> Iterator[Stores]:
    """The stores of a library that must be there already: looking at one never makes one."""
    if not settings.data.is_dir():
        raise Invalid.one("--data", "a data directory that exists", str(settings.data))
    with open_stores(settings) as stores:
        yield stores


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
    from image_processor.api.schemas import ImageModel  # noqa: PLC0415 - half a second, for --json alone

    return ImageModel.of(record, None).model_dump_json(exclude_none=True)
