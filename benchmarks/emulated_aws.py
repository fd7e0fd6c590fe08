"""Emulated S3 and DynamoDB for the cold starts, with a photograph, its rendition and events."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from image_processor.domain.ports import Attributes
from image_processor.storage.s3 import S3Store
from support import aws
from support.aws_emulation.runtime_api import Answer, Function, Runner

from .photographs import make_photograph

ROOT = Path(__file__).parent.parent
_KEYS = "photographs/"
_RENDITION = f"{_KEYS}stored.jpg/w=720,fm=jpeg.jpg"
"""The key of a rendition that the benchmark's recipe declares."""


class EmulatedAws:
    """Runs the emulator from entry to exit. ``environment`` is what every function needs to reach it."""

    def __init__(self, folder: Path) -> None:
        self._photograph = make_photograph(folder / "photograph.jpg", 2725, 2225).read_bytes()
        self._rendition = make_photograph(folder / "rendition.jpg", 720, 588).read_bytes()
        self._journal = folder / "requests.txt"
        self._journal.touch()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self._emulator = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.emulator", self._journal],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._emulator.stdout is not None
        endpoint = f"http://127.0.0.1:{int(self._emulator.stdout.readline())}"
        self.uploads, self.processed = aws.make_bucket(endpoint), aws.make_bucket(endpoint)
        self.table = aws.make_table(endpoint)
        self._uploads: S3Store = aws.open_store(endpoint, self.uploads)
        aws.open_store(endpoint, self.processed).put(_RENDITION, self._rendition, Attributes("image/jpeg"))
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": "test",  # a function's keys always come with a token
            "AWS_REGION": aws.REGION,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.communicate()  # closes its standard input, which ends it

    def cold_process(self, function: Function) -> dict[str, float]:
        """Start a process function and send it one upload. Returns seconds: ``cpu`` of the whole
        event, ``stored`` and ``answered`` from the process's start to the first stored rendition and
        to the answer."""
        with Runner(function) as runner:
            answer = self.upload(runner)
            return {**_costs(runner, answer), "stored": self._first_stored() - answer.moments.started}

    def cold_deliver(self, function: Function) -> dict[str, float]:
        """Start a deliver function and request the stored rendition. Returns seconds: ``cpu``, and
        ``answered`` from the process's start to the answer with the bytes."""
        with Runner(function) as runner:
            answer = runner.invoke(_url_request(f"/{_RENDITION}"))
            reply = {} if answer.failed else answer.value
            if reply.get("statusCode") != 200 or base64.b64decode(reply["body"]) != self._rendition:
                raise RuntimeError(f"{function.name} failed: {answer.body[:500]!r}")
            return _costs(runner, answer)

    def upload(self, runner: Runner) -> Answer:
        """Store the photograph under a new key and invoke the function with its notification."""
        key = f"{_KEYS}{next(self._numbers)}.jpg"
        self._uploads.put(key, self._photograph, Attributes("image/jpeg"))
        self._journal.write_text("")
        answer = runner.invoke(_notification(self.uploads, key, len(self._photograph)))
        if answer.failed or answer.value.get("batchItemFailures"):
            raise RuntimeError(f"{runner.function.name} failed: {answer.body!r}")
        return answer

    def _first_stored(self) -> float:
        """When S3 began to answer the first PUT of a rendition. Object catalogs write other keys."""
        requests = map(str.split, self._journal.read_text().splitlines())
        return next(
            float(moment)
            for moment, method, path, status in requests
            if method == "PUT" and status == "200" and path.startswith(f"/{self.processed}/{_KEYS}")
        )


def _costs(runner: Runner, answer: Answer) -> dict[str, float]:
    assert answer.moments.answered is not None
    cpu = time.clock_gettime(_cpu_clock(runner.start().process.pid))
    return {"cpu": cpu, "answered": answer.moments.answered - answer.moments.started}


def _cpu_clock(pid: int) -> int:
    """The number of a process's CPU clock, as clock_getcpuclockid(3) gives it."""
    return (~pid << 3) | 2  # the kernel's MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED


def _url_request(path: str) -> dict[str, Any]:
    """A GET request of a function URL, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"accept": "image/avif,image/webp,*/*", "host": "id.lambda-url.us-east-1.on.aws"},
        "requestContext": {
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.1",
                "userAgent": "benchmark",
            }
        },
        "isBase64Encoded": False,
    }


def _notification(bucket: str, key: str, size: int) -> dict[str, Any]:
    """An S3 notification in an SQS message, as Lambda delivers it."""
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
