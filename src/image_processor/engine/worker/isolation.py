"""Runs `render` in a child process, so that a decoder that loops, crashes or exhausts memory ends only the
child. The child is started anew, since a process that has used libvips hangs after fork(). It replies in
JSON and raw bytes, never pickle: an image that takes over the child must not make the parent run code.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
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

from .channel import Channel

_START_SECONDS = 60
"""How long a child may take to import libvips and report that it is ready, on a very busy machine."""

_EXIT_SECONDS = 10
"""How long a child that has closed its end of the pipes may take to exit."""

_MAX_MESSAGE = 1024**3
"""Bytes of a rendition. A child that an image has taken over must not fill the parent's memory."""


class _ChildDied(Exception):
    """The child exited without a reply; ``code`` is its return code, negative for a signal."""

    def __init__(self, code: int) -> None:
        self.code = code


class IsolatedRenderer:
    """Renders in a child process that may die. Not thread-safe: each thread needs its own.

    ``timeout_factor`` bounds wall-clock time: seconds of waiting for each second of ``limits.cpu_seconds``.
    It only matters where a child hangs without using CPU. ``until``, in seconds of time.monotonic(), is a
    deadline for every reply, for a caller that will be stopped then. A missed one is a refusal, or with
    ``late_is_unavailable`` Unavailable, for a caller that has less time than others for the same image.
    """

    _program = "from image_processor.engine.worker.child import main; main()"

    def __init__(
        self, *, timeout_factor: float = 10.0, until: float = math.inf, late_is_unavailable: bool = False
    ) -> None:
        self.until = until
        self._timeout_factor = timeout_factor
        self._late_is_unavailable = late_is_unavailable
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def warm(self) -> None:
        """Start the child now instead of with the first render.

        Raises UnsafeRuntime where libvips cannot be made safe, Unavailable where no child starts.
        """
        self.start()
        assert self._child is not None
        try:
            self._child.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the child and return at once: it loads libvips while the caller reads the original. Raises
        Unavailable."""
        if self._child is None:
            _hide_memory()
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
        return max(0, min(self._timeout_factor * limits.cpu_seconds, self.until - time.monotonic()))

    def _ask(self, request: dict[str, Any], bodies: Sequence[bytes], wall_seconds: float) -> _Reply:
        self.warm()
        assert self._child is not None
        try:
            return self._child.ask(request, bodies, wall_seconds)
        except TimeoutError:
            self.close()
            message = f"expected a reply within {wall_seconds:.3g} s, got none"
            if self._late_is_unavailable and time.monotonic() >= self.until:
                raise Unavailable(message) from None
            raise Refused(Reason.TOO_SLOW, message) from None
        except BaseException:
            # A reply may still arrive later, so this child is never used again.
            self.close()
            raise


class _Reply(Struct, frozen=True):
    """The child's reply, and the renditions' bytes in the requested order."""

    message: dict[str, Any]
    bodies: list[bytes]


class _Child:
    """One child process and the pipes to it."""

    def __init__(self, program: str) -> None:
        theirs_read, ours_write = os.pipe()
        ours_read, theirs_write = os.pipe()
        self._channel = Channel(ours_read, ours_write)
        self._ready = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with a constant program
                [sys.executable, "-P", "-c", program, str(theirs_read), str(theirs_write)],
                pass_fds=[theirs_read, theirs_write],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # Ctrl-C in a terminal reaches only the parent, which then decides
            )
        except OSError as error:
            self._channel.close()
            raise Unavailable(f"expected a renderer to start, got {error.strerror}") from error
        finally:
            os.close(theirs_read)
            os.close(theirs_write)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any], bodies: Sequence[bytes], wall_seconds: float) -> _Reply:
        """Render the first of ``bodies``; the others are the overlay sources that ``request`` names.

        Raises _ChildDied, Refused(TOO_SLOW), or TimeoutError; the child cannot be used after any of them."""
        until = time.monotonic() + wall_seconds
        try:
            self._channel.send(json.dumps(request).encode(), until)
            for body in bodies:
                self._channel.send(body, until)
            message = self._receive(until)
            return _Reply(message, [self._receive_bytes(until) for _ in message.get("renditions", ())])
        except TimeoutError:
            raise
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
        self._channel.close()

    def wait_until_ready(self) -> None:
        """Return once the child has loaded libvips. Raises UnsafeRuntime, Unavailable."""
        if self._ready:
            return
        try:
            message = self._receive(time.monotonic() + _START_SECONDS)
        except (EOFError, OSError, ValueError):
            message = {}
        if "ready" in message:
            self._ready = True
            return
        self._process.kill()
        if "unsafe" in message:
            raise UnsafeRuntime(message["unsafe"])
        raise Unavailable(f"expected a renderer to start, got {_describe_exit(self._process.wait())}")

    def _receive(self, until: float) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._receive_bytes(until))
        return reply

    def _receive_bytes(self, until: float) -> bytes:
        return self._channel.receive(until, _MAX_MESSAGE)


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
        import logging  # noqa: PLC0415 - 4 ms of a cold start

        logging.getLogger(__name__).error("rendering failed: %s", message["failed"])
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


_INHERITED = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
_INHERITED_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "VIPS_", "G_", "FONTCONFIG_", "XDG_", "MALLOC_")
"""The variables that the interpreter, libvips and its libraries read. Others, such as signing keys and
credentials, stay out of reach of a decoder that an upload has taken over."""


def _environment() -> dict[str, str]:
    """The child's environment: no secrets, and what libraries read once, when they load."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # NumPy and OpenCV each contain an OpenBLAS, which reserves up to 140 MiB for every core of the
    # machine; that counts towards the child's memory limit.
    one_thread = {"VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return kept | one_thread | {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": path}


_PR_SET_DUMPABLE = 4


@cache
def _hide_memory() -> None:
    """Keep the child, which has the same user, from reading this process's environment and memory.

    With PR_SET_DUMPABLE 0 they belong to root (prctl(2), proc(5)), so this does not help a process of root.
    """
    if sys.platform != "linux":
        return
    from ctypes import CDLL  # noqa: PLC0415 - where a child is started only

    CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"a decoder that ended with exit code {code}"
    return f"a decoder that died of {signal.Signals(-code).name}"
