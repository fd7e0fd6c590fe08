"""A program: the tests' emulated S3 and DynamoDB, which also notes when it began to answer which
request. Its argument is the file to note it in; perf_counter is one clock for all processes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from support import aws_server


class _Noting(aws_server.Handler):
    """Writes a line of moment, method, path and status before each answer."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's
        line = f"{time.perf_counter()} {self.command} {self.path} {code:d}\n"
        with _JOURNAL.open("a") as journal:
            journal.write(line)


_JOURNAL = Path(sys.argv[1])

if __name__ == "__main__":
    aws_server.Handler = _Noting  # type: ignore[misc] # what its main() starts the server with
    aws_server.main()
