"""Entry point: `python -m image_processor` is the command line."""

from image_processor.cli import main

main()
