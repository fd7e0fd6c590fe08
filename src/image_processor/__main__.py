"""The program `image-processor`, also `python -m image_processor`: joins `cli` and `bootstrap`."""

from __future__ import annotations

from image_processor import cli
from image_processor.bootstrap.commands import Commands


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    cli.main(Commands())


if __name__ == "__main__":
    main()
