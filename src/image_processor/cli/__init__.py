"""The command line: one module per command or group of commands, each a thin layer over `context`.

An error becomes one line on standard error and an exit status of `output`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image_processor.domain.errors import FIXES, ImageProcessorError, Invalid, Refused

from .output import UNAVAILABLE, UNSAFE, exit_status

if TYPE_CHECKING:
    from .context import CommandContext

_RENDERING = {"process", "transform"}
"""The commands that need an isolated child in any case."""
_RENDERING_NOTHING = {"-h", "--help", "-n", "--dry-run"}
_INTERRUPTED = 130


def main(context: CommandContext) -> None:
    """Run the command that the program's arguments name, and exit with its status."""
    try:
        _run(context, sys.argv[1:2], sys.argv[2:])
    except ImportError as error:
        sys.stderr.write(f"error: expected {error.name or 'all libraries'} to be installed, got: {error}\n")
        sys.stderr.write("fix: pip install 'image-processor[server,aws]'\n")
        sys.exit(UNSAFE)
    except ImageProcessorError as error:
        for line in error.problems if isinstance(error, Invalid) else (error,):
            sys.stderr.write(f"error: {line}\n")
        if isinstance(error, Refused):
            sys.stderr.write(f"fix: {FIXES[error.reason]}\n")
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except OSError as error:
        # Standard output is closed, or the disk of --out is full.
        sys.stderr.write(f"error: {error}\n")
        sys.exit(UNAVAILABLE)


def _run(context: CommandContext, name: list[str], arguments: list[str]) -> None:
    """The two commands that people run again and again need no typer in their most frequent form."""
    if _RENDERING & {*name} and not _RENDERING_NOTHING & {*arguments}:
        context.start_renderer()
    if name == ["transform"]:
        from .transform_file import read_call, transform_file  # noqa: PLC0415 - for this command only

        if call := read_call(arguments):
            transform_file(context, Path(call.file), call.text, call.out, quiet=call.quiet)
            sys.exit()
    if name == ["process"]:
        from .process_files import process_files, read_process_call  # noqa: PLC0415 - as above

        if process_call := read_process_call(arguments):
            sys.exit(process_files(context, process_call))
    from .commands import app  # noqa: PLC0415 - a missing library is reported like any error

    app(obj=context)
