"""`events`: outcome events of one machine that its receiver has not accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from image_processor.domain.errors import Invalid

from .console import open_console
from .context import command_context
from .options import Data, Json, settings_with
from .output import printable

app = typer.Typer(
    no_args_is_help=True,
    help="List outcome events that the receiver of webhooks has not accepted, and send dead ones again.",
)


@app.command("list")
def list_command(
    ctx: typer.Context,
    data: Data = None,
    limit: Annotated[int, typer.Option(help="The most events to list.", min=1)] = 1000,
    as_json: Json = False,
) -> None:
    """List the events that are not sent yet, oldest first. Dead ones are sent only after a redrive."""
    with command_context(ctx).open_event_queue(settings_with(data=data)) as queue:
        events = queue.list(limit=limit)
    if as_json:
        for event in events:
            line = {
                "event": json.loads(event.message.body),
                "attempts": event.attempts,
                "error": event.error,
                "due_at": event.due_at.isoformat() if event.due_at else None,
            }
            typer.echo(json.dumps(line, ensure_ascii=False))
        return
    table = Table("Event", "Original", "Type", "Attempts", "Next", "Last error", box=None)
    for event in events:
        type_ = json.loads(event.message.body)["type"]
        due = f"{event.due_at:%Y-%m-%d %H:%M:%S}" if event.due_at else "dead"
        row = (event.message.id, printable(event.message.key), type_, str(event.attempts), due)
        table.add_row(*row, printable(event.error or ""))
    open_console().print(table if table.row_count else "No events wait.")


@app.command("redrive")
def redrive_command(
    ctx: typer.Context,
    id_: Annotated[str | None, typer.Argument(help="Id of a dead event.", metavar="ID")] = None,
    every: Annotated[bool, typer.Option("--all", help="Send all dead events again.")] = False,
    data: Data = None,
) -> None:
    """Send dead events again. A running server sends them within a minute, else the next one does."""
    if (id_ is None) != every:
        raise Invalid.one(
            "ID", "the id of a dead event, or --all", f"{id_} and --all" if every else "nothing"
        )
    with command_context(ctx).open_event_queue(settings_with(data=data)) as queue:
        count = queue.redrive(datetime.now(UTC), id_)
    if id_ is not None and not count:
        raise Invalid.one("ID", "the id of a dead event", id_)
    typer.echo(f"{count} events are sent again.")
