"""Runs render in a child process: a decoder that loops, crashes or eats all memory takes only
the child with it. The child is a new program, since a process that has used libvips hangs after
fork(). What it says is JSON and plain bytes, never pickle: an image that takes the child over
must not be able to make the parent run anything.
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
"""How long a child may take to import libvips and say that it is ready, on a very busy machine."""

_ENDING_SECONDS = 10
"""How long a child that has closed its end of the socket may take to be gone."""


class _Died(Exception):
    """The child ended without an answer; ``code`` is Popen's, negative for a signal."""

    def __init__(self, code: int) -> None:
        self.code = code


class IsolatedRenderer:
    """A render that survives its decoder. Not thread-safe: give each thread its own.

    ``timeout_factor`` is the wall-clock backstop: seconds of waiting for each second of
    ``limits.cpu_seconds``. It only matters where a child hangs without using CPU. ``until`` is when
    every answer must be there, in seconds of time.monotonic(), for who will be stopped then.
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
        """Start the child now rather than with the first render.

        Raises UnsafeRuntime where libvips cannot be made safe, Unavailable where no child starts.
        """
        if self._child is None:
            self._child = _Child(self._program)

    def close(self) -> None:
        """End the child. A later render starts another one."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def render(  # noqa: PLR0913 - as the engine's own
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
        """As `engine.render.render`, and keeps ``limits.cpu_seconds``; hands out when all is made.

        Raises also Refused(TOO_SLOW), and Refused(DECODER_CRASHED) if two children died of it.
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
        except _Died:
            # It may have been killed for somebody else's sake (out of memory): once more, alone.
            try:
                reply = self._ask(request, bodies, self._wall_seconds(limits))
            except _Died as second:
                raise Refused(Reason.DECODER_CRASHED, _describe(second.code)) from None
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
            # Whatever went wrong, an answer may still be on its way: never use this child again.
            self.close()
            raise


class _Reply(Struct, frozen=True):
    """What the child answered: the facts, and the renditions' bytes in the order asked for."""

    facts: dict[str, Any]
    bodies: list[bytes]


class _Child:
    """One child process and the socket to it."""

    def __init__(self, program: str) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
                    [sys.executable, "-P", "-c", program, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    process_group=0,  # Ctrl-C in a terminal is for the parent, which then decides
                )
            except OSError as error:
                self._connection.close()
                raise Unavailable(f"expected a renderer to start, got {error.strerror}") from error
        self._expect_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any], bodies: Sequence[bytes], wall_seconds: float) -> _Reply:
        """One render of the first of ``bodies``; the others are the overlay_sources that ``request`` names.

        Raises _Died, or Refused(TOO_SLOW); the child is of no use after either."""
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            for body in bodies:
                self._connection.send_bytes(body)
            if not self._connection.poll(wall_seconds):
                raise Refused(Reason.TOO_SLOW, f"expected an answer within {wall_seconds:.3g} s, got none")
            facts = self._receive()
            return _Reply(facts, [self._connection.recv_bytes() for _ in facts.get("renditions", ())])
        except (EOFError, OSError, ValueError):
            code = self._exit_code()
            if code == -signal.SIGXCPU:
                seconds = request["limits"]["cpu_seconds"]
                raise Refused(
                    Reason.TOO_SLOW, f"expected at most {seconds} s of CPU time, got more"
                ) from None
            raise _Died(code) from None

    def _exit_code(self) -> int:
        try:
            return self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            # It lives, and talked nonsense.
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End the process and forget it; harmless if it is gone."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _expect_ready(self) -> None:
        try:
            greeting = self._receive() if self._connection.poll(_START_SECONDS) else {}
        except (EOFError, OSError):
            greeting = {}
        if "ready" in greeting:
            return
        self.kill()
        if "unsafe" in greeting:
            raise UnsafeRuntime(greeting["unsafe"])
        raise Unavailable(f"expected a renderer to start, got {_describe(self._process.returncode)}")

    def _receive(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return reply


def _rendered(reply: _Reply, transformations: Sequence[Transformation]) -> Rendered:
    """What the reply stands for: a value, or an error of the child's render."""
    facts = reply.facts
    if "refused" in facts:
        raise Refused(Reason(facts["refused"]), facts["message"])
    if "missing" in facts:
        raise MissingExtra(facts["missing"])
    if "exhausted" in facts:
        message = "expected a picture that is rendered within the memory allowed, got a larger one"
        raise Refused(Reason.TOO_MANY_PIXELS, message)
    if "failed" in facts:
        # A bug of ours on this input: trying again would end the same way, so it is a refusal,
        # and RENDERING_VERSION in the plan's fingerprint lets a mended version try again.
        _log.error("rendering failed: %s", facts["failed"])
        raise Refused(Reason.ENGINE_FAILED, "expected a rendition, got an error of the program; see its log")
    renditions = zip(transformations, reply.bodies, facts["renditions"], strict=True)
    return Rendered(
        original=ImageMetadata(**facts["original"]),
        summary=VisualSummary(**facts["summary"]) if facts["summary"] else None,
        renditions=tuple(
            RenderedImage(wanted, body, ImageMetadata(**row)) for wanted, body, row in renditions
        ),
        exif=tuple((name, value) for name, value in facts["exif"]),
        timings=Timings(**facts["timings"]),
    )


_SECRETIVE = ("IMAGE_PROCESSOR_", "AWS_")


def _environment() -> dict[str, str]:
    """Ours without what may be secret, with what libraries read once, when they are loaded."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # NumPy and OpenCV bring an OpenBLAS each, which reserves up to 140 MiB for every core of the
    # machine; the child's bound on memory counts that.
    one_thread = {"VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"}
    # A decoder that an upload has taken over finds no signing keys and no credentials here.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETIVE)}
    return kept | one_thread | {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": path}


def _describe(code: int) -> str:
    if code >= 0:
        return f"a decoder that ended with exit code {code}"
    return f"a decoder that died of {signal.Signals(-code).name}"
