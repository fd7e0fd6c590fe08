"""Runs `render` in a child process, so that a decoder that loops, crashes or exhausts memory ends only the
child. The child is a new process and no fork, since one that has used libvips hangs after fork(). It replies
in JSON and raw bytes, never pickle: an image that takes over the child must not make the parent run code."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import MsgspecError

from image_processor.domain.errors import (
    ImageProcessorError,
    MissingExtra,
    Reason,
    Refused,
    Unavailable,
    UnsafeRuntime,
)
from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered, RenderedImage, SandboxPolicy
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import Transformation

from . import messages
from .channel import Channel
from .decoded_files import DecodedFiles, KeptPixels, NewPixels
from .resource_limits import cpu_seconds_of

_START_SECONDS = 60
"""How long a child may take to import libvips and report that it is ready, on a very busy machine."""

_TRANSFER_SECONDS = 60
"""How long a child may take to read a request with its images, and to send its reply once it has begun to. It
only copies memory meanwhile."""

_STALL_SECONDS = 60
"""How long a child that renders may use no CPU time: then it is stopped or hangs."""

_UNWATCHED_SECONDS = 1
"""How long a child may render before its CPU time is looked at: most have answered by then."""

_EXIT_SECONDS = 10
"""How long a child that has closed its end of the pipes may take to exit."""

_KILL_SECONDS = 5
"""How long the kernel may take to end a killed child. It is longer only in an uninterruptible system call."""

_MAX_MESSAGE = 16 * 1024**2
_MAX_RENDITIONS = 1024**3
"""Bytes of a reply, and of its renditions together. A child that an image has taken over must not fill the
parent's memory."""

_INVALID_REPLY = (EOFError, OSError, ValueError, MsgspecError, RecursionError)
"""What reading a reply raises where the child is gone or sends nonsense."""


class _ChildLost(Exception):
    """The child is gone, or does not do what a child does. Another cause than the image is possible: the
    kernel kills a process when another one has exhausted the memory, and an operator may stop one. ``error``
    is what to raise if it happens to a second child."""

    def __init__(self, error: ImageProcessorError) -> None:
        self.error = error


class IsolatedRenderer:
    """Renders in a child process that may die. Each thread needs its own: only `abort` is thread-safe.

    ``timeout_factor`` bounds wall-clock time: seconds of waiting for each second of ``limits.cpu_seconds``.
    It only matters where a child gets little CPU time. ``until``, in seconds of time.monotonic(), is a
    deadline for every reply, for a caller that will be stopped then. A missed one is a refusal, or with
    ``late_is_unavailable`` Unavailable, for a caller that has less time than others for the same image.
    ``sandbox`` says whether the child enters a sandbox. ``decoded`` keeps the pixels of originals that are
    files on this machine.
    """

    _program = "from image_processor.engine.worker.child import main; main()"

    def __init__(
        self,
        *,
        timeout_factor: float = 10.0,
        until: float = math.inf,
        late_is_unavailable: bool = False,
        sandbox: SandboxPolicy = SandboxPolicy.AUTO,
        decoded: DecodedFiles | None = None,
    ) -> None:
        self.until = until
        self.decoded = decoded
        self._timeout_factor = timeout_factor
        self._late_is_unavailable = late_is_unavailable
        self._sandbox = sandbox
        self._child: _Child | None = None
        self._aborted = False

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

        Raises UnsafeRuntime where libvips cannot be made safe, or a required sandbox is not complete;
        Unavailable where no child starts in time.
        """
        self.start()
        assert self._child is not None
        try:
            self._child.wait_until_ready(self.until)
        except BaseException:
            self.close()
            raise

    @property
    def sandbox_gaps(self) -> tuple[str, ...]:
        """What of the sandbox the child does not have, as sentences. Call `warm` first."""
        assert self._child is not None
        return self._child.sandbox_gaps

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the child has used, in hundredths of a second; 0 where it is not known. Call
        `warm` first."""
        assert self._child is not None
        return cpu_seconds_of(self._child.pid) or 0.0

    def start(self) -> None:
        """Start the child and return at once: it loads libvips while the caller reads the original. Raises
        Unavailable."""
        self._check_not_aborted()
        if self._child is None:
            _hide_memory()
            self._child = _Child(self._program, self._sandbox)
            self._check_not_aborted()  # `abort` may not have seen the new child

    def close(self) -> None:
        """End the child. A later render starts another one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def abort(self) -> None:
        """End the child for good: a running render and all later ones raise Unavailable. May be called from
        any thread, and does not wait."""
        self._aborted = True
        child = self._child
        if child is not None:
            child.kill()

    def render(  # noqa: PLR0913 - the parameters of engine.render.render
        self,
        data: bytes | OriginalFile,
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
        """As `engine.render.render`, and enforces ``limits.cpu_seconds``. ``on_rendition`` is called in the
        calling thread.

        Also raises Refused(TOO_SLOW), Refused(DECODER_CRASHED) if two children died of it, and Unavailable
        if no child takes it or the renderer was aborted.
        """
        overlays = overlay_sources or {}
        kept = None
        if self.decoded is not None and isinstance(data, OriginalFile) and transformations:
            kept = self.decoded.of(data)
        request = messages.Request(
            tuple(map(str, transformations)),
            limits,
            icc,
            threads,
            summary,
            tuple(exif),
            tuple(overlays),
            len(data) if isinstance(data, OriginalFile) else None,
            tuple(kept.files) if kept else (),
            kept.max_bytes if kept else 0,
        )
        bodies = [data, *overlays.values()]
        images: dict[int, RenderedImage] = {}

        def attempt() -> messages.Reply:
            for message, body in self._ask(request, bodies, kept):
                if not isinstance(message, messages.Made):
                    reply = message  # the last message, but `_ask` must come to its end
                # A child that was lost may have made it before.
                elif message.number not in images:
                    image = RenderedImage(transformations[message.number], body, message.metadata)
                    images[message.number] = image
                    on_rendition(image)
            return reply

        try:
            reply = attempt()
        except _ChildLost:
            try:
                reply = attempt()
            except _ChildLost as second:
                raise second.error from None
        return _rendered(reply, [images[number] for number in sorted(images)])

    def _ask(
        self, request: messages.Request, bodies: Sequence[bytes | OriginalFile], kept: KeptPixels | None
    ) -> Iterator[_Message]:
        """As `_Child.ask`. Raises _ChildLost, Refused(TOO_SLOW), Unavailable, UnsafeRuntime."""
        try:
            self.warm()
            assert self._child is not None
            wall_seconds = self._wall_seconds(request.limits)
            try:
                yield from self._child.ask(request, bodies, wall_seconds, kept)
            except TimeoutError:
                raise self._late(wall_seconds) from None
        except BaseException:
            # A reply may still arrive later, so this child is never used again.
            self.close()
            self._check_not_aborted()
            raise

    def _wall_seconds(self, limits: Limits) -> float:
        return max(0, min(self._timeout_factor * limits.cpu_seconds, self.until - time.monotonic()))

    def _late(self, wall_seconds: float) -> ImageProcessorError:
        message = f"expected a reply within {wall_seconds:.3g} s, got none"
        if self._late_is_unavailable and time.monotonic() >= self.until:
            return Unavailable(message)
        return Refused(Reason.TOO_SLOW, message)

    def _check_not_aborted(self) -> None:
        if self._aborted:
            self.close()
            raise Unavailable("the program is stopping")


_Message = tuple[messages.Made | messages.Reply, bytes]
"""A message of the child, with the bytes of a rendition."""

_Received = tuple[messages.Made | messages.Decoded | messages.Reply, bytes]


class _Child:
    """One child process and the pipes to it. Only `kill` may be called from any thread."""

    def __init__(self, program: str, sandbox: SandboxPolicy) -> None:
        theirs_read, ours_write = os.pipe()
        ours_read, theirs_write = os.pipe()
        self._files, their_files = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        theirs = [theirs_read, theirs_write, their_files.fileno()]
        self._channel = Channel(ours_read, ours_write)
        self._ready = False
        self._needs_sandbox = sandbox is SandboxPolicy.REQUIRED
        self.sandbox_gaps: tuple[str, ...] = ()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with a constant program
                [sys.executable, "-P", "-c", program, *map(str, theirs), sandbox],
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                # Ctrl-C in a terminal reaches only the parent, which then decides. If the parent dies while
                # the child is stopped, the kernel ends it, as it does with such a group (setpgid(2)).
                process_group=0,
            )
        except OSError as error:
            self._channel.close()
            self._files.close()
            raise Unavailable(f"expected a renderer to start, got {error.strerror}") from error
        finally:
            os.close(theirs_read)
            os.close(theirs_write)
            their_files.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self, until: float) -> None:
        """Return once the child has loaded libvips. Raises UnsafeRuntime; Unavailable, also if it has not at
        ``until`` or after _START_SECONDS."""
        if self._ready:
            return
        end = min(until, time.monotonic() + _START_SECONDS)
        try:
            message = messages.decode_start(self._channel.receive(end, _MAX_MESSAGE))
        except TimeoutError:
            raise Unavailable("expected a renderer to start in time, got no sign of it") from None
        except _INVALID_REPLY:
            got = _describe_exit(self._exit_code(until))
            raise Unavailable(f"expected a renderer to start, got {got}") from None
        if isinstance(message, messages.Unsafe):
            raise UnsafeRuntime(message.message)
        if message.sandbox_gaps and self._needs_sandbox:
            gaps = "; ".join(message.sandbox_gaps)
            raise UnsafeRuntime(f"expected renderers in a sandbox, which is required, but {gaps}")
        self._ready = True
        self.sandbox_gaps = message.sandbox_gaps

    def ask(
        self,
        request: messages.Request,
        bodies: Sequence[bytes | OriginalFile],
        wall_seconds: float,
        kept: KeptPixels | None,
    ) -> Iterator[_Message]:
        """Render the first of ``bodies``; the others are the overlay sources that ``request`` names. Yields
        each rendition once, and at last the reply. ``kept`` has pixels of the original, and takes new ones.

        Raises _ChildLost, Refused(TOO_SLOW), Unavailable for a file that cannot be read or has changed, and
        TimeoutError after ``wall_seconds``; the child cannot be
        used after any of them, and neither if not all is read."""
        until = time.monotonic() + wall_seconds
        missing = set(range(len(request.transformations)))
        allowed = _MAX_RENDITIONS
        new = None
        try:
            self._send([messages.encode(request), *bodies], until, kept)
            while True:
                self._await_reply(until)
                message, body = self._receive(missing, allowed, until)
                if isinstance(message, messages.Decoded):
                    new = self._receive_pixels(message, kept, until)
                    continue
                if isinstance(message, messages.Done) and kept:
                    kept.finish(message.used, new)
                yield message, body
                if not isinstance(message, messages.Made):
                    return
                missing.remove(message.number)
                allowed -= len(body)
        except TimeoutError:
            raise
        except _INVALID_REPLY:
            code = self._exit_code(until)
            if code == -signal.SIGXCPU:
                seconds = request.limits.cpu_seconds
                raise Refused(
                    Reason.TOO_SLOW, f"expected at most {seconds} s of CPU time, got more"
                ) from None
            raise _ChildLost(Refused(Reason.DECODER_CRASHED, _describe_exit(code))) from None

    def kill(self) -> None:
        """Have the kernel end the process; harmless if it has exited."""
        self._process.kill()

    def close(self) -> None:
        """End the process and close the pipes."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        self._channel.close()
        self._files.close()

    def _send(self, contents: Sequence[bytes | OriginalFile], until: float, kept: KeptPixels | None) -> None:
        expected = (
            f"expected a renderer to read the original within {_TRANSFER_SECONDS} s, got one that does not"
        )
        with _transfer(until, Unavailable(expected)) as end:
            for content in contents:
                if isinstance(content, OriginalFile):
                    self._pass_file(content, end, kept)
                else:
                    self._channel.send(content, end)

    def _pass_file(self, file: OriginalFile, until: float, kept: KeptPixels | None) -> None:
        """Have the child read ``file``. Raises Unavailable where it cannot, or the file has changed."""
        pixels = [pixels.descriptor for pixels in kept.files.values()] if kept else []
        socket.send_fds(self._files, [b" "], [file.descriptor, *pixels])
        read = messages.decode_read(self._channel.receive(until, _MAX_MESSAGE))
        if read.error:
            raise Unavailable(f"expected a renderer to read the original, got {read.error}")
        file.check()
        if read.count != len(file):
            raise Unavailable(f"expected {len(file)} bytes of the original, got {read.count}")

    def _await_reply(self, until: float) -> None:
        """Return once the child answers. Raises _ChildLost if it stands still, TimeoutError."""
        with suppress(TimeoutError):
            return self._channel.wait(min(until, time.monotonic() + _UNWATCHED_SECONDS))
        used = cpu_seconds_of(self.pid)
        while True:
            try:
                return self._channel.wait(min(until, time.monotonic() + _STALL_SECONDS))
            except TimeoutError:
                if time.monotonic() >= until:
                    raise
            before, used = used, cpu_seconds_of(self.pid)
            if used is not None and used == before:
                got = f"a decoder that used no CPU time for {_STALL_SECONDS} s"
                raise _ChildLost(Refused(Reason.TOO_SLOW, f"expected a reply, got {got}"))

    def _receive_pixels(
        self, message: messages.Decoded, kept: KeptPixels | None, until: float
    ) -> NewPixels | None:
        """Write the pixels that follow to a file; None without room. Raises ValueError for too many."""
        max_bytes = kept.max_bytes if kept else 0
        if kept is None or not 0 < message.count <= max_bytes:
            raise ValueError(f"expected at most {max_bytes} bytes of pixels, got {message.count}")
        got = f"a part of the pixels within {_TRANSFER_SECONDS} s"
        with _transfer(until, Refused(Reason.TOO_SLOW, f"expected a reply, got {got}")) as end:
            file = kept.write(
                lambda file: self._channel.receive_into(file, message.count, end), message.count
            )
        return NewPixels(message.key, file) if file else None

    def _receive(self, missing: Collection[int], allowed: int, until: float) -> _Received:
        """The next message. Raises ValueError for one that cannot come now."""
        got = f"a part of it within {_TRANSFER_SECONDS} s"
        with _transfer(until, Refused(Reason.TOO_SLOW, f"expected a reply, got {got}")) as end:
            message = messages.decode_reply(self._channel.receive(end, _MAX_MESSAGE))
            if isinstance(message, messages.Made):
                if message.number not in missing:
                    raise ValueError(f"expected one of the renditions {missing}, got {message.number}")
                return message, self._channel.receive(end, allowed)
            if isinstance(message, messages.Done | messages.Decoded) and missing:
                raise ValueError(f"expected the renditions {missing}, got none of them")
            return message, b""

    def _exit_code(self, until: float) -> int:
        """The return code of a child that has closed its pipes or sent nonsense, negative for a signal."""
        try:
            return self._process.wait(max(0.1, min(_EXIT_SECONDS, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL


@contextmanager
def _transfer(until: float, error: ImageProcessorError) -> Iterator[float]:
    """The end of a transfer that starts now, at latest ``until``. A TimeoutError before that becomes
    _ChildLost with ``error``."""
    try:
        yield min(until, time.monotonic() + _TRANSFER_SECONDS)
    except TimeoutError:
        if time.monotonic() >= until:
            raise
        raise _ChildLost(error) from None


def _rendered(reply: messages.Reply, renditions: Sequence[RenderedImage]) -> Rendered:
    """The value of a reply; raises the error of the child's render."""
    match reply:
        case messages.Refusal(reason, message):
            raise Refused(reason, message)
        case messages.Missing(message):
            raise MissingExtra(message)
        case messages.Exhausted():
            raise Refused(
                Reason.TOO_MANY_PIXELS,
                "expected an image that is rendered within the memory allowed, got a larger one",
            )
        case messages.Failed(traceback):
            # A bug of this program: a retry would fail again, so it is a refusal. A fixed version tries
            # again, because RENDERING_VERSION is part of the plan's fingerprint.
            import logging  # noqa: PLC0415 - 4 ms of a cold start

            logging.getLogger(__name__).error("rendering failed: %s", traceback)
            raise Refused(
                Reason.ENGINE_FAILED, "expected a rendition, got an error of the program; see its log"
            )
        case messages.Done(original, summary, exif, timings):
            return Rendered(original, summary, tuple(renditions), exif, timings)


_INHERITED = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
_INHERITED_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "VIPS_", "G_", "FONTCONFIG_", "XDG_", "MALLOC_")
"""The variables that the interpreter, libvips and its libraries read. Others, such as signing keys and
credentials, stay out of reach of a decoder that an upload has taken over."""


_MALLOC = {
    # One, so that an encoder takes what another one has freed: with two, a child that makes ten renditions of
    # 12 megapixels again and again grows to 240 MB instead of 160, and takes a little more CPU time.
    "MALLOC_ARENA_MAX": "1",
    # mallopt(3): the largest values that glibc itself would choose, from the start. With small ones each
    # image pays a fifth more for fresh pages. The child returns memory when it has been idle for a moment.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024**2),
}
"""How the C library of the child holds memory."""


_INSTRUMENTATION = "auto_instrumentation"
"""The folder with which `opentelemetry-instrument` starts threads in every Python program that has it on its
path."""


def _environment() -> dict[str, str]:
    """The child's environment: no secrets, and what libraries read once, when they load."""
    path = os.pathsep.join(entry for entry in sys.path if entry and Path(entry).name != _INSTRUMENTATION)
    # NumPy and OpenCV each contain an OpenBLAS, which reserves up to 140 MiB for every core of the
    # machine; that counts towards the child's memory limit.
    one_thread = {"VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return kept | one_thread | _MALLOC | {"PYTHONPATH": path}


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
