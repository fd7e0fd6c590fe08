"""Entry point: the command line. Each command is a thin layer over wiring, in a file of its own.

Errors become one line each on standard error and an exit status of exits.py.
"""

from __future__ import annotations

import sys

from image_processor.domain.errors import ImageProcessorError, Invalid

from .exit_codes import UNAVAILABLE, UNSAFE, status_of


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    try:
        from .commands import app  # noqa: PLC0415 - a library that is missing is told like any error

        app()
    except ImportError as error:
        sys.stderr.write(f"error: expected {error.name or 'all libraries'} to be installed, got: {error}\n")
        sys.stderr.write("fix: pip install 'image-processor[server,aws]'\n")
        sys.exit(UNSAFE)
    except ImageProcessorError as error:
        for line in error.problems if isinstance(error, Invalid) else (error,):
            sys.stderr.write(f"error: {line}\n")
        sys.exit(status_of(error))
    except OSError as error:
        # The disk of --out, or whoever reads our output, is full or gone.
        sys.stderr.write(f"error: {error}\n")
        sys.exit(UNAVAILABLE)
