"""`dead-letters list`, `show` and `redrive`: what AWS gave up, why, and back into the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import ImageProcessorError, Invalid, InvalidSettings, Problem
from image_processor.ingest.dead_letters import (
    Diagnosis,
    diagnose_message,
    main_diagnosis,
    parse_message,
)
from image_processor.ingest.drift import Inspector

from .exit_codes import UNAVAILABLE, USAGE
from .formatting import printable
from .options import Json, settings_with

if TYPE_CHECKING:
    from image_processor.aws.queue import Letter, Queue

app = typer.Typer(no_args_is_help=True, help="Look at messages that AWS gave up, and send them again.")

_From = Annotated[
    str | None, typer.Option("--from", help="URL of the dead-letter queue.", show_default="DEAD_LETTERS")
]
_To = Annotated[str | None, typer.Option("--to", help="URL of the ingest queue.", show_default="QUEUE")]

_LOOK_SECONDS = 60
_MOVE_SECONDS = 300
_SHORT = 8
"""Signs of an id that are shown: enough to tell messages apart, and to name one."""
_ONE_MACHINE = (
    "dead letters are AWS's: set it to the stack's output DeadLetterQueueUrl. On one machine "
    "`image-processor list --status processing` shows what was not finished, and "
    "`image-processor reconcile` finishes it."
)


class _Case(Struct, frozen=True):
    """A letter and what was found out about it."""

    letter: Letter
    verdicts: tuple[Diagnosis, ...]
    ignored: tuple[str, ...]


@app.command("list")
def list_command(origin: _From = None, as_json: Json = False) -> None:
    """List the dead letters, oldest first, each with the reason why it may be one.

    The reason is derived from what buckets and catalog hold now: *unfinished* is worth a redrive;
    *unknown* means that nobody could look; *refused*, *settled* and *gone* will not change;
    *foreign-bucket* and *malformed* are none of ours.
    """
    settings = _settings(dead_letters=origin)
    with _queue(settings, "DEAD_LETTERS") as queue:
        cases = _cases(_looked_at(queue), settings)
    table = Table("Id", "Reason", "First sent", "Receives", "Key", "Version", box=None)
    for case in cases:
        if as_json:
            typer.echo(json.dumps(_as_object(case)))
        else:
            table.add_row(*_row(case))
    if not as_json:
        Console(markup=False, highlight=False).print(table if cases else "No dead letters.")


@app.command("show")
def show_command(
    id_: Annotated[str, typer.Argument(help="A message's id, or its beginning.", metavar="ID")],
    origin: _From = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter whole: its reasons, attributes and body."""
    settings = _settings(dead_letters=origin)
    with _queue(settings, "DEAD_LETTERS") as queue:
        (letter,) = _named(_looked_at(queue), [id_])
        (case,) = _cases([letter], settings)
    whole = {"attributes": letter.attributes, "message_attributes": letter.extras, "body": letter.body}
    if as_json:
        typer.echo(json.dumps({**_as_object(case), **whole}))
        return
    typer.echo(f"id {letter.id}")
    for verdict in case.verdicts:
        about = f": {printable(verdict.upload.key)}" if verdict.upload else ""
        typer.echo(f"{verdict.reason}{about}{_detail(verdict)}")
    for reason in case.ignored:
        typer.echo(f"left out: {printable(reason)}")
    for name, value in {**letter.attributes, **letter.extras}.items():
        typer.echo(f"{printable(name)}: {printable(value if isinstance(value, str) else json.dumps(value))}")
    for line in _pretty(letter.body).split("\n"):
        typer.echo(printable(line))


@app.command("redrive")
def redrive_command(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids, or their beginnings.", metavar="[ID]...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    origin: _From = None,
    destination: _To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be sent.")] = False,
) -> None:
    """Send dead letters to the ingest queue again, and only then delete them.

    What is interrupted is in both queues, which is harmless. Exits with 3 if something was not moved.
    """
    if bool(ids) == every:
        raise Invalid.one("redrive", "either IDs or --all", "both" if every else "neither")
    settings = _settings(dead_letters=origin, queue=destination)
    with _queue(settings, "DEAD_LETTERS") as dead, _queue(settings, "QUEUE") as live:
        if settings.queue == settings.dead_letters:
            raise Invalid.one("--to", "another queue than the dead letters'", settings.queue)
        found = dead.collect(_LOOK_SECONDS if dry_run else _MOVE_SECONDS)
        rest = {letter.id: letter for letter in found}
        try:
            chosen = found if every else _named(found, ids or [])
            for letter in chosen if not dry_run else ():
                if _is_moved(letter, dead, live):
                    del rest[letter.id]
        finally:
            _give_back(dead, list(rest.values()))
    moved, failed = len(found) - len(rest), 0 if dry_run else len(chosen) - (len(found) - len(rest))
    if dry_run:
        for letter in chosen:
            typer.echo(f"{letter.id[:_SHORT]}: {', '.join(_keys(letter)) or 'no upload in it'}")
        typer.echo(f"{len(chosen)} to redrive, nothing done (--dry-run)")
        return
    typer.echo(f"{moved} redriven, {failed} not, {len(rest) - failed} left alone")
    if failed:
        raise typer.Exit(UNAVAILABLE)


def _is_moved(letter: Letter, dead: Queue, live: Queue) -> bool:
    from image_processor.aws.queue import move  # noqa: PLC0415 - only who moves letters needs it

    try:
        move(letter, dead, live)
    except ImageProcessorError as error:
        typer.echo(f"not done: {letter.id[:_SHORT]}: {error}", err=True)
        return False
    return True


def _settings(**chosen: str | None) -> Settings:
    """As settings_with, with mistakes under the names that the options have here."""
    options = {"--dead_letters": "--from", "--queue": "--to"}
    try:
        return settings_with(**chosen)
    except InvalidSettings as error:
        problems = [
            replace(problem, name=options.get(problem.name, problem.name)) for problem in error.problems
        ]
        raise InvalidSettings(problems) from None


@contextmanager
def _queue(settings: Settings, name: str) -> Iterator[Queue]:
    from image_processor.aws.queue import Queue  # noqa: PLC0415 - one machine has no use for SQS

    url = getattr(settings, name.lower())
    if url is None:
        typer.echo(f"error: expected a queue URL for {PREFIX}{name}, got nothing", err=True)
        hint = _ONE_MACHINE if name == "DEAD_LETTERS" else "set it to the stack's output QueueUrl."
        typer.echo(f"fix: {hint}", err=True)
        raise typer.Exit(USAGE)
    with closing(Queue(url)) as queue:
        yield queue


def _looked_at(queue: Queue) -> list[Letter]:
    letters = queue.collect(_LOOK_SECONDS)
    _give_back(queue, letters)
    return letters


def _give_back(queue: Queue, letters: Sequence[Letter]) -> None:
    # Without it they come back by themselves, later.
    with suppress(ImageProcessorError):
        queue.give_back(letters)


def _named(letters: Sequence[Letter], ids: Sequence[str]) -> list[Letter]:
    """The letters that ``ids`` name, in their order, each once. Raises Invalid with every mistake."""
    problems: list[Problem] = []
    chosen: dict[str, Letter] = {}
    for id_ in ids:
        fitting = [letter for letter in letters if id_ and letter.id.startswith(id_)]
        if len(fitting) == 1:
            chosen[fitting[0].id] = fitting[0]
        else:
            expected = "more of the id, since several begin so," if fitting else "the id of a dead letter"
            problems += Invalid.one("ID", expected, id_).problems
    if problems:
        raise Invalid(problems)
    return list(chosen.values())


def _cases(letters: Sequence[Letter], settings: Settings) -> list[_Case]:
    inspector = _inspector(settings) if letters else None
    cases = []
    for letter in letters:
        message = parse_message(letter.id, letter.body)
        bucket, inspect = (inspector.bucket, inspector.inspect) if inspector else (None, None)
        verdicts = diagnose_message(message, bucket, inspect)
        cases.append(_Case(letter, verdicts, message.ignored if message.uploads else ()))
    return cases


def _inspector(settings: Settings) -> Inspector | None:
    """None where no bucket is set, so that nobody can look."""
    if settings.upload_bucket is None and settings.processed_bucket is None:
        return None
    from image_processor.bootstrap.aws import open_aws_context  # noqa: PLC0415 - with the engine, half a second

    cloud = open_aws_context()
    return Inspector(
        cloud.bucket,
        cloud.uploads,
        cloud.processed,
        cloud.catalog,
        cloud.recipe,
        settings.limits,
        settings.icc,
        settings.exif,
    )


def _keys(letter: Letter) -> list[str]:
    return [printable(upload.key) for upload in parse_message(letter.id, letter.body).uploads]


def _row(case: _Case) -> tuple[str, ...]:
    first = main_diagnosis(case.verdicts)
    uploads = [verdict.upload for verdict in case.verdicts if verdict.upload]
    sent = datetime.fromtimestamp(case.letter.sent_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        case.letter.id[:_SHORT],
        f"{first.reason}{_detail(first)}",
        sent if case.letter.sent_ms else "",
        str(case.letter.receives),
        "\n".join(printable(upload.key) for upload in uploads),
        "\n".join(printable(upload.version or "") for upload in uploads),
    )


def _detail(verdict: Diagnosis) -> str:
    return f" ({printable(verdict.detail)})" if verdict.detail else ""


def _as_object(case: _Case) -> dict[str, Any]:
    first = main_diagnosis(case.verdicts)
    return {
        "id": case.letter.id,
        "reason": first.reason,
        "detail": first.detail,
        "sent_at": datetime.fromtimestamp(case.letter.sent_ms / 1000, UTC).isoformat(),
        "receives": case.letter.receives,
        "uploads": [
            {
                "bucket": verdict.upload.bucket,
                "key": verdict.upload.key,
                "version": verdict.upload.version,
                "kind": verdict.upload.kind,
                "reason": verdict.reason,
                "detail": verdict.detail,
            }
            for verdict in case.verdicts
            if verdict.upload
        ],
        "ignored": list(case.ignored),
    }


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
