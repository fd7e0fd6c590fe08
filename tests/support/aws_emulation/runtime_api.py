"""Lambda's side of the Runtime API (2018-06-01), and the sandbox: one process that asks it for work.

Quick tests and the cold-start benchmark use it as it is, LocalStack through executor.py.
Only the standard library: it also runs in LocalStack's venv.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Self

ROOT = "/2018-06-01/runtime/"
LONGEST_ANSWER = 6 * 1024 * 1024
"""Bytes of a buffered answer (Lambda developer guide, "Quotas"); a longer one is an error."""
LONGEST_INIT = 60.0
"""Seconds until the first request for work. Lambda gives 10; a busy test machine needs more."""


@dataclass(frozen=True, slots=True)
class Function:
    """What Lambda knows of a function. ``command`` starts its runtime in ``folder``, ``environment``
    is all that the process sees besides the Runtime API's address, ``timeout`` is in seconds."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    name: str = "function"
    arn: str = "arn:aws:lambda:us-east-1:000000000000:function:function"
    timeout: float = 30.0


@dataclass(slots=True)
class Moments:
    """When things happened, in seconds of time.perf_counter. ``ready`` is the first request for
    work: the handler's module is imported by then. ``taken`` and ``answered`` are of one event."""

    started: float
    ready: float | None = None
    taken: float | None = None
    answered: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one event: the handler's JSON, or Lambda's JSON about a failure."""

    body: bytes
    failed: bool
    moments: Moments
    request_id: str = ""

    @property
    def value(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass(frozen=True, slots=True)
class _Event:
    body: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Sandbox:
    """One process of a function, and the Runtime API that only this process talks to."""

    def __init__(self, function: Function, log: IO[bytes] | int) -> None:
        self._function = function
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[bytes, bool]] = queue.SimpleQueue()
        self._begun = threading.Event()
        self._spent = False
        self._server = _Server(self)
        self.moments = Moments(started=time.perf_counter())
        address = f"127.0.0.1:{self._server.server_port}"
        self.process = subprocess.Popen(
            function.command,
            cwd=function.folder,
            env={**function.environment, "AWS_LAMBDA_RUNTIME_API": address},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        threading.Thread(target=self._tell_of_exit, daemon=True).start()

    @property
    def usable(self) -> bool:
        """Whether another event may come: the runtime client ends itself after some failures."""
        return not self._spent and self.process.poll() is None

    def invoke(self, event: _Event) -> Answer:
        """Hand over one event and wait for its end, whichever it is. The caller takes care that
        the sandbox has no other event in work."""
        self._begun.wait(LONGEST_INIT)
        self._events.put(event)
        try:
            body, failed = self._answers.get(timeout=self._function.timeout)
        except queue.Empty:
            self.close()
            seconds = f"{self._function.timeout:.2f}"
            body, failed = _failure(
                "Sandbox.Timedout",
                f"RequestId: {event.request_id} Error: Task timed out after {seconds} seconds",
            )
        return Answer(body, failed, self.moments, event.request_id)

    def close(self) -> None:
        """Kill the process, as Lambda does, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self._server.shutdown()
        self._server.server_close()

    def next_event(self) -> tuple[_Event, dict[str, str]]:
        """Wait for work. Returns it with the headers that Lambda sends."""
        self.moments.ready = self.moments.ready or time.perf_counter()
        self._begun.set()
        event = self._events.get()
        self.moments.taken = time.perf_counter()
        return event, {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._function.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }

    def take_answer(self, body: bytes, *, failed: bool) -> bool:
        """Returns False where the answer is too long to be one."""
        self.moments.answered = time.perf_counter()
        if len(body) <= LONGEST_ANSWER:
            self._answers.put((body, failed))
            return True
        self._spent = True
        self._answers.put(
            _failure(
                "Function.ResponseSizeTooLarge",
                f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size "
                f"({LONGEST_ANSWER} bytes).",
            )
        )
        return False

    def take_init_error(self, body: bytes) -> None:
        self._spent = True
        self._answers.put((body, True))
        self._begun.set()

    def _tell_of_exit(self) -> None:
        status = self.process.wait()
        self._answers.put(_failure("Runtime.ExitError", f"Error: Runtime exited with status {status}"))
        self._begun.set()


class Runner:
    """A function that is there whenever it is called: the sandbox is kept warm between events and
    replaced after its process ended, as in Lambda. One event at a time."""

    def __init__(self, function: Function, log: IO[bytes] | int = subprocess.DEVNULL) -> None:
        self.function = function
        self._log = log
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Sandbox:
        """The sandbox, started if there is none: what Lambda does before the first event."""
        if self._sandbox is None or not self._sandbox.usable:
            self.close()
            self._sandbox = Sandbox(self.function, self._log)
        return self._sandbox

    def invoke(self, value: object) -> Answer:
        """Feed an event, get the answer. ``value`` is what json can write."""
        return self.invoke_raw(json.dumps(value).encode())

    def invoke_raw(self, body: bytes, request_id: str | None = None) -> Answer:
        event = _Event(body, request_id) if request_id else _Event(body)
        with self._lock:
            return self.start().invoke(event)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def python_function(
    handler: str,
    folder: Path,
    *,
    python: tuple[str, ...],
    runtime: Path | None,
    environment: Mapping[str, str],
    timeout: float = 30.0,
    name: str = "function",
) -> Function:
    """A Python function of Lambda. ``folder`` holds its unzipped package, ``python`` is the command
    that starts the interpreter.

    ``runtime`` is the folder with awslambdaric: the handler then sees that, its package and the
    standard library, as in Lambda. With None it also sees what ``python`` has installed.
    """
    isolated = () if runtime is None else ("-S",)
    paths = [str(folder)] if runtime is None else [str(folder), str(runtime)]
    own = {
        "_HANDLER": handler,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "LAMBDA_TASK_ROOT": str(folder),
        "PATH": os.defpath,
        # The package lies on a read-only disk in Lambda.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(paths),
        "TZ": ":UTC",
    }
    return Function(
        command=(*python, *isolated, "-m", "awslambdaric", handler),
        folder=folder,
        environment={**own, **environment},
        name=name,
        timeout=timeout,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A thread may wait for an event for ever: closing must not wait for it.
    block_on_close = False

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(("127.0.0.1", 0), _Requests)

    def handle_error(self, *_: object) -> None:
        """A process that ends breaks its connection: no news, _tell_of_exit has said it."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it the runtime client's keep-alive connection waits 40 ms for each small packet.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        if self.path != ROOT + "invocation/next":
            self._send(404, b"{}")
            return
        event, headers = self.server.sandbox.next_event()
        self._send(200, event.body, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.removeprefix(ROOT).split("/"):
            case ["init", "error"]:
                self.server.sandbox.take_init_error(body)
                status = 202
            case ["invocation", _, "response" | "error" as what]:
                fits = self.server.sandbox.take_answer(body, failed=what == "error")
                status = 202 if fits else 413
            case _:
                status = 404
        self._send(status, b'{"status":"OK"}')

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """The tests' output is no place for an access log."""


def _failure(kind: str, message: str) -> tuple[bytes, bool]:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode(), True
