"""A program: emulated S3 and DynamoDB with a journal of the requests.

Its argument is the journal's file. Before each answer it appends one line: the value of
time.perf_counter (one clock for all processes), method, path and status.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from support import aws_server


class _JournalingHandler(aws_server.QuietHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's
        line = f"{time.perf_counter()} {self.command} {self.path} {code:d}\n"
        with _JOURNAL.open("a") as journal:
            journal.write(line)


_JOURNAL = Path(sys.argv[1])

if __name__ == "__main__":
    aws_server.QuietHandler = _JournalingHandler  # type: ignore[misc] # what its main() starts the server with
    aws_server.main()
