"""Entry point: the command line. Each command is a thin layer over wiring, in a file of its own.

Errors become one line each on standard error and an exit status from the table below.
"""

from __future__ import annotations

import sys

from image_processor.errors import ImageProcessorError, Invalid, NotFound, Refused, UnsafeRuntime

from .exits import SOME_REFUSED, UNAVAILABLE, UNSAFE, USAGE

# The first class that fits decides.
_STATUS = ((Invalid, USAGE), (NotFound, USAGE), (Refused, SOME_REFUSED), (UnsafeRuntime, UNSAFE))


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    from .commands import app  # noqa: PLC0415 - errors while importing are reported like all others

    try:
        app()
    except ImageProcessorError as error:
        for line in error.problems if isinstance(error, Invalid) else (error,):
            sys.stderr.write(f"error: {line}\n")
        sys.exit(next((status for class_, status in _STATUS if isinstance(error, class_)), UNAVAILABLE))
