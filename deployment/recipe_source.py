"""Deployment: which recipe a deployment puts into the package, so that a redeployment keeps the stack's.

A recipe is a file of this machine (--recipe), an object in RecipeBucket, or the built-in one. A stack that
was deployed with --recipe has its recipe in the package of its functions, and a redeployment without --recipe
reads it there: the package is what the functions run, so the two never differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_cli import Aws, AwsError
from console import Errors
from stack import Stack

from image_processor.cli.function_package import read_from_package
from image_processor.domain.errors import Unavailable

PACKAGED = "recipe.toml"
"""The recipe's name in the package, as build.py writes it."""


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """``text`` of the recipe (None: the built-in one), ``file`` for the package, and parameters to set."""

    text: str | None = None
    file: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


def recipe_source(
    aws: Aws,
    stack: Stack | None,
    given: Mapping[str, str],
    values: Mapping[str, str],
    file: Path | None,
    folder: Path,
    errors: Errors,
) -> RecipeSource:
    """The recipe for parameters ``values``; ``given`` are those on the command line. Writes to ``folder``."""
    if file:
        return _from_file(file, given, errors)
    name, bucket = values["Recipe"], values["RecipeBucket"]
    if bucket:
        return _from_bucket(aws, bucket, name, folder, errors)
    if not name:
        return RecipeSource()
    if stack is None or given.get("Recipe", "") not in {"", stack.parameters.get("Recipe")}:
        errors.add(f"expected --recipe FILE or RecipeBucket with Recipe, got only Recipe={name}")
        return RecipeSource()
    return _from_package(aws, stack, name, folder, errors)


def _from_file(file: Path, given: Mapping[str, str], errors: Errors) -> RecipeSource:
    if given.get("RecipeBucket"):
        errors.add(f"expected --recipe or RecipeBucket, got both: {file} and {given['RecipeBucket']}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        errors.add(f"expected a readable file for --recipe, got {file}")
        return RecipeSource()
    return RecipeSource(text, file.resolve(), {"Recipe": PACKAGED, "RecipeBucket": ""})


def _from_bucket(aws: Aws, bucket: str, key: str, folder: Path, errors: Errors) -> RecipeSource:
    file = folder / PACKAGED
    try:
        aws("s3", "cp", f"s3://{bucket}/{key}", str(file), "--quiet")
        return RecipeSource(file.read_text(encoding="utf-8"))
    except (AwsError, OSError, UnicodeDecodeError) as error:
        errors.add(
            f"expected a recipe that these credentials may read for RecipeBucket, got {error} for s3://{bucket}/{key}"
        )
        return RecipeSource()


def _from_package(aws: Aws, stack: Stack, name: str, folder: Path, errors: Errors) -> RecipeSource:
    function = stack.outputs.get("ProcessFunctionName", f"{stack.name}-process")
    try:
        found = aws("lambda", "get-function", "--function-name", function, "--qualifier", "live")
        text = read_from_package(found["Code"]["Location"], name)
    except (AwsError, KeyError, Unavailable) as error:
        errors.add(
            f"expected the recipe {name} in the package of {function}, got {error}: "
            "name the file again with --recipe, or take the built-in recipe with Recipe="
        )
        return RecipeSource()
    file = folder / PACKAGED
    file.write_text(text, encoding="utf-8")
    return RecipeSource(text, file, {"Recipe": PACKAGED})
