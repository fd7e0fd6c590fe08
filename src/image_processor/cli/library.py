"""`list`, `show` and `similar`: what this machine's library holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table

from image_processor.config.settings import Settings
from image_processor.domain.errors import FIXES, Invalid
from image_processor.domain.models import ImageMetadata, Record, Status, VisualSummary
from image_processor.domain.ports import Query, Stores
from image_processor.domain.similarity import DEFAULT_LIMIT, NEAR, Similar, find_record, similar_to
from image_processor.standalone import bucket_name

from .console import open_console
from .context import CommandContext, command_context
from .options import Data, Json, settings_with
from .output import format_bytes, printable

_PAGE = 1000

_Key = Annotated[str, typer.Argument(help="Key or id of an original.", metavar="KEY")]


def list_command(
    ctx: typer.Context,
    data: Data = None,
    prefix: Annotated[str, typer.Option(help="Only originals whose key starts with this.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only originals with this status.")] = None,
    limit: Annotated[int, typer.Option(help="The most originals to list.", min=1)] = 1000,
    as_json: Json = False,
) -> None:
    """List the originals, newest first."""
    context = command_context(ctx)
    table = Table("Original", "Status", "Size", "Format", "Bytes", "Renditions", box=None)
    with open_library(context, settings_with(data=data)) as stores:
        for record in _records(stores, Query(prefix=prefix, status=status), limit):
            if as_json:
                typer.echo(context.image_json(record))
            else:
                table.add_row(*_list_row(record))
    if not as_json:
        open_console().print(table if table.row_count else "No originals.")


def show_command(ctx: typer.Context, key: _Key, data: Data = None, as_json: Json = False) -> None:
    """Show the metadata and the renditions of one original."""
    context = command_context(ctx)
    settings = settings_with(data=data)
    with open_library(context, settings) as stores:
        record = find_record(stores.catalog, bucket_name(settings), key)
    if as_json:
        typer.echo(context.image_json(record))
        return
    console = open_console(highlight=False)
    console.print(printable(record.key), style="bold", end="")
    console.print(f"  {record.status}  id {record.id}")
    for line in _description(record):
        console.print(line)
    table = Table("Rendition", "Size", "Bytes", box=None)
    for rendition in record.renditions:
        metadata = rendition.metadata
        table.add_row(printable(rendition.key), _size(metadata), format_bytes(metadata.bytes))
    if record.renditions:
        console.print(table)


def similar_command(
    ctx: typer.Context,
    key: _Key,
    distance: Annotated[int, typer.Option(help="The most bits in which the hashes differ, 0-64.")] = NEAR,
    limit: Annotated[int, typer.Option(help="The most originals to list, 1-1000.")] = DEFAULT_LIMIT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Find originals that look like one, nearest first: copies in other sizes, formats and qualities.

    Compares perceptual hashes: 0 means the same picture, 32 is usual for unrelated ones.
    """
    context = command_context(ctx)
    settings = settings_with(data=data)
    with open_library(context, settings) as stores:
        record = find_record(stores.catalog, bucket_name(settings), key)
        matches = similar_to(stores.catalog, record, distance=distance, limit=limit).matches
    if as_json:
        for match in matches:
            line = {"distance": match.distance, "image": json.loads(context.image_json(match.record))}
            typer.echo(json.dumps(line, ensure_ascii=False))
    elif matches:
        table = Table("Distance", "Original", "Size", "Format", "Bytes", box=None)
        for match in matches:
            table.add_row(*_similar_row(match))
        open_console().print(table)
    else:
        typer.echo(f"No original is within {distance} of {printable(record.key)}.")


@contextmanager
def open_library(context: CommandContext, settings: Settings) -> Iterator[Stores]:
    """The stores of an existing library. Raises Invalid if there is none: reading never creates one."""
    if not settings.uses_buckets and not settings.data.is_dir():
        raise Invalid.one("--data", "a data directory that exists", str(settings.data))
    with context.open_stores(settings) as stores:
        yield stores


def _records(stores: Stores, query: Query, limit: int) -> list[Record]:
    records: list[Record] = []
    cursor: str | None = None
    while len(records) < limit:
        page = stores.catalog.list(query, limit=min(_PAGE, limit - len(records)), cursor=cursor)
        records.extend(page.records)
        if (cursor := page.cursor) is None:
            break
    return records


def _description(record: Record) -> Iterator[str]:
    if record.reason:
        yield f"refused: {record.reason}: {record.message}"
        yield f"fix: {FIXES[record.reason]}"
    if record.original and record.summary:
        metadata, summary = record.original, record.summary
        of = f" of {metadata.file_frames}" if metadata.file_frames else ""
        yield (
            f"{_size(metadata)} {metadata.format}, {format_bytes(metadata.bytes)}, "
            f"{metadata.frames}{of} frame(s), dominant colour {summary.dominant_colour}"
        )
        yield from _summary_lines(summary)
    for name, value in record.exif:
        yield f"{name}: {printable(value)}"


def _summary_lines(summary: VisualSummary) -> Iterator[str]:
    """Records of earlier versions have no palette, focus or BlurHash."""
    if summary.palette:
        yield f"palette {' '.join(summary.palette)}"
    if summary.focus:
        yield f"focus {summary.focus[0]:g},{summary.focus[1]:g}"
    yield f"ThumbHash {summary.thumbhash}" + (f", BlurHash {summary.blurhash}" if summary.blurhash else "")
    yield f"perceptual hash {summary.perceptual_hash}"


def _list_row(record: Record) -> tuple[str, ...]:
    status = f"{record.status}: {record.reason}" if record.reason else str(record.status)
    metadata = record.original
    if metadata is None:
        return printable(record.key), status, "", "", "", ""
    return (
        printable(record.key),
        status,
        _size(metadata),
        metadata.format,
        format_bytes(metadata.bytes),
        str(len(record.renditions)),
    )


def _similar_row(match: Similar) -> tuple[str, ...]:
    start = (str(match.distance), printable(match.record.key))
    metadata = match.record.original
    if metadata is None:
        return start
    return *start, _size(metadata), metadata.format, format_bytes(metadata.bytes)


def _size(metadata: ImageMetadata) -> str:
    return f"{metadata.width} x {metadata.height}"
