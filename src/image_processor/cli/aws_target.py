"""What the commands for AWS work on: a stack, from which its settings are read, or what the environment
names.

A stack is read by one call, GetFunction of its function `process`: what the function runs with cannot differ
from what the stack does. It has the settings, no secrets, and the package, which holds a recipe that was
deployed with `--recipe`. So an operator needs one permission on one function, and no list of variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.config.settings import PREFIX, Settings, from_environment
from image_processor.domain.errors import InvalidSettings, NotFound, Problem, Unavailable

from .aws_session import open_session
from .context import CommandContext, Library
from .function_package import read_from_package
from .options import settings_with

if TYPE_CHECKING:
    import boto3

_NO_TABLE = "objects://"


class AwsTarget(Struct, frozen=True):
    """Settings and session of a command. ``recipe`` is None if the settings name it. ``function`` is the ARN
    of a stack's function `process`."""

    settings: Settings
    session: Any
    recipe: Recipe | None = None
    function: str | None = None

    def open_library(self, context: CommandContext) -> Library:
        """Raises InvalidSettings, InvalidRecipe."""
        return context.open_aws_library(self.settings, self.session, self.recipe)


def open_target(stack: str | None, profile: str | None, region: str | None, **options: Any) -> AwsTarget:
    """The target of a command: ``stack``, or the settings of the environment and of ``options``.

    Raises as `open_session` and `settings_with`; NotFound if there is no such stack, Unavailable if it cannot
    be read, InvalidRecipe.
    """
    if stack is None:
        settings = settings_with(**options)
        return AwsTarget(settings, open_session(profile, region))
    return read_stack(open_session(profile, region), stack)


def read_stack(session: boto3.Session, stack: str) -> AwsTarget:
    """The settings and the recipe that the functions of ``stack`` run with."""
    found = _get_function(session, stack)
    environment = found["Configuration"].get("Environment", {})
    if problem := environment.get("Error"):
        raise Unavailable(
            f"cannot read the settings of stack {stack}: expected kms:Decrypt on the key of its functions, "
            f"got {problem.get('ErrorCode')}: {problem.get('Message')}"
        )
    variables = environment.get("Variables", {})
    try:
        settings = from_environment({k: v for k, v in variables.items() if k.startswith(PREFIX)})
    except InvalidSettings as error:
        problem = Problem("--stack", "a stack of this version of image-processor", str(error))
        raise InvalidSettings([problem]) from error
    settings = replace(settings, table=settings.table or _NO_TABLE)
    target = AwsTarget(settings, session, function=found["Configuration"].get("FunctionArn"))
    location = settings.recipe
    if location is None or "://" in location:
        return target
    return replace(target, recipe=parse_recipe(read_from_package(found["Code"]["Location"], location)))


def _get_function(session: boto3.Session, stack: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - optional dependency

    name = f"{stack}-process"
    client = session.client("lambda")
    try:
        found: dict[str, Any] = client.get_function(FunctionName=name, Qualifier="live")
    except client.exceptions.ResourceNotFoundException:
        raise NotFound(
            f"expected a deployed stack for --stack, got {stack!r}: "
            f"these credentials see no function {name} with an alias live in {session.region_name}"
        ) from None
    except (BotoCoreError, ClientError) as error:
        message = f"cannot read the settings of stack {stack} (lambda:GetFunction): {error}"
        raise Unavailable(message) from error
    return found
