"""`completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # of --show-completion

PROGRAM = "image-processor"
VARIABLE = "_IMAGE_PROCESSOR_COMPLETE"


class Shell(StrEnum):
    """The shells that commands can be completed in."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def command(shell: Annotated[Shell, typer.Argument(help="The shell.", metavar="bash|zsh|fish")]) -> None:
    """Print a script that makes a shell complete commands and options.

    `image-processor --install-completion` writes it into the configuration of the shell that it runs in.
    """
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell))
