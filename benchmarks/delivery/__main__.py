"""The read path's part of `make bench`. Exit code 1 if a bar is missed."""

from __future__ import annotations

import sys

from .comparison import print_rows

if __name__ == "__main__":
    sys.exit(0 if all(row.met for row in print_rows()) else 1)
