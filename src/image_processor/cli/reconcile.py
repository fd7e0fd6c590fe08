"""`reconcile`: finds what a library lacks, and processes it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from image_processor.config.recipe import load_recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import Invalid, Problem
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.domain.ports import Stores
from image_processor.ingest.deletion_guard import NO_LIMIT
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Finding, Reconciler
from image_processor.ingest.reconcile_run import Enqueue
from image_processor.ingest.verify import Verifier
from image_processor.standalone import bucket_name
from image_processor.standalone.reconcile_loop import apply
from image_processor.standalone.workers import Workers

from .aws_target import open_target
from .context import CommandContext, Library, command_context
from .enqueueing import ResumeFile, enqueue_all, limited, summary
from .library import open_library
from .options import Data, Json, Profile, RecipeFile, Region, StackName, settings_with
from .output import SOME_REFUSED, UNAVAILABLE, exit_status, printable

Submit = Callable[[Upload], Future[Outcome]]

_ROLE = "reconcile:"

_MAX_PENDING = 1000
"""The most findings that are processed or wait at the same time, which bounds memory."""


def command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    data: Data = None,
    recipe: RecipeFile = None,
    on_aws: Annotated[
        bool, typer.Option("--aws", help="Reconcile the buckets that the settings name, not --data.")
    ] = False,
    stack: StackName = None,
    here: Annotated[
        bool, typer.Option("--here", help="On AWS: render on this machine instead of enqueueing.")
    ] = False,
    profile: Profile = None,
    region: Region = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what needs work.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also read every rendition and compare it with its recorded SHA-256."),
    ] = False,
    accept_deletions: Annotated[
        bool,
        typer.Option("--accept-deletions", help="Delete, although most of the originals are gone at once."),
    ] = False,
    per_second: Annotated[
        float | None,
        typer.Option(
            help="The most messages to enqueue per second.", show_default="as fast as found", min=0.001
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="File that keeps the position: after an interruption the same command continues."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find originals with missing or stale renditions, and orphaned renditions, and process them.

    On one machine it renders here. On AWS (--stack, or --aws with the settings of the environment) it
    enqueues what it finds, and the functions of the stack do the work.

    If most of more than 100 originals are gone, it deletes nothing unless --accept-deletions is given.

    Exits with 1 if an original was refused, with 3 if some work could not be done now.
    """
    context = command_context(ctx)
    remote = on_aws or stack is not None
    enqueueing = remote and not here and not dry_run
    _check_options(
        (here and not remote, "--here", "--stack or --aws", "neither"),
        (stack and data, "--data", "no directory with --stack", str(data)),
        # The functions have a recipe of their own, and would find nothing to do.
        (stack and recipe and not dry_run, "--recipe", "--dry-run if there is --stack", "none"),
        (per_second and not enqueueing, "--per-second", "a run that enqueues (--stack, --aws)", "another"),
        (resume and not enqueueing, "--resume", "a run that enqueues (--stack, --aws)", "another"),
    )
    show = _print_json if as_json else _print_text
    if not remote:
        settings = _accepting(settings_with(data=data, recipe=recipe), accept_deletions)
        with _open_local_library(context, settings) as library:
            reconciler = context.build_reconciler(settings, library)
            opening = _worker_opening(context, settings, library)
            _process_here(library, reconciler, opening, show, verify=verify, dry_run=dry_run, as_json=as_json)
        return
    target = open_target(stack, profile, region, recipe=None if stack else recipe)
    if stack and recipe:
        target = replace(target, recipe=load_recipe(str(recipe)))
    settings, library = _accepting(target.settings, accept_deletions), target.open_library(context)
    reconciler = context.build_reconciler(settings, library, target.session)
    if enqueueing:
        enqueue = limited(context.open_queue(settings, target.session), per_second)
        verifier = _verifier(library) if verify else None
        results = _enqueue(reconciler, verifier, enqueue, ResumeFile(resume), show, as_json=as_json)
        _reindex(library.stores, as_json=as_json)
        results.finish()
    else:
        opening = _worker_opening(context, settings, library, target.session)
        _process_here(library, reconciler, opening, show, verify=verify, dry_run=dry_run, as_json=as_json)


def _accepting(settings: Settings, accept_deletions: bool) -> Settings:  # noqa: FBT001 - the option's value
    return replace(settings, deletion_limit=NO_LIMIT) if accept_deletions else settings


def _check_options(*conflicts: tuple[object, str, str, str]) -> None:
    """Raises Invalid for options that do not go together: each a condition and its problem."""
    problems = [Problem(name, expected, got) for wrong, name, expected, got in conflicts if wrong]
    if problems:
        raise Invalid(problems)


_OpenWorkers = Callable[[], AbstractContextManager[Workers]]


def _worker_opening(
    context: CommandContext, settings: Settings, library: Library, session: Any | None = None
) -> _OpenWorkers:
    """Opens workers on this machine for ``library``, which is in AWS if there is a ``session``."""
    stores = {library.bucket: library.stores}
    return lambda: context.open_workers(settings, library.recipe, stores, _ROLE, "the next run", session)


def _process_here(
    library: Library,
    reconciler: Reconciler,
    open_workers: _OpenWorkers,
    show: Callable[[Finding], None],
    *,
    verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what is found and, unless it is a ``dry_run``, render it on this machine."""
    count, results = 0, Summary()
    submit: Submit | None = None
    with ExitStack() as stack:
        for finding in _findings(reconciler, _verifier(library) if verify else None):
            count += 1
            show(finding)
            if dry_run:
                continue
            if finding.upload is None and finding.orphan is None:
                results.add_left(finding)
                continue
            if submit is None:
                submit = stack.enter_context(open_workers()).submit
            if failure := apply(finding, reconciler, results.watching(submit)):
                results.add_left(failure)
        if not dry_run:
            _reindex(library.stores, as_json=as_json)
        if not as_json:
            typer.echo(f"{count} found" + (", nothing done (--dry-run)" if dry_run else ""))
        results.finish()


def _enqueue(
    reconciler: Reconciler,
    verifier: Verifier | None,
    enqueue: Enqueue,
    resume: ResumeFile,
    show: Callable[[Finding], None],
    *,
    as_json: bool,
) -> Summary:
    """Enqueue what is found, and return what only a person can help with."""
    keys: set[str] = set()
    results = Summary()

    def show_and_keep(finding: Finding) -> None:
        if verifier:
            keys.add(finding.key)
        show(finding)
        if finding.upload is None and finding.orphan is None:
            results.add_left(finding)

    checkpoint = enqueue_all(reconciler, enqueue, resume, show_and_keep)
    typer.echo(summary(checkpoint), err=as_json)
    for finding in verifier.findings(keys) if verifier else ():
        show(finding)
        if finding.upload is not None:
            enqueue([finding.upload])
        elif finding.orphan is None:
            results.add_left(finding)
        elif failure := reconciler.delete_orphan(finding):
            results.add_left(failure)
    return results


def _reindex(stores: Stores, *, as_json: bool) -> None:
    rewritten = stores.catalog.reindex()
    if rewritten and not as_json:
        typer.echo(f"{rewritten} records of an earlier version migrated")


@contextmanager
def _open_local_library(context: CommandContext, settings: Settings) -> Iterator[Library]:
    with open_library(context, settings) as stores:
        yield Library(bucket_name(settings), stores, load_recipe(settings.recipe))


def _verifier(library: Library) -> Verifier:
    stores = library.stores
    return Verifier(library.bucket, stores.uploads, stores.processed, stores.catalog, library.recipe)


def _findings(reconciler: Reconciler, verifier: Verifier | None) -> Iterator[Finding]:
    found: set[str] = set()
    for finding in reconciler.findings():
        found.add(finding.key)
        yield finding
    if verifier:
        yield from verifier.findings(found)


def _print_json(finding: Finding) -> None:
    detail = {"detail": finding.detail} if finding.detail else {}
    typer.echo(json.dumps({"key": finding.key, "why": finding.drift, **detail}))


def _print_text(finding: Finding) -> None:
    has_detail = finding.detail and finding.drift is not Drift.HELD  # the same for all
    detail = f" ({printable(finding.detail or '')})" if has_detail else ""
    typer.echo(f"{finding.drift}: {printable(finding.key)}{detail}")


class Summary:
    """Collects the outcomes of submitted uploads: reports each failure, and keeps the exit status."""

    def __init__(self) -> None:
        self._pending: deque[Future[Outcome]] = deque()
        self._exit_status = 0
        self._held: str | None = None

    def watching(self, submit: Submit) -> Callable[[Upload], None]:
        """``submit`` with its outcome collected. Waits for the oldest one if too many are pending."""

        def submit_and_watch(upload: Upload) -> None:
            self._pending.append(submit(upload))
            if len(self._pending) > _MAX_PENDING:
                self._collect(self._pending.popleft())

        return submit_and_watch

    def add_left(self, finding: Finding) -> None:
        """Add a finding that only a person can help with. Why deletions are held is said once."""
        if finding.drift is Drift.HELD:
            self._held = finding.detail
            return
        self.add_failure(f"{printable(finding.key)}: {printable(finding.detail or '')}", UNAVAILABLE)

    def add_failure(self, message: str, status: int) -> None:
        typer.echo(f"not done: {message}", err=True)
        self._exit_status = max(self._exit_status, status)

    def finish(self) -> None:
        """Wait for everything that is pending. Ends the command unless all of it succeeded."""
        while self._pending:
            self._collect(self._pending.popleft())
        if self._held:
            self.add_failure(f"any deletion: {self._held}", UNAVAILABLE)
        if self._exit_status:
            raise typer.Exit(self._exit_status)

    def _collect(self, pending: Future[Outcome]) -> None:
        if (error := pending.exception()) is not None:
            self.add_failure(str(error), exit_status(error))
            return
        outcome = pending.result()
        if outcome.status is OutcomeStatus.REFUSED:
            reason = outcome.record.reason if outcome.record else None
            typer.echo(f"refused: {printable(outcome.key)} ({reason}): {outcome.detail}", err=True)
            self._exit_status = max(self._exit_status, SOME_REFUSED)
