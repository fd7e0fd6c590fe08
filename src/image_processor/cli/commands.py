"""The commands, in the order in which `--help` lists them.

The module of a command is imported when the command is run or its help is printed: importing all of them
takes several times as long as printing the version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from image_processor import __version__

from .examples import epilog_of

_MODULES = {
    "process": "process:command",
    "transform": "transform:command",
    "sign": "sign:command",
    "translate": "translate:command",
    "srcset": "srcset:command",
    "serve": "serve:command",
    "token": "token:app",
    "upload": "client:upload_command",
    "delete": "client:delete_command",
    "open": "client:open_command",
    "list": "library:list_command",
    "show": "library:show_command",
    "similar": "library:similar_command",
    "reconcile": "reconcile:command",
    "backup": "backup:backup_command",
    "restore": "backup:restore_command",
    "cost": "cost:command",
    "doctor": "doctor:command",
    "bench": "bench:command",
    "dead-letters": "dead_letters:app",
    "events": "events:app",
    "backfill": "backfill:app",
    "recipe": "recipe:app",
    "completion": "completion:command",
}
"""Where the function of a command is, or the application of a group of commands."""


class _Commands(Mapping[str, Any]):
    """Click commands by name, made when they are read."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = _MODULES[name].partition(":")
        loaded = getattr(import_module(f".{module}", __package__), attribute)
        holder = typer.Typer(callback=lambda: None, rich_markup_mode="markdown")
        if isinstance(loaded, typer.Typer):
            holder.add_typer(loaded, name=name)
        else:
            holder.command(name)(loaded)
        group = typer.main.get_command(holder)
        assert isinstance(group, TyperGroup)
        command = group.commands[name]
        command.epilog = epilog_of(name)
        if isinstance(command, TyperGroup):
            for part, of_group in command.commands.items():
                of_group.epilog = epilog_of(f"{name} {part}")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES


class _LazyGroup(TyperGroup):
    """A group that imports a command when it is needed (Click's manual, "Lazily Loading Subcommands")."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is added to them

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_MODULES)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer's signature
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Process uploaded images into the renditions that a recipe declares.

    Settings are environment variables or in a file; `image-processor doctor` lists them.
    `image-processor COMMAND --help` ends with examples.
    """
