"""The stage of the cold starts: an emulated S3 and DynamoDB, a photograph, and events about it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from image_processor.domain.ports import Attributes
from support import aws
from support.aws_emulation.runtime_api import Answer, Function, Runner

from .photographs import make_photograph

ROOT = Path(__file__).parent.parent
_KEYS = "photographs/"


class Stage:
    """The emulation runs from entry to exit. ``environment`` is what any function needs to reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._photograph = make_photograph(folder / "photograph.jpg", 2725, 2225).read_bytes()
        self._journal = folder / "requests.txt"
        self._journal.touch()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self._emulation = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.emulated_s3", self._journal],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._emulation.stdout is not None
        endpoint = f"http://127.0.0.1:{int(self._emulation.stdout.readline())}"
        self.uploads, self.processed = aws.make_bucket(endpoint), aws.make_bucket(endpoint)
        self.table = aws.make_table(endpoint)
        self._store = aws.open_store(endpoint, self.uploads)
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": "test",  # a function's keys always come with one
            "AWS_REGION": aws.REGION,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._emulation.communicate()  # closes its input, on which it ends

    def cold(self, function: Function) -> dict[str, float]:
        """Seconds of CPU of one event in a new process, and from its start until the first rendition
        was stored and until the answer."""
        with Runner(function) as runner:
            answer = self.event(runner)
            cpu = time.clock_gettime(_cpu_clock(runner.start().process.pid))
        started, answered = answer.moments.started, answer.moments.answered
        assert answered is not None
        return {"cpu": cpu, "stored": self._first_stored() - started, "answered": answered - started}

    def event(self, runner: Runner) -> Answer:
        """Upload the photograph under a new key, and let the function hear of it."""
        key = f"{_KEYS}{next(self._numbers)}.jpg"
        self._store.put(key, self._photograph, Attributes("image/jpeg"))
        self._journal.write_text("")
        answer = runner.invoke(_notification(self.uploads, key, len(self._photograph)))
        if answer.failed or answer.value.get("batchItemFailures"):
            raise RuntimeError(f"{runner.function.name} failed: {answer.body!r}")
        return answer

    def _first_stored(self) -> float:
        """When S3 began to answer the first PUT of a rendition; an object catalog writes elsewhere."""
        requests = map(str.split, self._journal.read_text().splitlines())
        return next(
            float(moment)
            for moment, method, path, status in requests
            if method == "PUT" and status == "200" and path.startswith(f"/{self.processed}/{_KEYS}")
        )


def _cpu_clock(pid: int) -> int:
    """The number of a process's CPU clock: what clock_getcpuclockid(3) gives, and Python does not."""
    return (~pid << 3) | 2  # the kernel's MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED


def _notification(bucket: str, key: str, size: int) -> dict[str, Any]:
    """A notification of S3 in a message of SQS, as Lambda gets it."""
    object_ = {"key": key, "size": size, "sequencer": "0055AED6DCD90281E5"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": aws.REGION,
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": object_},
    }
    message = {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "eventSource": "aws:sqs",
        "awsRegion": aws.REGION,
        "body": json.dumps({"Records": [record]}),
    }
    return {"Records": [message]}
