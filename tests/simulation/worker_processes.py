"""A program that forks a worker process for each job, and reports how each one ended, as lines of JSON.

A job is a batch of messages for the real process function. A worker may have to kill itself as
kill -9 does, at one of its calls or after a number of seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import nullcontext
from typing import Any

from image_processor.aws_lambda import log
from image_processor.aws_lambda import process_function as app_ingest
from support.ingest import BUCKET, fake_render

from . import messages
from .backends import Backend, processor
from .real_children import isolated_render

KILLED = "killed"


class KillingPort:
    """A port that kills its process before or after one of its calls."""

    def __init__(self, port: Any, count: list[int]) -> None:
        self._port, self._count = port, count

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **more: Any) -> Any:
            self._pass()
            result = method(*args, **more)
            self._pass()
            return result

        return call

    def _pass(self) -> None:
        self._count[0] -= 1
        if self._count[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def work(job: dict[str, Any], backend: Backend) -> list[str]:
    """Handle the batch of the job; returns the ids of the messages that failed."""
    if job["kill_after"] is not None:
        timer = threading.Timer(job["kill_after"], os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    count = [job["kill_at"] or 0]
    uploads, processed, catalog = (KillingPort(port, count) for port in backend.open())
    for name in ("line", "metrics"):
        setattr(log, name, lambda *_args, **_more: None)
    in_child = isolated_render(job["children"], job["stop"]) if job["children"] else nullcontext(fake_render)
    with in_child as render:
        ports = uploads, processed, catalog
        process = processor(ports, job["recipe"], job["now"], f"p{os.getpid()}", render).process
        answer = app_ingest.handle(messages.batch(job["batch"]), process, BUCKET, lambda: 60_000)
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def begin(job: dict[str, Any], backend: Backend) -> tuple[int, int]:
    """Fork a process that does ``job``; returns its id and a pipe with its answer."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.write(writing, json.dumps(work(job, backend)).encode())
    finally:
        os._exit(0)


def end(child: int, reading: int) -> Any:
    """Wait for the process; returns the failed ids, or KILLED."""
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else KILLED


def main() -> None:
    backend = Backend(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        begun = [begin(job, backend) for job in json.loads(line)]
        print(json.dumps([end(*started) for started in begun]), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
