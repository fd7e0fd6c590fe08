"""`similar`: which originals look like a given one."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from image_processor.bootstrap.standalone import BUCKET
from image_processor.domain.similarity import MANY, NEAR, Similar, find_record, similar_to

from .formatting import in_units, printable
from .library import as_line, open_library
from .options import Data, Json, settings_with


def command(
    key: Annotated[str, typer.Argument(help="An original's key, or its id.", metavar="KEY")],
    distance: Annotated[int, typer.Option(help="How many bits of the hashes may differ, 0-64.")] = NEAR,
    limit: Annotated[int, typer.Option(help="At most so many, 1-1000.")] = MANY,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Find originals that look like one, nearest first: copies of other sizes, formats and qualities.

    Compares perceptual hashes. 0 is as good as the same picture, 32 is what any two pictures have.
    """
    with open_library(settings_with(data=data)) as stores:
        record = find_record(stores.catalog, BUCKET, key)
        found = similar_to(stores.catalog, record, distance=distance, limit=limit)
    if as_json:
        for each in found:
            line = {"distance": each.distance, "image": json.loads(as_line(each.record))}
            typer.echo(json.dumps(line, ensure_ascii=False))
    elif found:
        table = Table("Distance", "Original", "Size", "Format", "Bytes", box=None)
        for each in found:
            table.add_row(*_row(each))
        Console(markup=False).print(table)
    else:
        typer.echo(f"No original is within {distance} of {printable(record.key)}.")


def _row(found: Similar) -> tuple[str, ...]:
    shown = (str(found.distance), printable(found.record.key))
    facts = found.record.original
    if facts is None:
        return shown
    return *shown, f"{facts.width} x {facts.height}", facts.format, in_units(facts.bytes)
