"""`process`: files and directories in, renditions out, with no server and no catalog left behind.

It runs the same ingest as the server does, over directories as stores and a catalog in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from image_processor.bootstrap.recipe import load_recipe
from image_processor.bootstrap.standalone import Stores, workers
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.errors import ImageProcessorError, Invalid, Problem
from image_processor.domain.models import Outcome, OutcomeStatus, Rendition, Upload
from image_processor.standalone import progress as events
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

from .exit_codes import SOME_REFUSED, status_of
from .formatting import in_units, printable
from .options import Count, Json, RecipeFile, settings_with

_ROWS_SHOWN = 40


class FileResult(Struct, frozen=True):
    """How work on one input ended: an outcome, or the error that a retry might mend."""

    key: str
    outcome: Outcome | None
    error: ImageProcessorError | None = None

    @property
    def status(self) -> str:
        return self.outcome.status if self.outcome else "failed"

    @property
    def reason(self) -> str | None:
        record = self.outcome.record if self.outcome else None
        return record.reason if record else None

    @property
    def message(self) -> str | None:
        return self.outcome.detail if self.outcome else str(self.error)

    @property
    def size(self) -> int | None:
        """Bytes of the original; None where it was not read to its end."""
        record = self.outcome.record if self.outcome else None
        return record.original.bytes if record and record.original else None

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        record = self.outcome.record if self.outcome else None
        return record.renditions if record else ()


def command(
    paths: Annotated[
        list[Path], typer.Argument(help="Images, or directories of them.", metavar="FILE|DIR...")
    ],
    out: Annotated[Path, typer.Option(help="Directory that the renditions go to.", file_okay=False)],
    recipe: RecipeFile = None,
    workers_: Count = None,
    as_json: Json = False,
) -> None:
    """Make the renditions of files and directories, without any server.

    The renditions of cat.jpg go to OUT/cat.jpg/, one file each; OUT/.image-processor/ keeps their
    media types and cache headers. Exits with 1 if an image was refused, with 3 if some work could
    not be done now; the rest is done all the same.
    """
    settings = settings_with(recipe=recipe, workers=workers_)
    rules = load_recipe(settings.recipe)
    uploads = _gather(paths, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise Invalid.one("--out", "a directory that can be made", f"{out}: {failed.strerror}") from failed
    with closing(SqliteCatalog(":memory:")) as catalog:
        processed = DirectoryStore(out)
        stores = {
            root: Stores(DirectoryStore(Path(root)), processed, catalog)
            for root in {u.bucket for u in uploads}
        }
        with (
            workers(settings, rules, stores, "process:", events.Progress()) as pool,
            _bar(len(uploads)) as advance,
        ):
            waits = [pool.submit(upload) for upload in uploads]
            for wait in waits:
                wait.add_done_callback(advance)
            endings = []
            for upload, wait in zip(uploads, waits, strict=True):
                error = wait.exception()
                if error is not None and not isinstance(error, ImageProcessorError):
                    raise error
                endings.append(FileResult(upload.key, None if error else wait.result(), error))
                _tell(endings[-1], as_json=as_json)
    if not as_json:
        _summarise(endings, out)
    _exit(endings)


def _gather(paths: Sequence[Path], out: Path) -> list[Upload]:
    """An upload per file, with its directory as the bucket. Raises Invalid with every mistake."""
    problems: list[Problem] = []
    found: dict[str, Upload] = {}
    target = out.resolve()
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            problems.append(Problem("FILE|DIR", "a file or directory that exists", repr(str(path))))
            continue
        # A link to a file keeps its own name, and is judged like one found in a directory.
        resolved = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
        if resolved.is_dir() and (target.is_relative_to(resolved) or resolved.is_relative_to(target)):
            problems.append(Problem("--out", f"a directory outside {path}", repr(str(out))))
            continue
        for upload in _uploads_in(resolved):
            other = found.setdefault(upload.key, upload)
            if other != upload:
                both = f"{upload.key!r} from {other.bucket} and from {upload.bucket}"
                problems.append(Problem("FILE|DIR", "inputs with different names", both))
    if not found and not problems:
        problems.append(Problem("FILE|DIR", "at least one file", "none"))
    if problems:
        raise Invalid(problems)
    return list(found.values())


def _uploads_in(path: Path) -> Iterator[Upload]:
    if path.is_dir():
        keys = [entry.key for entry in DirectoryStore(path).list()]
        _tell_left_out(path, set(keys))
        yield from (Upload(str(path), key) for key in keys)
    else:
        yield Upload(str(path.parent), path.name)


def _tell_left_out(root: Path, keys: Collection[str]) -> None:
    """Name the files that are no objects of a store: pipes, dangling links, names that are no text."""
    for folder, _, names in os.walk(root):
        for name in names:
            key = os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - bytes that are no text
            if key not in keys and not key.startswith(f"{PRIVATE_FOLDER}{os.sep}"):
                typer.echo(f"left out: {printable(key)}: not a file, or its name is not UTF-8", err=True)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[object], None]]:
    """A progress bar on standard error, where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, markup=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("processing", total=total)
        yield lambda _: bar.advance(task)


def _tell(ending: FileResult, *, as_json: bool) -> None:
    if as_json:
        renditions = [
            {
                "key": rendition.key,
                "transformation": rendition.transformation,
                **to_builtins(rendition.metadata),
            }
            for rendition in ending.renditions
        ]
        line = {
            "original": ending.key,
            "status": ending.status,
            "reason": ending.reason,
            "message": ending.message,
            "bytes": ending.size,
            "renditions": renditions,
        }
        typer.echo(json.dumps(line, ensure_ascii=False))
    elif ending.error or ending.status == OutcomeStatus.REFUSED:
        reason = f" ({ending.reason})" if ending.reason else ""
        typer.echo(f"{ending.status}: {printable(ending.key)}{reason}: {ending.message}", err=True)


def _summarise(endings: Sequence[FileResult], out: Path) -> None:
    """A row per image: what a page would have sent, and what it sends now at full size."""
    done = [ending for ending in endings if ending.renditions]
    table = Table("Original", "Bytes", "Renditions", "Largest", "Its bytes", "Saved", box=None)
    for ending in done[:_ROWS_SHOWN]:
        largest = _largest(ending)
        table.add_row(
            printable(ending.key),
            in_units(ending.size or 0),
            str(len(ending.renditions)),
            f"{largest.metadata.width} x {largest.metadata.height} {largest.metadata.format}",
            in_units(largest.metadata.bytes),
            _saved(ending.size or 0, largest.metadata.bytes),
        )
    before, after = sum(e.size or 0 for e in done), sum(_largest(e).metadata.bytes for e in done)
    if len(done) > _ROWS_SHOWN:
        table.add_row(f"... and {len(done) - _ROWS_SHOWN} more", "", "", "", "", "")
    if len(done) > 1:
        made = str(sum(len(ending.renditions) for ending in done))
        table.add_row("all", in_units(before), made, "", in_units(after), _saved(before, after), style="bold")
    console = Console(markup=False)
    if done:
        console.print(table)
    counts = ", ".join(
        f"{sum(e.status == s for e in endings)} {s}" for s in dict.fromkeys(e.status for e in endings)
    )
    console.print(f"{counts}; renditions are in {out}", highlight=False, soft_wrap=True)


def _largest(ending: FileResult) -> Rendition:
    """The largest rendition, in the format that needs fewest bytes for it."""
    return max(ending.renditions, key=lambda r: (r.metadata.width * r.metadata.height, -r.metadata.bytes))


def _saved(before: int, after: int) -> str:
    return f"{100 - 100 * after / before:.0f} %" if before else ""


def _exit(endings: Sequence[FileResult]) -> None:
    if errors := [ending.error for ending in endings if ending.error]:
        raise typer.Exit(max(map(status_of, errors)))
    if any(ending.status == OutcomeStatus.REFUSED for ending in endings):
        raise typer.Exit(SOME_REFUSED)
