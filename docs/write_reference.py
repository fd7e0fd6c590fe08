"""Writes the pages that the program's own tables say: docs/settings.md, docs/errors.md and docs/cli.md."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import typer

from image_processor.api.error_status import STATUSES, delivery_status
from image_processor.cli.commands import app
from image_processor.cli.examples import EXAMPLES
from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    REMOTE_SETTINGS,
    URL_SETTINGS,
    Settings,
    SettingSpec,
    dialect_settings,
    effective,
)
from image_processor.domain import errors
from image_processor.domain.errors import FIXES, ImageProcessorError, Reason, Refused

DOCS = Path(__file__).parent
WRITTEN_BY = "This page is written by `docs/write_reference.py`."

_SETTINGS = f"""# Settings

Every setting is an environment variable with the prefix `{PREFIX}`, or a line of a
[file](operations.md#settings-in-a-file). `image-processor doctor` says which value is in force and where it
comes from. On AWS the [template's parameters](aws.md#parameters) set most of them. {WRITTEN_BY}
"""

_SECTIONS: tuple[tuple[str, Sequence[SettingSpec]], ...] = (
    ("The server and what it makes", GENERAL_SETTINGS),
    ("Renditions by URL", URL_SETTINGS),
    ("Remote sources", REMOTE_SETTINGS),
    ("Limits", LIMIT_SETTINGS),
    ("URLs of other products", dialect_settings()),
    ("Buckets and AWS", AWS_SETTINGS),
)

_ERRORS = f"""# Errors

An error of the API is a problem document (RFC 9457): `status`, `detail` (what was expected and what came),
`code` for programs, and often `fix`. The first table has the codes; those of HTTP itself (`forbidden`)
are the name of the status. {WRITTEN_BY}

| Code | Status | Meaning | Cure |
| --- | --- | --- | --- |
"""

_REASONS = """
## Why an original is refused

The record, the response (`reason`) and the command line have one of these. A refused original is not tried
again until its file, the version of the program or a limit changes.

| Reason | Status of its renditions | Cure |
| --- | --- | --- |
"""

_CLI = f"""# The command line

`image-processor COMMAND --help` says the same. {WRITTEN_BY}
"""


def settings() -> str:
    """The page of all settings."""
    return "\n".join([_SETTINGS, *(line for name, specs in _SECTIONS for line in _section(name, specs))])


def _section(name: str, specs: Sequence[SettingSpec]) -> Iterator[str]:
    yield f"## {name}\n\n| Variable | Meaning | Expected | Default |\n| --- | --- | --- | --- |"
    for spec, default in effective(Settings(), specs):
        yield _row(f"`{PREFIX}{spec.name}`", spec.meaning, spec.expected, f"`{default}`" if default else "")
    yield ""


def error_codes() -> str:
    """The page of all errors."""
    rows = [_row(f"`{code}`", *about) for code, about in sorted(_errors())]
    reasons = [
        _row(f"`{reason}`", str(delivery_status(Refused(reason, "any"))), FIXES[reason]) for reason in Reason
    ]
    return _ERRORS + "\n".join(rows) + "\n" + _REASONS + "\n".join(reasons) + "\n"


def _errors() -> Iterator[tuple[str, tuple[str, str, str]]]:
    for class_ in vars(errors).values():
        is_error = inspect.isclass(class_) and issubclass(class_, ImageProcessorError)
        if not is_error or class_ is ImageProcessorError:
            continue
        status = next(status for base, status in STATUSES if issubclass(class_, base))
        meaning = inspect.cleandoc(class_.__doc__ or "").partition("\n\n")[0]
        inherited = next((base.__doc__ for base in class_.__mro__ if base.__dict__.get("__doc__")), "")
        meaning = (meaning or inspect.cleandoc(inherited or "").partition("\n\n")[0]).replace("\n", " ")
        yield class_.code, (str(status), meaning.replace("``", "`"), str(getattr(class_, "fix", "")))


def command_line() -> str:
    """The page of all commands."""
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group | typer.core.TyperGroup)
    return "\n".join(
        [_CLI, *(line for name in root.commands for line in _command(name, root.commands[name]))]
    )


def _command(name: str, command: Any) -> Iterator[str]:
    parts: Mapping[str, Any] = getattr(command, "commands", {})
    if parts:
        for part in parts:
            yield from _command(f"{name} {part}", parts[part])
        return
    yield f"## {name}\n"
    yield f"{inspect.cleandoc(command.help or '').strip()}\n"
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    shown = "".join(f" {_placeholder(argument)}" for argument in arguments)
    yield f"```text\nimage-processor {name}{' [OPTIONS]' if options else ''}{shown}\n```\n"
    rows = [((argument.name or ""), argument.help) for argument in arguments]
    rows += [(", ".join((*option.opts, *option.secondary_opts)), option.help) for option in options]
    rows = [(names, text) for names, text in rows if names != "--help, -h"]
    if rows:
        yield "| | |\n| --- | --- |"
        yield from (_row(f"`{names}`", " ".join((text or "").split())) for names, text in rows)
        yield ""
    if examples := EXAMPLES.get(name):
        yield "```sh"
        yield from (f"image-processor {example}" for example in examples)
        yield "```\n"


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or (argument.name or "")).upper().strip("[].")
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"settings.md": settings, "errors.md": error_codes, "cli.md": command_line}
)

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text(), encoding="utf-8")
        print(f"wrote {page}")
