"""The read path's part of `make bench`. Arguments are the names of its parts, by default all. Exit code 1 if
a bar is missed."""

from __future__ import annotations

import argparse
import sys

from .comparison import PARTS, print_rows

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)}; by default all"
    )
    chosen = parser.parse_args().parts or list(PARTS)
    sys.exit(0 if all(row.met for row in print_rows(chosen)) else 1)
