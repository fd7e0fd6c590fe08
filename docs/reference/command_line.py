"""docs/cli.md: every command with its arguments and options, from the command line's own help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import click
import typer

from image_processor.cli.commands import app
from image_processor.cli.examples import EXAMPLES

from .tables import code, one_line, table

_HEAD = """\
# The command line

<!-- commands not run: a test reads the arguments of each -->

`image-processor COMMAND --help` says the same. This page is written by `docs/write_reference.py`.
"""


def page() -> str:
    """The page of all commands."""
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group | typer.core.TyperGroup)
    return "\n".join(
        [_HEAD, *(part for name in root.commands for part in _command(name, root.commands[name]))]
    )


def _command(name: str, command: Any) -> Iterator[str]:
    parts: Mapping[str, Any] = getattr(command, "commands", {})
    if parts:
        for part in parts:
            yield from _command(f"{name} {part}", parts[part])
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    shown = "".join(f" {_placeholder(argument)}" for argument in arguments)
    yield f"## {name}\n"
    yield f"{inspect.cleandoc(command.help or '').strip()}\n"
    yield f"```text\nimage-processor {name}{' [OPTIONS]' if options else ''}{shown}\n```\n"
    rows = [((argument.name or ""), argument.help) for argument in arguments]
    rows += [(", ".join((*option.opts, *option.secondary_opts)), option.help) for option in options]
    rows = [(names, text) for names, text in rows if names != "--help, -h"]
    if rows:
        yield table(("Option", "Meaning"), ((code(names), one_line(text or "")) for names, text in rows))
    if examples := EXAMPLES.get(name):
        lines = "".join(f"image-processor {example}\n" for example in examples)
        yield f"```sh\n{lines}```\n"


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or (argument.name or "")).upper().strip("[].")
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"
