"""`dead-letters list`, `show` and `redrive`: messages that failed too often on AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.table import Table

from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import ImageProcessorError, Invalid, InvalidSettings, Problem
from image_processor.ingest.dead_letters import (
    Diagnosis,
    diagnose_message,
    main_diagnosis,
    parse_message,
)

from .aws_session import open_session
from .aws_target import AwsTarget, read_stack
from .console import open_console
from .context import CommandContext, command_context
from .options import Json, Profile, Region, StackName, settings_with
from .output import UNAVAILABLE, USAGE, printable
from .sqs import Queue, QueueMessage

app = typer.Typer(no_args_is_help=True, help="Inspect messages that failed too often, and send them again.")

_From = Annotated[
    str | None, typer.Option("--from", help="URL of the dead-letter queue.", show_default="DEAD_LETTERS")
]
_To = Annotated[str | None, typer.Option("--to", help="URL of the ingest queue.", show_default="QUEUE")]

_INSPECT_SECONDS = 60
"""How long messages are hidden from other receivers while they are listed."""
_MOVE_SECONDS = 300
"""The same while they are moved."""
_SHORT_ID = 8
"""Characters of an id that are printed: enough to distinguish messages, and to name one."""
_ONE_MACHINE = (
    "only AWS has dead letters: name the stack with --stack, or set it to the stack's output "
    "DeadLetterQueueUrl. On one machine "
    "`image-processor list --status processing` lists unfinished uploads, and "
    "`image-processor reconcile` finishes them."
)


class _Case(Struct, frozen=True):
    """A dead letter, with a diagnosis for each upload in it."""

    message: QueueMessage
    diagnoses: tuple[Diagnosis, ...]
    ignored: tuple[str, ...]


@app.command("list")
def list_command(
    ctx: typer.Context,
    source: _From = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """List the dead letters, oldest first, each with the likely reason.

    The reason is derived from what the buckets and the catalog hold now. A redrive helps for *unfinished*.
    *unknown* means that the buckets could not be read. A redrive changes nothing for *refused*, *settled*
    and *gone*, nor for *foreign-bucket* and *malformed*, which the processor ignores.
    """
    target = _open_target(stack, profile, region, dead_letters=source)
    url = _queue_url(target.settings, "DEAD_LETTERS")
    cases = _diagnose(command_context(ctx), target, _peek(Queue(target.session, url)))
    if as_json:
        for case in cases:
            typer.echo(json.dumps(_json_fields(case)))
        return
    table = Table("Id", "Reason", "First sent", "Receives", "Key", "Version", box=None)
    for case in cases:
        table.add_row(*_row(case))
    open_console(highlight=False).print(table if cases else "No dead letters.")


@app.command("show")
def show_command(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(help="The id of a message, or a prefix of it.", metavar="ID")],
    source: _From = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter in full: its reasons, attributes and body."""
    target = _open_target(stack, profile, region, dead_letters=source)
    url = _queue_url(target.settings, "DEAD_LETTERS")
    (message,) = _select(_peek(Queue(target.session, url)), [id_])
    (case,) = _diagnose(command_context(ctx), target, [message])
    if as_json:
        content = {
            "attributes": message.attributes,
            "message_attributes": message.message_attributes,
            "body": message.body,
        }
        typer.echo(json.dumps({**_json_fields(case), **content}))
        return
    for line in _description(case):
        typer.echo(line)


@app.command("redrive")
def redrive_command(  # noqa: PLR0913, PLR0917 - one per option
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of messages, or prefixes of them.", metavar="[ID]...")
    ] = None,
    redrive_all: Annotated[bool, typer.Option("--all", help="Redrive every dead letter.")] = False,
    source: _From = None,
    destination: _To = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be moved.")] = False,
) -> None:
    """Move dead letters back to the ingest queue.

    With --all SQS moves them itself. Single messages are sent, and then deleted: after an interruption one
    may be in both queues, which is harmless. Exits with 3 if a message was not moved.
    """
    if bool(ids) == redrive_all:
        raise Invalid.one("redrive", "either IDs or --all", "both" if redrive_all else "neither")
    target = _open_target(stack, profile, region, dead_letters=source, queue=destination)
    settings, session = target.settings, target.session
    source_url, destination_url = _queue_url(settings, "DEAD_LETTERS"), _queue_url(settings, "QUEUE")
    if source_url == destination_url:
        raise Invalid.one("--to", "another queue than the dead letters'", destination_url)
    dead, live = Queue(session, source_url), Queue(session, destination_url)
    if dry_run:
        _print_plan(_peek(dead), ids)
    elif ids:
        _move_selected(dead, live, ids)
    else:
        _move_all(dead, live)


def _print_plan(messages: Sequence[QueueMessage], ids: Sequence[str] | None) -> None:
    selected = _select(messages, ids) if ids else messages
    for message in selected:
        typer.echo(f"{message.id[:_SHORT_ID]}: {', '.join(_keys(message)) or 'no upload in it'}")
    typer.echo(f"{len(selected)} to redrive, nothing done (--dry-run)")


def _move_all(dead: Queue, live: Queue) -> None:
    result = dead.move_all(live)
    if result.failure is not None:
        typer.echo(f"not done: {result.failure}", err=True)
    _print_counts(result.moved, result.remaining, 0)
    if result.failure is not None or result.remaining:
        raise typer.Exit(UNAVAILABLE)


def _move_selected(dead: Queue, live: Queue, ids: Sequence[str]) -> None:
    """Send each selected message, then delete it, so that it is always in one queue at least."""
    messages = dead.receive_all(_MOVE_SECONDS)
    remaining = {message.id: message for message in messages}
    failed = 0
    try:
        for message in _select(messages, ids):
            try:
                live.send(message)
                dead.delete(message)
            except ImageProcessorError as error:
                typer.echo(f"not done: {message.id[:_SHORT_ID]}: {error}", err=True)
                failed += 1
            else:
                del remaining[message.id]
    finally:
        _release(dead, list(remaining.values()))
    _print_counts(len(messages) - len(remaining), failed, len(remaining) - failed)
    if failed:
        raise typer.Exit(UNAVAILABLE)


def _print_counts(moved: int, failed: int, untouched: int) -> None:
    typer.echo(f"{moved} redriven, {failed} not, {untouched} left alone")


def _open_target(
    stack: str | None, profile: str | None, region: str | None, **queues: str | None
) -> AwsTarget:
    """The stack, or without one the environment's settings, which must name ``queues``. A queue that is given
    precedes the stack's."""
    given = _settings(**queues)
    if stack is None:
        for name in queues:
            _queue_url(given, name.upper())
        return AwsTarget(given, open_session(profile, region))
    target = read_stack(open_session(profile, region), stack)
    named = {name: getattr(given, name) for name, url in queues.items() if url is not None}
    return replace(target, settings=replace(target.settings, **named))


def _settings(**options: str | None) -> Settings:
    """As settings_with, with problems under the names that the options have here."""
    names = {"--dead-letters": "--from", "--queue": "--to"}
    try:
        return settings_with(**options)
    except InvalidSettings as error:
        problems = [
            replace(problem, name=names.get(problem.name, problem.name)) for problem in error.problems
        ]
        raise InvalidSettings(problems) from None


def _queue_url(settings: Settings, name: str) -> str:
    """The URL of a queue's setting. Ends the command with a hint if it is not set."""
    url: str | None = getattr(settings, name.lower())
    if url is not None:
        return url
    typer.echo(f"error: expected a queue's URL for {PREFIX}{name}, got nothing", err=True)
    hint = _ONE_MACHINE if name == "DEAD_LETTERS" else "set it to the stack's output QueueUrl."
    typer.echo(f"fix: {hint}", err=True)
    raise typer.Exit(USAGE)


def _peek(queue: Queue) -> list[QueueMessage]:
    """All messages, which are visible to others again at once."""
    messages = queue.receive_all(_INSPECT_SECONDS)
    _release(queue, messages)
    return messages


def _release(queue: Queue, messages: Sequence[QueueMessage]) -> None:
    # If it fails the messages become visible later, by themselves.
    with suppress(ImageProcessorError):
        queue.release(messages)


def _select(messages: Sequence[QueueMessage], ids: Sequence[str]) -> list[QueueMessage]:
    """The messages with these ids or prefixes, each once. Raises Invalid with every problem."""
    problems: list[Problem] = []
    selected: dict[str, QueueMessage] = {}
    for id_ in ids:
        matches = [message for message in messages if id_ and message.id.startswith(id_)]
        if len(matches) == 1:
            selected[matches[0].id] = matches[0]
        else:
            expected = "a longer prefix of one id (several match)" if matches else "the id of a dead letter"
            problems += Invalid.one("ID", expected, id_).problems
    if problems:
        raise Invalid(problems)
    return list(selected.values())


def _diagnose(context: CommandContext, target: AwsTarget, messages: Sequence[QueueMessage]) -> list[_Case]:
    """Why each message failed. Without buckets in the settings no state can be inspected."""
    bucket, inspect = None, None
    settings = target.settings
    if messages and (settings.upload_bucket or settings.processed_bucket):
        inspector = context.build_reconciler(settings, target.open_library(context))
        bucket, inspect = inspector.bucket, inspector.inspect
    cases = []
    for message in messages:
        parsed = parse_message(message.id, message.body)
        diagnoses = diagnose_message(parsed, bucket, inspect)
        cases.append(_Case(message, diagnoses, parsed.ignored if parsed.uploads else ()))
    return cases


def _keys(message: QueueMessage) -> list[str]:
    return [printable(upload.key) for upload in parse_message(message.id, message.body).uploads]


def _row(case: _Case) -> tuple[str, ...]:
    diagnosis = main_diagnosis(case.diagnoses)
    uploads = [item.upload for item in case.diagnoses if item.upload]
    sent = datetime.fromtimestamp(case.message.sent_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        case.message.id[:_SHORT_ID],
        f"{diagnosis.reason}{_detail(diagnosis)}",
        sent if case.message.sent_ms else "",
        str(case.message.receives),
        "\n".join(printable(upload.key) for upload in uploads),
        "\n".join(printable(upload.version or "") for upload in uploads),
    )


def _description(case: _Case) -> Iterator[str]:
    message = case.message
    yield f"id {message.id}"
    for diagnosis in case.diagnoses:
        key = f": {printable(diagnosis.upload.key)}" if diagnosis.upload else ""
        yield f"{diagnosis.reason}{key}{_detail(diagnosis)}"
    for reason in case.ignored:
        yield f"ignored: {printable(reason)}"
    for name, value in {**message.attributes, **message.message_attributes}.items():
        text = value if isinstance(value, str) else json.dumps(value, default=repr)
        yield f"{printable(name)}: {printable(text)}"
    for line in _indented(message.body).split("\n"):
        yield printable(line)


def _detail(diagnosis: Diagnosis) -> str:
    return f" ({printable(diagnosis.detail)})" if diagnosis.detail else ""


def _json_fields(case: _Case) -> dict[str, Any]:
    diagnosis = main_diagnosis(case.diagnoses)
    return {
        "id": case.message.id,
        "reason": diagnosis.reason,
        "detail": diagnosis.detail,
        "sent_at": datetime.fromtimestamp(case.message.sent_ms / 1000, UTC).isoformat(),
        "receives": case.message.receives,
        "uploads": [
            {
                "bucket": item.upload.bucket,
                "key": item.upload.key,
                "version": item.upload.version,
                "kind": item.upload.kind,
                "reason": item.reason,
                "detail": item.detail,
            }
            for item in case.diagnoses
            if item.upload
        ],
        "ignored": list(case.ignored),
    }


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
