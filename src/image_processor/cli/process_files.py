"""What `process` does: renders files and directories, without a server and without a catalog on disk. It runs
the same ingest as the server, over directories and a catalog in memory.

It needs no typer, and rich only for what it prints at the end: both take longer to import than a few
photographs to render.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import PREFIX
from image_processor.config.settings_file import load_settings
from image_processor.domain.errors import ImageProcessorError, Invalid
from image_processor.domain.models import ImageMetadata, Outcome, OutcomeStatus, Rendition, Upload
from image_processor.domain.ports import Stores

from .output import SOME_REFUSED, exit_status, printable
from .process_inputs import Input, find_inputs, report_left_out
from .process_names import Template, check_names, has_current_renditions, name_taken, planned_names
from .process_report import FileResult, json_fields

if TYPE_CHECKING:
    from image_processor.standalone.workers import Workers

    from .context import CommandContext

_ROLE = "process:"

SizeOf = Callable[[Path], ImageMetadata | None]
"""Reads the header of an original; None for one that is refused."""

PrintLine = Callable[[str], object]
"""Prints a line on standard error, above the progress bar if there is one."""


class Call(Struct, frozen=True, kw_only=True):
    """The arguments of `process`."""

    paths: tuple[Path, ...]
    out: Path
    recipe: Path | None = None
    name: str | None = None
    skip_existing: bool = False
    dry_run: bool = False
    watch: bool = False
    workers: int | None = None
    quiet: bool = False
    verbose: bool = False
    as_json: bool = False


_VALUES = {"-o": "out", "--out": "out", "--recipe": "recipe", "--workers": "workers"}


def read_process_call(arguments: Sequence[str]) -> Call | None:
    """The call that the arguments are in their most frequent form: files and directories, `--out`, and
    perhaps `--recipe`, `--workers` and `--quiet`, each with its value behind it. None for any other, which
    typer reads, or refuses with a message."""
    words, paths, quiet = list(arguments), [], False
    values: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word in _VALUES and words and _VALUES[word] not in values and not words[0].startswith("-"):
            values[_VALUES[word]] = words.pop(0)
        elif word in {"-q", "--quiet"}:
            quiet = True
        elif word and not word.startswith("-"):
            paths.append(Path(word))
        else:
            return None
    if (
        not paths
        or "out" not in values
        or "" in values.values()
        or not values.get("workers", "1").isdecimal()
    ):
        return None
    out, recipe = Path(values["out"]), Path(values["recipe"]) if "recipe" in values else None
    if out.is_file() or (recipe is not None and recipe.is_dir()):
        return None
    workers = int(values["workers"]) if "workers" in values else None
    return Call(paths=tuple(paths), out=out, recipe=recipe, workers=workers, quiet=quiet)


class _Mode(Struct, frozen=True):
    """What the options ask for."""

    as_json: bool
    quiet: bool
    verbose: bool
    template: Template | None


def process_files(context: CommandContext, call: Call) -> int:
    """Render what ``call`` names. Returns the exit status: 1 if an image was refused, 3 if some work could
    not be done now. Raises Invalid, InvalidRecipe, InvalidSettings, UnsafeRuntime, Unavailable."""
    given = {"RECIPE": call.recipe, "WORKERS": call.workers}
    settings = load_settings(
        os.environ, {PREFIX + name: str(value) for name, value in given.items() if value is not None}
    )
    rules = load_recipe(settings.recipe).without_lazy()  # no server makes them at their first view
    mode = _Mode(
        call.as_json, call.quiet, call.verbose, None if call.name is None else Template.read(call.name)
    )
    inputs = find_inputs(call.paths, call.out, context.list_files, report_left_out)
    if call.watch and not all(item.is_whole for item in inputs):
        raise Invalid.one("--watch", "directories as inputs", "a file")
    uploads = [item.upload(name) for item in inputs for name in item.names]
    check_names((upload.key for upload in uploads), rules, mode.template)
    size_of = partial(context.read_metadata, settings)
    current: list[FileResult] = []
    if call.skip_existing:
        uploads, current = _left_to_do(uploads, rules, mode.template, call.out, size_of)
    if call.dry_run:
        _print_plan(uploads, rules, mode.template, size_of)
        return 0
    try:
        call.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid.one(
            "--out", "a directory that can be created", f"{call.out}: {error.strerror}"
        ) from error
    buckets = {item.upload("").bucket for item in inputs}
    with (
        _store_root(call.out, mode.template) as root,
        context.open_directories(buckets, root) as stores,
        context.open_workers(
            *(settings, rules, stores, _ROLE, "another run of this command"),
            summary=False,
            expected_uploads=len(uploads),
        ) as workers,
    ):
        run = _Run(mode, call.out, stores, workers)
        for result in current:
            run.report(result)
        results = current + run.process(uploads)
        if call.watch:
            _watch(context, inputs, stores, run)
    if not call.as_json and not call.quiet:
        from .process_summary import print_summary  # noqa: PLC0415 - rich, which may be imported already

        print_summary(results, call.out)
    return _status(results)


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
            sys.stdout.write(f"{printable(upload.key)} -> {printable(name)}\n")


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
        with _progress_bar(len(uploads), quiet=self._mode.quiet) as (advance, print_line):
            pending = [self._workers.submit(upload) for upload in uploads]
            for future in pending:
                future.add_done_callback(advance)
            if not self.is_quiet:
                from . import process_summary  # noqa: F401, PLC0415 - rich, while the workers render
            for upload, future in zip(uploads, pending, strict=True):
                results.append(self._finish(upload, future))
                self._report(results[-1], print_line)
        return results

    def report(self, result: FileResult) -> None:
        """Report a file that is not processed."""
        self._report(result, _print_note)

    def follow(self, upload: Upload) -> None:
        """Process an upload without waiting for it."""
        future = self._workers.submit(upload)
        future.add_done_callback(lambda done: self._report(self._finish(upload, done), _print_note))

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

    def _report(self, result: FileResult, print_line: PrintLine) -> None:
        if self._mode.as_json:
            sys.stdout.write(json.dumps(json_fields(result), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            return
        if result.error or result.status == OutcomeStatus.REFUSED:
            reason = f" ({result.reason})" if result.reason else ""
            print_line(f"{result.status}: {printable(result.key)}{reason}: {result.message}")
        elif self._mode.verbose and result.status == OutcomeStatus.PROCESSED:
            for rendition in result.renditions:
                size = f"{rendition.metadata.width} x {rendition.metadata.height}"
                print_line(f"{printable(result.key)} -> {printable(rendition.key)}: {size}")


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
    directories = {item.directory: item for item in inputs}

    def submit(upload: Upload) -> None:
        item = directories[Path(upload.bucket)]
        moved = item.upload(upload.key)
        run.follow(replace(upload, bucket=moved.bucket, key=moved.key))

    catalog = next(iter(stores.values())).catalog
    with context.watch(list(directories), catalog, submit):
        if not run.is_quiet:
            _print_note("watching; Ctrl-C ends it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


@contextmanager
def _progress_bar(total: int, *, quiet: bool) -> Iterator[tuple[Callable[[object], None], PrintLine]]:
    """A progress bar on standard error, if that is a terminal, and what prints lines above it."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None, _print_note
        return
    from rich.console import Console  # noqa: PLC0415 - for a terminal only
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above

    console = Console(stderr=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("processing", total=total)
        yield lambda _: bar.advance(task), partial(console.print, soft_wrap=True)


def _print_note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _status(results: Sequence[FileResult]) -> int:
    if errors := [result.error for result in results if result.error]:
        return max(map(exit_status, errors))
    is_refused = any(result.status == OutcomeStatus.REFUSED for result in results)
    return SOME_REFUSED if is_refused else 0
