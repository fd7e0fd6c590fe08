"""`process`: renders files and directories, without a server and without a catalog on disk.

It runs the same ingest as the server, over directories and a catalog in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from image_processor.config.recipe import load_recipe
from image_processor.domain.errors import ImageProcessorError, Invalid, Problem
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Rendition, Upload

from .console import open_console
from .context import CommandContext, command_context
from .options import Json, RecipeFile, WorkerCount, settings_with
from .output import SOME_REFUSED, exit_status, format_bytes, printable

_ROLE = "process:"
_MAX_ROWS = 40


class FileResult(Struct, frozen=True):
    """How processing one file ended: with an outcome, or with an error that a retry may overcome."""

    key: str
    outcome: Outcome | None
    error: ImageProcessorError | None = None

    @property
    def status(self) -> str:
        return self.outcome.status if self.outcome else "failed"

    @property
    def reason(self) -> str | None:
        return self._record.reason if self._record else None

    @property
    def message(self) -> str | None:
        return self.outcome.detail if self.outcome else str(self.error)

    @property
    def size(self) -> int | None:
        """Bytes of the original; None if it was not read to its end."""
        return self._record.original.bytes if self._record and self._record.original else None

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        return self._record.renditions if self._record else ()

    @property
    def _record(self) -> Record | None:
        return self.outcome.record if self.outcome else None


def command(
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Images, or directories of images.", metavar="FILE|DIR...")
    ],
    out: Annotated[Path, typer.Option(help="Directory to write the renditions to.", file_okay=False)],
    recipe: RecipeFile = None,
    worker_count: WorkerCount = None,
    as_json: Json = False,
) -> None:
    """Render files and directories as a recipe declares, without a server.

    The renditions of cat.jpg go to OUT/cat.jpg/, one file each; OUT/.image-processor/ keeps their media
    types and cache headers. Presets with `eager = false` are rendered, too. Reports every refused or failed
    file and continues. Exits with 1 if an image was refused, with 3 if some work could not be done now.
    """
    context = command_context(ctx)
    settings = settings_with(recipe=recipe, workers=worker_count)
    rules = load_recipe(settings.recipe).without_lazy()  # no server makes them at their first view
    uploads = _find_uploads(context, paths, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid.one("--out", "a directory that can be created", f"{out}: {error.strerror}") from error
    results = []
    with (
        context.open_directories({upload.bucket for upload in uploads}, out) as stores,
        context.open_workers(
            settings, rules, stores, _ROLE, "another run of this command", summary=False
        ) as workers,
        _progress_bar(len(uploads)) as advance,
    ):
        pending = [workers.submit(upload) for upload in uploads]
        for future in pending:
            future.add_done_callback(advance)
        for upload, future in zip(uploads, pending, strict=True):
            results.append(_wait_for(upload, future))
            _report(results[-1], as_json=as_json)
    if not as_json:
        _print_summary(results, out)
    _exit(results)


def _find_uploads(context: CommandContext, paths: Sequence[Path], out: Path) -> list[Upload]:
    """One upload per file, with its directory as the bucket. Raises Invalid with every problem."""
    problems: list[Problem] = []
    found: dict[str, Upload] = {}
    target = out.resolve()
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            problems.append(Problem("FILE|DIR", "a file or directory that exists", repr(str(path))))
            continue
        # A link to a file keeps its own name, like a link that is found in a directory.
        resolved = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
        if resolved.is_dir() and (target.is_relative_to(resolved) or resolved.is_relative_to(target)):
            problems.append(Problem("--out", f"a directory outside {path}", repr(str(out))))
            continue
        for upload in _uploads_in(context, resolved):
            other = found.setdefault(upload.key, upload)
            if other != upload:
                both = f"{upload.key!r} from {other.bucket} and from {upload.bucket}"
                problems.append(Problem("FILE|DIR", "inputs with different names", both))
    if not found and not problems:
        problems.append(Problem("FILE|DIR", "at least one file", "none"))
    if problems:
        raise Invalid(problems)
    return list(found.values())


def _uploads_in(context: CommandContext, path: Path) -> Iterator[Upload]:
    if not path.is_dir():
        yield Upload(str(path.parent), path.name)
        return
    listing = context.list_files(path)
    for name in listing.skipped:
        typer.echo(f"left out: {printable(name)}: not a file, or its name is not UTF-8", err=True)
    yield from (Upload(str(path), key) for key in listing.keys)


def _wait_for(upload: Upload, future: Future[Outcome]) -> FileResult:
    try:
        return FileResult(upload.key, future.result())
    except ImageProcessorError as error:
        return FileResult(upload.key, None, error)


@contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[object], None]]:
    """A progress bar on standard error, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, markup=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("processing", total=total)
        yield lambda _: bar.advance(task)


def _report(result: FileResult, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_json_fields(result), ensure_ascii=False))
    elif result.error or result.status == OutcomeStatus.REFUSED:
        reason = f" ({result.reason})" if result.reason else ""
        typer.echo(f"{result.status}: {printable(result.key)}{reason}: {result.message}", err=True)


def _json_fields(result: FileResult) -> dict[str, object]:
    renditions = [
        {
            "key": rendition.key,
            "transformation": rendition.transformation,
            **to_builtins(rendition.metadata),
        }
        for rendition in result.renditions
    ]
    return {
        "original": result.key,
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "bytes": result.size,
        "renditions": renditions,
    }


def _print_summary(results: Sequence[FileResult], out: Path) -> None:
    """One row per image: the bytes of the original, and of its largest rendition."""
    done = [result for result in results if result.renditions]
    console = open_console()
    if done:
        console.print(_summary_table(done))
    statuses = [result.status for result in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    console.print(f"{counts}; renditions are in {out}", highlight=False, soft_wrap=True)


def _summary_table(done: Sequence[FileResult]) -> Table:
    table = Table("Original", "Bytes", "Renditions", "Largest", "Its bytes", "Saved", box=None)
    for result in done[:_MAX_ROWS]:
        largest = _largest(result)
        table.add_row(
            printable(result.key),
            format_bytes(result.size or 0),
            str(len(result.renditions)),
            f"{largest.metadata.width} x {largest.metadata.height} {largest.metadata.format}",
            format_bytes(largest.metadata.bytes),
            _saved(result.size or 0, largest.metadata.bytes),
        )
    if len(done) > _MAX_ROWS:
        table.add_row(f"... and {len(done) - _MAX_ROWS} more", "", "", "", "", "")
    if len(done) > 1:
        before = sum(result.size or 0 for result in done)
        after = sum(_largest(result).metadata.bytes for result in done)
        count = str(sum(len(result.renditions) for result in done))
        row = ("all", format_bytes(before), count, "", format_bytes(after), _saved(before, after))
        table.add_row(*row, style="bold")
    return table


def _largest(result: FileResult) -> Rendition:
    """The rendition with the most pixels; of several, the one with the fewest bytes."""
    return max(result.renditions, key=lambda r: (r.metadata.width * r.metadata.height, -r.metadata.bytes))


def _saved(before: int, after: int) -> str:
    return f"{100 - 100 * after / before:.0f} %" if before else ""


def _exit(results: Sequence[FileResult]) -> None:
    if errors := [result.error for result in results if result.error]:
        raise typer.Exit(max(map(exit_status, errors)))
    if any(result.status == OutcomeStatus.REFUSED for result in results):
        raise typer.Exit(SOME_REFUSED)
