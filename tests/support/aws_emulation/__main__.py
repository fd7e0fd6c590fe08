"""Run LocalStack with this project's replacements: in its own venv, started by server.py.

Standard input is a lifeline: when its other end closes, however the tests ended, the whole process
group goes. Standard output gets one line, once requests are answered.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from localstack.runtime import events
from localstack.runtime.main import main as run

from . import (
    cloudformation,
    custom_resources,
    dynamodb,
    edge,
    event_sources,
    executor,
    logs,
    s3_deletes,
    s3_events,
    switching,
)
from .enforcement import Enforcement


def main(runtime: str, journal: str) -> None:
    announcements = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # LocalStack's own words go to its log
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=_announce, args=(announcements,), daemon=True).start()
    executor.install(sys.executable, Path(runtime))
    logs.install()
    dynamodb.install()
    s3_events.install()
    s3_deletes.install()
    cloudformation.install()
    custom_resources.install()
    event_sources.install()
    enforcement = Enforcement(Path(journal))
    enforcement.install()
    edge.install(enforcement.may)
    switching.install()
    run()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    # Nothing here is worth a tidy end, and functions are processes of the group too.
    os.killpg(0, signal.SIGKILL)


def _announce(descriptor: int) -> None:
    events.infra_ready.wait()
    os.write(descriptor, b"ready\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
