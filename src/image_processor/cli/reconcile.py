"""`reconcile`: finds what the library lacks, and does it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated

import typer

from image_processor.bootstrap.recipe import load_recipe
from image_processor.bootstrap.standalone import BUCKET, Stores, reconciler, workers
from image_processor.config.recipe import Recipe
from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.ingest.reconcile import Finding
from image_processor.ingest.verify import Verifier
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import apply
from image_processor.standalone.workers import Workers

from .exit_codes import SOME_REFUSED, UNAVAILABLE, status_of
from .formatting import printable
from .library import open_library
from .options import Data, Json, RecipeFile, settings_with

_ROLE = "reconcile:"

_AT_ONCE = 1000
"""How many findings may wait for their end: so much is held in memory, however many there are."""


def command(
    data: Data = None,
    recipe: RecipeFile = None,
    on_aws: Annotated[
        bool, typer.Option("--aws", help="The buckets that the settings name, instead of --data.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what needs work.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also read every rendition and compare it with its SHA-256 on record."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find missing, stale and orphaned work, and do it.

    Exits with 1 if an original was refused, with 3 if some work could not be done now.
    """
    settings = settings_with(data=data, recipe=recipe)
    with (
        _on_aws(settings) if on_aws else _on_this_machine(settings) as (bucket, stores, rules),
        ExitStack() as late,
    ):
        pool, ends, count = None, _Ends(), 0
        for finding in _findings(settings, rules, stores, bucket, verify=verify):
            count += 1
            typer.echo(_as_line(finding) if as_json else _as_text(finding))
            if dry_run:
                continue
            if finding.upload is None and finding.orphan is None:
                ends.failed(f"{printable(finding.key)}: {finding.detail}", UNAVAILABLE)
                continue
            if pool is None:
                pool = late.enter_context(workers(settings, rules, {bucket: stores}, _ROLE, Progress()))
            apply(finding, stores.processed, partial(_submit, pool, ends))
        if not as_json:
            typer.echo(f"{count} found" + (", nothing done (--dry-run)" if dry_run else ""))
        ends.finish()


def _submit(pool: Workers, ends: _Ends, upload: Upload) -> None:
    ends.add(pool.submit(upload))


Place = tuple[str, Stores, Recipe]
"""What is reconciled: the upload bucket's name, the stores, and the recipe."""


@contextmanager
def _on_this_machine(settings: Settings) -> Iterator[Place]:
    with open_library(settings) as stores:
        yield BUCKET, stores, load_recipe(settings.recipe)


@contextmanager
def _on_aws(settings: Settings) -> Iterator[Place]:
    from image_processor.bootstrap.aws import open_aws_context  # noqa: PLC0415 - one machine has no use for S3

    chosen = {} if settings.recipe is None else {f"{PREFIX}RECIPE": settings.recipe}
    cloud = open_aws_context({**os.environ, **chosen})
    yield cloud.bucket, Stores(cloud.uploads, cloud.processed, cloud.catalog), cloud.recipe


def _findings(
    settings: Settings, rules: Recipe, stores: Stores, bucket: str, *, verify: bool
) -> Iterator[Finding]:
    found: set[str] = set()
    for finding in reconciler(settings, rules, stores, bucket).findings():
        found.add(finding.key)
        yield finding
    if verify:
        yield from Verifier(bucket, stores.uploads, stores.processed, stores.catalog).findings(found)


def _as_line(finding: Finding) -> str:
    detail = {"detail": finding.detail} if finding.detail else {}
    return json.dumps({"key": finding.key, "why": finding.drift, **detail})


def _as_text(finding: Finding) -> str:
    detail = f" ({printable(finding.detail)})" if finding.detail else ""
    return f"{finding.drift}: {printable(finding.key)}{detail}"


class _Ends:
    """How the work on findings ended: told as it becomes known, and as the exit status at the end."""

    def __init__(self) -> None:
        self._waits: deque[Future[Outcome]] = deque()
        self._status = 0

    def add(self, wait: Future[Outcome]) -> None:
        self._waits.append(wait)
        if len(self._waits) > _AT_ONCE:
            self._settle(self._waits.popleft())

    def failed(self, why: str, status: int) -> None:
        typer.echo(f"not done: {why}", err=True)
        self._status = max(self._status, status)

    def finish(self) -> None:
        while self._waits:
            self._settle(self._waits.popleft())
        if self._status:
            raise typer.Exit(self._status)

    def _settle(self, wait: Future[Outcome]) -> None:
        if (error := wait.exception()) is not None:
            self.failed(str(error), status_of(error))
            return
        end = wait.result()
        if end.status is OutcomeStatus.REFUSED:
            reason = end.record.reason if end.record else None
            typer.echo(f"refused: {printable(end.key)} ({reason}): {end.detail}", err=True)
            self._status = max(self._status, SOME_REFUSED)
