"""Entry point: `python -m image_processor` is the command line."""

from .cli import main

main()
