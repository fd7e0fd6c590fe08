"""Runs `render` in a child process, so that a decoder that loops, crashes or exhausts memory ends only the
child. The child is started anew, since a process that has used libvips hangs after fork(). It replies in
JSON and raw bytes, never pickle: an image that takes over the child must not make the parent run code.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, to_builtins

from image_processor.domain.errors import MissingExtra, Reason, Refused, Unavailable, UnsafeRuntime
from image_processor.domain.models import (
    ExifField,
    IccPolicy,
    ImageMetadata,
    Limits,
    Rendered,
    RenderedImage,
    Timings,
    VisualSummary,
)
from image_processor.domain.transformation import Transformation

_log = logging.getLogger(__name__)

_START_SECONDS = 60
"""How long a child may take to import libvips and report that it is ready, on a very busy machine."""

_EXIT_SECONDS = 10
"""How long a child that has closed its end of the socket may take to exit."""


class _ChildDied(Exception):
    """The child exited without a reply; ``code`` is its return code, negative for a signal."""

    def __init__(self, code: int) -> None:
        self.code = code


class IsolatedRenderer:
    """Renders in a child process that may die. Not thread-safe: each thread needs its own.

    ``timeout_factor`` bounds wall-clock time: seconds of waiting for each second of ``limits.cpu_seconds``.
    It only matters where a child hangs without using CPU. ``until``, in seconds of time.monotonic(), is a
    deadline for every reply, for a caller that will be stopped then.
    """

    _program = "from image_processor.engine.worker.child import main; main()"

    def __init__(self, *, timeout_factor: float = 10.0, until: float = math.inf) -> None:
        self._timeout_factor = timeout_factor
        self._until = until
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warm(self) -> None:
        """Start the child now instead of with the first render.

        Raises UnsafeRuntime where libvips cannot be made safe, Unavailable where no child starts.
        """
        if self._child is None:
            self._child = _Child(self._program)

    def close(self) -> None:
        """End the child. A later render starts another one."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def render(  # noqa: PLR0913 - the parameters of engine.render.render
        self,
        data: bytes,
        transformations: Sequence[Transformation],
        limits: Limits,
        *,
        icc: IccPolicy = IccPolicy.STRIP,
        threads: int = 2,
        summary: bool = True,
        exif: Collection[ExifField] = (),
        overlay_sources: Mapping[str, bytes] | None = None,
        on_rendition: Callable[[RenderedImage], None] = lambda _: None,
    ) -> Rendered:
        """As `engine.render.render`, and enforces ``limits.cpu_seconds``. ``on_rendition`` is called once all
        renditions are made.

        Also raises Refused(TOO_SLOW), and Refused(DECODER_CRASHED) if two children died of it.
        """
        request = {
            "transformations": [str(transformation) for transformation in transformations],
            "limits": to_builtins(limits),
            "icc": icc,
            "threads": threads,
            "summary": summary,
            "exif": list(exif),
            "overlay_sources": list(overlay_sources or {}),
        }
        bodies = [data, *(overlay_sources or {}).values()]
        try:
            reply = self._ask(request, bodies, self._wall_seconds(limits))
        except _ChildDied:
            # The kernel may have killed it because of another process (out of memory): try once more.
            try:
                reply = self._ask(request, bodies, self._wall_seconds(limits))
            except _ChildDied as second:
                raise Refused(Reason.DECODER_CRASHED, _describe_exit(second.code)) from None
        rendered = _rendered(reply, transformations)
        for rendition in rendered.renditions:
            on_rendition(rendition)
        return rendered

    def _wall_seconds(self, limits: Limits) -> float:
        return max(0, min(self._timeout_factor * limits.cpu_seconds, self._until - time.monotonic()))

    def _ask(self, request: dict[str, Any], bodies: Sequence[bytes], wall_seconds: float) -> _Reply:
        self.warm()
        assert self._child is not None
        try:
            return self._child.ask(request, bodies, wall_seconds)
        except BaseException:
            # A reply may still arrive later, so this child is never used again.
            self.close()
            raise


class _Reply(Struct, frozen=True):
    """The child's reply, and the renditions' bytes in the requested order."""

    message: dict[str, Any]
    bodies: list[bytes]


class _Child:
    """One child process and the socket to it."""

    def __init__(self, program: str) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter with a constant program
                    [sys.executable, "-P", "-c", program, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    process_group=0,  # Ctrl-C in a terminal reaches only the parent, which then decides
                )
            except OSError as error:
                self._connection.close()
                raise Unavailable(f"expected a renderer to start, got {error.strerror}") from error
        self._expect_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any], bodies: Sequence[bytes], wall_seconds: float) -> _Reply:
        """Render the first of ``bodies``; the others are the overlay sources that ``request`` names.

        Raises _ChildDied or Refused(TOO_SLOW); the child cannot be used after either."""
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            for body in bodies:
                self._connection.send_bytes(body)
            if not self._connection.poll(wall_seconds):
                raise Refused(Reason.TOO_SLOW, f"expected a reply within {wall_seconds:.3g} s, got none")
            message = self._receive()
            return _Reply(message, [self._connection.recv_bytes() for _ in message.get("renditions", ())])
        except (EOFError, OSError, ValueError):
            code = self._exit_code()
            if code == -signal.SIGXCPU:
                seconds = request["limits"]["cpu_seconds"]
                raise Refused(
                    Reason.TOO_SLOW, f"expected at most {seconds} s of CPU time, got more"
                ) from None
            raise _ChildDied(code) from None

    def _exit_code(self) -> int:
        try:
            return self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            # It is alive, but its reply was invalid.
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End the process; harmless if it has exited."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _expect_ready(self) -> None:
        try:
            message = self._receive() if self._connection.poll(_START_SECONDS) else {}
        except (EOFError, OSError):
            message = {}
        if "ready" in message:
            return
        self.kill()
        if "unsafe" in message:
            raise UnsafeRuntime(message["unsafe"])
        raise Unavailable(f"expected a renderer to start, got {_describe_exit(self._process.returncode)}")

    def _receive(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return reply


def _rendered(reply: _Reply, transformations: Sequence[Transformation]) -> Rendered:
    """The value of a reply; raises the error of the child's render."""
    message = reply.message
    if "refused" in message:
        raise Refused(Reason(message["refused"]), message["message"])
    if "missing" in message:
        raise MissingExtra(message["missing"])
    if "exhausted" in message:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            "expected an image that is rendered within the memory allowed, got a larger one",
        )
    if "failed" in message:
        # A bug of this program: a retry would fail again, so it is a refusal. A fixed version tries again,
        # because RENDERING_VERSION is part of the plan's fingerprint.
        _log.error("rendering failed: %s", message["failed"])
        raise Refused(Reason.ENGINE_FAILED, "expected a rendition, got an error of the program; see its log")
    renditions = zip(transformations, reply.bodies, message["renditions"], strict=True)
    return Rendered(
        original=ImageMetadata(**message["original"]),
        summary=VisualSummary(**message["summary"]) if message["summary"] else None,
        renditions=tuple(
            RenderedImage(transformation, body, ImageMetadata(**metadata))
            for transformation, body, metadata in renditions
        ),
        exif=tuple((name, value) for name, value in message["exif"]),
        timings=Timings(**message["timings"]),
    )


_SECRET_PREFIXES = ("IMAGE_PROCESSOR_", "AWS_")


def _environment() -> dict[str, str]:
    """This process's environment without secrets, and with what libraries read once, when they load."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # NumPy and OpenCV each contain an OpenBLAS, which reserves up to 140 MiB for every core of the
    # machine; that counts towards the child's memory limit.
    one_thread = {"VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"}
    # A decoder that an upload has taken over must not find signing keys or credentials.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRET_PREFIXES)}
    return kept | one_thread | {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": path}


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"a decoder that ended with exit code {code}"
    return f"a decoder that died of {signal.Signals(-code).name}"
