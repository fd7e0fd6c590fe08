"""`reconcile`: finds what a library lacks, and processes it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from image_processor.config.recipe import load_recipe
from image_processor.config.settings import Settings
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.domain.ports import Stores
from image_processor.ingest.reconcile import Finding
from image_processor.ingest.verify import Verifier
from image_processor.standalone import BUCKET
from image_processor.standalone.reconcile_loop import apply

from .aws_session import open_session
from .context import CommandContext, Library, command_context
from .library import open_library
from .options import Data, Json, Profile, RecipeFile, Region, settings_with
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
    profile: Profile = None,
    region: Region = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what needs work.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also read every rendition and compare it with its recorded SHA-256."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find originals with missing or stale renditions, and orphaned renditions, and process them.

    Exits with 1 if an original was refused, with 3 if some work could not be done now.
    """
    context = command_context(ctx)
    settings = settings_with(data=data, recipe=recipe)
    with ExitStack() as stack:
        if on_aws:
            library = context.open_aws_library(settings, open_session(profile, region))
        else:
            library = stack.enter_context(_open_local_library(context, settings))
        summary, submit, count = Summary(), None, 0
        for finding in _findings(context, settings, library, verify=verify):
            count += 1
            typer.echo(_as_json(finding) if as_json else _as_text(finding))
            if dry_run:
                continue
            if finding.upload is None and finding.orphan is None:
                summary.add_failure(f"{printable(finding.key)}: {finding.detail}", UNAVAILABLE)
                continue
            if submit is None:
                workers = context.open_workers(
                    settings, library.recipe, {library.bucket: library.stores}, _ROLE
                )
                submit = stack.enter_context(workers).submit
            apply(finding, library.stores.processed, summary.watching(submit))
        if not dry_run:
            _reindex(library.stores, as_json=as_json)
        if not as_json:
            typer.echo(f"{count} found" + (", nothing done (--dry-run)" if dry_run else ""))
        summary.finish()


def _reindex(stores: Stores, *, as_json: bool) -> None:
    rewritten = stores.catalog.reindex()
    if rewritten and not as_json:
        typer.echo(f"{rewritten} records of an earlier version rewritten")


@contextmanager
def _open_local_library(context: CommandContext, settings: Settings) -> Iterator[Library]:
    with open_library(context, settings) as stores:
        yield Library(BUCKET, stores, load_recipe(settings.recipe))


def _findings(
    context: CommandContext, settings: Settings, library: Library, *, verify: bool
) -> Iterator[Finding]:
    found: set[str] = set()
    for finding in context.build_reconciler(settings, library).findings():
        found.add(finding.key)
        yield finding
    if verify:
        stores = library.stores
        yield from Verifier(library.bucket, stores.uploads, stores.processed, stores.catalog).findings(found)


def _as_json(finding: Finding) -> str:
    detail = {"detail": finding.detail} if finding.detail else {}
    return json.dumps({"key": finding.key, "why": finding.drift, **detail})


def _as_text(finding: Finding) -> str:
    detail = f" ({printable(finding.detail)})" if finding.detail else ""
    return f"{finding.drift}: {printable(finding.key)}{detail}"


class Summary:
    """Collects the outcomes of submitted uploads: reports each failure, and keeps the exit status."""

    def __init__(self) -> None:
        self._pending: deque[Future[Outcome]] = deque()
        self._exit_status = 0

    def watching(self, submit: Submit) -> Callable[[Upload], None]:
        """``submit`` with its outcome collected. Waits for the oldest one if too many are pending."""

        def submit_and_watch(upload: Upload) -> None:
            self._pending.append(submit(upload))
            if len(self._pending) > _MAX_PENDING:
                self._collect(self._pending.popleft())

        return submit_and_watch

    def add_failure(self, message: str, status: int) -> None:
        typer.echo(f"not done: {message}", err=True)
        self._exit_status = max(self._exit_status, status)

    def finish(self) -> None:
        """Wait for everything that is pending. Ends the command unless all of it succeeded."""
        while self._pending:
            self._collect(self._pending.popleft())
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
