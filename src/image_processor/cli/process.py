"""`process`: renders files and directories, without a server and without a catalog on disk.

It runs the same ingest as the server, over directories and a catalog in memory.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console

from image_processor.config.recipe import Recipe, load_recipe
from image_processor.domain.errors import ImageProcessorError, Invalid
from image_processor.domain.models import ImageMetadata, Outcome, OutcomeStatus, Rendition, Upload
from image_processor.domain.ports import Stores

from .context import CommandContext, command_context
from .options import Json, Quiet, RecipeFile, WorkerCount, settings_with
from .output import SOME_REFUSED, exit_status, printable
from .process_inputs import Input, find_inputs, report_left_out
from .process_names import Template, check_names, has_current_renditions, name_taken, planned_names
from .process_report import FileResult, json_fields, print_summary

if TYPE_CHECKING:
    from image_processor.standalone.workers import Workers

_ROLE = "process:"

SizeOf = Callable[[Path], ImageMetadata | None]
"""Reads the header of an original; None for one that is refused."""


class _Mode(Struct, frozen=True):
    """What the options ask for."""

    as_json: bool
    quiet: bool
    verbose: bool
    template: Template | None


def command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Images, or directories of images.", metavar="FILE|DIR...")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory to write the renditions to.", file_okay=False)
    ],
    recipe: RecipeFile = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of each file, such as `{stem}-{width}.{ext}`; also `{height}`, `{format}` and "
            "`{options}`.",
            show_default="one directory for each original",
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave out files whose renditions exist and are not older than they."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print what would be rendered, and render nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then render what is added or changed, until Ctrl-C.")
    ] = False,
    worker_count: WorkerCount = None,
    quiet: Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for each rendition.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Render files and directories as a recipe declares, without a server.

    The renditions of cat.jpg go to OUT/cat.jpg/, one file each; OUT/.image-processor/ keeps their media
    types and cache headers. With --name they go to files of that name, and nothing else is written. Inputs
    with a file name in common keep their folders. Presets with `eager = false` are rendered, too. Reports
    every refused or failed file and continues. Exits with 1 if an image was refused, with 3 if some work
    could not be done now.
    """
    context = command_context(ctx)
    settings = settings_with(recipe=recipe, workers=worker_count)
    rules = load_recipe(settings.recipe).without_lazy()  # no server makes them at their first view
    mode = _Mode(as_json, quiet, verbose, None if name is None else Template.read(name))
    inputs = find_inputs(paths, out, context.list_files, report_left_out)
    if watch and not all(item.is_whole for item in inputs):
        raise Invalid.one("--watch", "directories as inputs", "a file")
    uploads = [item.upload(name) for item in inputs for name in item.names]
    check_names((upload.key for upload in uploads), rules, mode.template)
    size_of = partial(context.read_metadata, settings)
    current: list[FileResult] = []
    if skip_existing:
        uploads, current = _left_to_do(uploads, rules, mode.template, out, size_of)
    if dry_run:
        _print_plan(uploads, rules, mode.template, size_of)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid.one("--out", "a directory that can be created", f"{out}: {error.strerror}") from error
    buckets = {item.upload("").bucket for item in inputs}
    with (
        _store_root(out, mode.template) as root,
        context.open_directories(buckets, root) as stores,
        context.open_workers(
            settings, rules, stores, _ROLE, "another run of this command", summary=False
        ) as workers,
    ):
        run = _Run(mode, out, stores, workers)
        for result in current:
            run.report(result)
        results = current + run.process(uploads)
        if watch:
            _watch(context, inputs, stores, run)
    if not as_json and not quiet:
        print_summary(results, out)
    _exit(results)


def _left_to_do(
    uploads: Sequence[Upload], recipe: Recipe, template: Template | None, out: Path, size_of: SizeOf
) -> tuple[list[Upload], list[FileResult]]:
    """The uploads whose renditions are not all there, and the results of the others."""
    left, current = [], []
    for upload in uploads:
        if has_current_renditions(_path(upload), upload.key, recipe, template, out, size_of):
            current.append(FileResult(upload.key, None, is_current=True))
        else:
            left.append(upload)
    return left, current


def _path(upload: Upload) -> Path:
    return Path(upload.bucket) / upload.key


def _print_plan(
    uploads: Sequence[Upload], recipe: Recipe, template: Template | None, size_of: SizeOf
) -> None:
    for upload in uploads:
        known = size_of(_path(upload)) if template is not None and template.needs_size else None
        for name in planned_names(upload.key, recipe, template, known):
            typer.echo(f"{printable(upload.key)} -> {printable(name)}")


@contextmanager
def _store_root(out: Path, template: Template | None) -> Iterator[Path]:
    """Where renditions are stored by their keys: in ``out``, or with a template in a temporary folder there,
    from which they are moved."""
    if template is None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix=".image-processor-", dir=out) as folder:
        yield Path(folder)


class _Run:
    """Has workers process uploads, and reports what comes of them."""

    def __init__(self, mode: _Mode, out: Path, stores: Mapping[str, Stores], workers: Workers) -> None:
        self._mode = mode
        self._out = out
        self._stores = stores
        self._workers = workers
        self._names: dict[str, str] = {}

    @property
    def is_quiet(self) -> bool:
        return self._mode.quiet or self._mode.as_json

    def process(self, uploads: Sequence[Upload]) -> list[FileResult]:
        """The results, in order; each is reported as soon as all before it have been."""
        results = []
        with _progress_bar(len(uploads), quiet=self._mode.quiet) as (advance, console):
            pending = [self._workers.submit(upload) for upload in uploads]
            for future in pending:
                future.add_done_callback(advance)
            for upload, future in zip(uploads, pending, strict=True):
                results.append(self._finish(upload, future))
                self._report(results[-1], console)
        return results

    def report(self, result: FileResult) -> None:
        """Report a file that is not processed."""
        self._report(result, Console(stderr=True, markup=False, highlight=False))

    def follow(self, upload: Upload, console: Console) -> None:
        """Process an upload without waiting for it."""
        future = self._workers.submit(upload)
        future.add_done_callback(lambda done: self._report(self._finish(upload, done), console))

    def _finish(self, upload: Upload, future: Future[Outcome]) -> FileResult:
        try:
            result = FileResult(upload.key, future.result())
            return result if self._mode.template is None else self._named(upload, result, self._mode.template)
        except ImageProcessorError as error:
            return FileResult(upload.key, None, error)

    def _named(self, upload: Upload, result: FileResult, template: Template) -> FileResult:
        """Move the renditions to the names of the template. Of two that are the same, as of an original
        that is smaller than both widths, one is kept. Raises Invalid if other ones have the same name, before
        any of them is moved."""
        processed = self._stores[upload.bucket].processed
        named: dict[str, Rendition] = {}
        for rendition in result.renditions:
            name = template.name(upload.key, rendition)
            first = named.setdefault(name, rendition)
            if first.metadata.sha256 != rendition.metadata.sha256:
                raise name_taken(name, first.key, rendition.key)
        for name, rendition in named.items():
            if (taken := self._names.get(name, rendition.key)) != rendition.key:
                raise name_taken(name, taken, rendition.key)
        for name, rendition in named.items():
            self._names[name] = rendition.key
            _write(self._out / name, processed.get(rendition.key).body)
        return result.with_renditions([replace(item, key=name) for name, item in named.items()])

    def _report(self, result: FileResult, console: Console) -> None:
        if self._mode.as_json:
            typer.echo(json.dumps(json_fields(result), ensure_ascii=False))
            return
        if result.error or result.status == OutcomeStatus.REFUSED:
            reason = f" ({result.reason})" if result.reason else ""
            _print(console, f"{result.status}: {printable(result.key)}{reason}: {result.message}")
        elif self._mode.verbose and result.status == OutcomeStatus.PROCESSED:
            for rendition in result.renditions:
                size = f"{rendition.metadata.width} x {rendition.metadata.height}"
                _print(console, f"{printable(result.key)} -> {printable(rendition.key)}: {size}")


def _write(file: Path, body: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        partial.write_bytes(body)
        partial.replace(file)
    except OSError as error:
        raise Invalid.one("--name", "a file that can be written", f"{file}: {error.strerror}") from error


def _watch(context: CommandContext, inputs: Sequence[Input], stores: Mapping[str, Stores], run: _Run) -> None:
    """Process what appears below the inputs until Ctrl-C."""
    console = Console(stderr=True, markup=False, highlight=False)
    directories = {item.directory: item for item in inputs}

    def submit(upload: Upload) -> None:
        item = directories[Path(upload.bucket)]
        moved = item.upload(upload.key)
        run.follow(replace(upload, bucket=moved.bucket, key=moved.key), console)

    catalog = next(iter(stores.values())).catalog
    with context.watch(list(directories), catalog, submit):
        if not run.is_quiet:
            _print(console, "watching; Ctrl-C ends it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


@contextmanager
def _progress_bar(total: int, *, quiet: bool) -> Iterator[tuple[Callable[[object], None], Console]]:
    """A progress bar on standard error, if that is a terminal, and the console of messages beside it."""
    console = Console(stderr=True, markup=False, highlight=False)
    if quiet or not console.is_terminal:
        yield lambda _: None, console
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - 10 ms, for a terminal only

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("processing", total=total)
        yield lambda _: bar.advance(task), console


def _print(console: Console, line: str) -> None:
    """Print a line above the progress bar, however long it is."""
    console.print(line, soft_wrap=True)


def _exit(results: Sequence[FileResult]) -> None:
    if errors := [result.error for result in results if result.error]:
        raise typer.Exit(max(map(exit_status, errors)))
    if any(result.status == OutcomeStatus.REFUSED for result in results):
        raise typer.Exit(SOME_REFUSED)
