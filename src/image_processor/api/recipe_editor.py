"""Routes with which the studio edits the recipe: its text, checks with lines, a dry run, and saving."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe
from image_processor.config.recipe_check import CheckedRecipe, check_text
from image_processor.domain.errors import InvalidRecipe, NotWritable, Problem
from image_processor.ingest.dry_run import DryRun, dry_run
from image_processor.standalone.recipe_file import RecipeFile, version_of

from .access_guard import client_of
from .dependencies import StandaloneContext, StandaloneContextOf, require_json
from .models import Model
from .problems import errors
from .response_models import RecipeModel
from .work import QueuedWorkOf

router = APIRouter(prefix="/recipe", tags=["recipe"])

DRY_RUN_SECONDS = 5.0
"""How long a dry run looks for images that would change."""

_NOT_WRITABLE = "expected IMAGE_PROCESSOR_RECIPE_WRITABLE=1 to save the recipe here, got 0"
_NO_FILE = "expected a file in IMAGE_PROCESSOR_RECIPE, got the built-in recipe, which cannot be changed"


class RecipeSourceModel(Model):
    """The text of the recipe. `file` is where it is stored, null for the built-in one. `version` changes with
    the text. Unless `writable`, `reason` says why it cannot be saved here."""

    text: str = Field(examples=[DEFAULT_RECIPE])
    version: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015"])
    file: str | None = Field(examples=["recipe.toml"])
    writable: bool
    reason: str | None = Field(examples=[_NOT_WRITABLE])


class RecipeTextRequest(Model):
    text: str = Field(description="A recipe, as TOML.", examples=[DEFAULT_RECIPE])


class RecipeSaveRequest(RecipeTextRequest):
    """What replaces the recipe, if that still has the given version."""

    version: str = Field(description="The `version` of the text that was edited.")


class RecipeProblemModel(Model):
    """A problem with a recipe. `line` counts from 1; null if the problem has no place in the text."""

    line: int | None = Field(examples=[3])
    name: str = Field(examples=["presets.thumbnail.width"])
    expected: str = Field(examples=["a whole number of pixels from 1 to 16383"])
    got: str = Field(examples=["0"])

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(line=problem.line, name=problem.name, expected=problem.expected, got=problem.got)


class RecipeCheckModel(Model):
    """A checked recipe: what it means, or every problem with it."""

    problems: list[RecipeProblemModel]
    recipe: RecipeModel | None

    @classmethod
    def of(cls, checked: CheckedRecipe) -> Self:
        return cls(
            problems=list(map(RecipeProblemModel.of, checked.problems)),
            recipe=RecipeModel.of(checked.recipe) if checked.recipe else None,
        )


class DryRunModel(Model):
    """What a recipe would change. Unless `complete`, there may be more: the search took too long."""

    made_anew: int = Field(description="Images that would be processed again.")
    renditions: int = Field(description="Renditions that these would get.")
    removed: int = Field(description="Images whose renditions would be deleted.")
    complete: bool
    seconds: float | None = Field(
        description="About how long that takes; null if nothing was processed since the start.",
        examples=[40.0],
    )
    examples: list[str] = Field(description="Keys of some images that would change.")

    @classmethod
    def of(cls, found: DryRun, seconds: float | None) -> Self:
        return cls(
            made_anew=found.made_anew,
            renditions=found.renditions,
            removed=found.removed,
            complete=found.complete,
            seconds=seconds,
            examples=list(found.examples),
        )


@router.head("/source", include_in_schema=False)
@router.get("/source", responses=errors(400))
def get_recipe_source(context: StandaloneContextOf) -> RecipeSourceModel:
    """Return the recipe as it is written, and whether it can be saved here."""
    file = _file(context)
    text = DEFAULT_RECIPE if file is None else file.read()
    reason = _obstacle(context)
    return RecipeSourceModel(
        text=text,
        version=version_of(text),
        file=str(file.path) if file else None,
        writable=reason is None,
        reason=reason,
    )


@router.post("/check", dependencies=[require_json], responses=errors(400, 403, 408, 413, 415))
def check_recipe_text(body: RecipeTextRequest, context: StandaloneContextOf) -> RecipeCheckModel:
    """Check a recipe without using it. Every problem has its line."""
    return RecipeCheckModel.of(check_text(body.text, context.check_recipe))


@router.post("/plan", dependencies=[require_json], responses=errors(400, 403, 408, 413, 415, 429, 503))
async def plan_recipe_text(
    body: RecipeTextRequest, request: Request, context: StandaloneContextOf, work: QueuedWorkOf
) -> DryRunModel:
    """Say which images a recipe would change, without a change of anything. The search ends after five
    seconds."""
    checked = await run_in_threadpool(check_text, body.text, context.check_recipe)
    if checked.recipe is None:
        raise InvalidRecipe(checked.problems)
    async with work.dry_runs.take(client_of(request.scope), DRY_RUN_SECONDS):
        return await run_in_threadpool(_plan, checked.recipe, context)


def _plan(recipe: Recipe, context: StandaloneContext) -> DryRunModel:
    end = time.monotonic() + DRY_RUN_SECONDS
    current, wanted = map(context.reconciler_for, (context.recipe, recipe))
    found = dry_run(current, wanted, lambda: time.monotonic() > end)
    each = context.activity.seconds_per_rendition()
    workers = min(context.settings.worker_count, max(1, found.made_anew))
    return DryRunModel.of(found, None if each is None else each * found.renditions / workers)


@router.post("", dependencies=[require_json], responses=errors(400, 403, 408, 409, 413, 415, 503))
def save_recipe(body: RecipeSaveRequest, context: StandaloneContextOf) -> RecipeSourceModel:
    """Save the recipe and put it in force. Images that it changes are made again soon.

    The server needs IMAGE_PROCESSOR_RECIPE_WRITABLE. Answers 409 if the file has another version by now.
    """
    file, obstacle = _file(context), _obstacle(context)
    if file is None or obstacle is not None:
        raise NotWritable(obstacle or _NO_FILE)
    checked = check_text(body.text, context.check_recipe)
    if checked.recipe is None:
        raise InvalidRecipe(checked.problems)
    file.write(body.text, body.version)
    context.reload_recipe()
    return get_recipe_source(context)


def _file(context: StandaloneContext) -> RecipeFile | None:
    path = context.settings.recipe
    return RecipeFile(Path(path)) if path else None


def _obstacle(context: StandaloneContext) -> str | None:
    """Why the recipe cannot be saved; None if it can."""
    if context.settings.recipe is None:
        return _NO_FILE
    return None if context.settings.recipe_writable else _NOT_WRITABLE
