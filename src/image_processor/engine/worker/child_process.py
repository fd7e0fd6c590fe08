"""One isolated child as its parent sees it: starts the process, sends requests, and reads what may come.

A child that an image has taken over may send anything, or nothing. Each wait has an end, and each reply a
limit of bytes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from msgspec import MsgspecError

from image_processor.domain.errors import (
    ImageProcessorError,
    Reason,
    Refused,
    Unavailable,
    UnsafeRuntime,
)
from image_processor.domain.models import SandboxPolicy
from image_processor.domain.ports import OriginalFile

from . import messages
from .channel import Channel
from .child_environment import child_environment
from .decoded_files import KeptPixels, NewPixels
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

Message = tuple[messages.Made | messages.Reply, bytes]
"""A message of the child, with the bytes of a rendition."""

_Received = tuple[messages.Made | messages.Decoded | messages.Reply, bytes]


class ChildLost(Exception):
    """The child is gone, or does not do what a child does. Another cause than the image is possible: the
    kernel kills a process when another one has exhausted the memory, and an operator may stop one. ``error``
    is what to raise if it happens to a second child."""

    def __init__(self, error: ImageProcessorError) -> None:
        self.error = error


class ChildProcess:
    """One child process and the pipes to it. Only `kill` may be called from any thread."""

    def __init__(self, program: str, sandbox: SandboxPolicy) -> None:
        self._ready = False
        self._needs_sandbox = sandbox is SandboxPolicy.REQUIRED
        self.sandbox_gaps: tuple[str, ...] = ()
        with ExitStack() as ours, ExitStack() as theirs:
            try:
                theirs_read, ours_write = _open_pipe(theirs, ours)
                ours_read, theirs_write = _open_pipe(ours, theirs)
                self._files, their_files = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                ours.enter_context(self._files)
                theirs.enter_context(their_files)
                self._channel = Channel(ours_read, ours_write)
                self._process = _start(program, [theirs_read, theirs_write, their_files.fileno()], sandbox)
            except OSError as error:
                raise Unavailable(f"expected a renderer to start, got {error.strerror}") from error
            ours.pop_all()

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
    ) -> Iterator[Message]:
        """Render the first of ``bodies``; the others are the overlay sources that ``request`` names. Yields
        each rendition once, and at last the reply. ``kept`` has pixels of the original, and takes new ones.

        Raises ChildLost, Refused(TOO_SLOW), Unavailable for a file that cannot be read or has changed, and
        TimeoutError after ``wall_seconds``. Do not use the child after any of them, nor unless all is read.
        """
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
                    new = self._receive_pixels(message, request.max_new_pixels, kept, until)
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
            raise ChildLost(Refused(Reason.DECODER_CRASHED, _describe_exit(code))) from None

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
        """Return once the child answers. Raises ChildLost if it stands still, TimeoutError."""
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
                raise ChildLost(Refused(Reason.TOO_SLOW, f"expected a reply, got {got}"))

    def _receive_pixels(
        self, message: messages.Decoded, max_bytes: int, kept: KeptPixels | None, until: float
    ) -> NewPixels | None:
        """Write the pixels of ``message`` to a file; None where they are not wanted, or there is no room.
        Raises ValueError for too many."""
        if kept is None or not 0 < message.count <= max_bytes:
            raise ValueError(f"expected at most {max_bytes} bytes of pixels, got {message.count}")
        got = f"a part of the pixels within {_TRANSFER_SECONDS} s"
        with _transfer(until, Refused(Reason.TOO_SLOW, f"expected a reply, got {got}")) as end:
            is_wanted = kept.wants(message.key, message.count)
            self._channel.send(messages.encode(messages.Wanted(is_wanted)), end)
            if not is_wanted:
                return None
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


def _open_pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """The two ends of a pipe. Each stack closes its end."""
    reader, writer = os.pipe()
    reads.callback(os.close, reader)
    writes.callback(os.close, writer)
    return reader, writer


def _start(program: str, descriptors: Sequence[int], sandbox: SandboxPolicy) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter with a constant program
        [sys.executable, "-P", "-c", program, *map(str, descriptors), sandbox],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=child_environment(),
        # Ctrl-C in a terminal reaches only the parent, which then decides. If the parent dies while the
        # child is stopped, the kernel ends it, as it does with such a group (setpgid(2)).
        process_group=0,
    )


@contextmanager
def _transfer(until: float, error: ImageProcessorError) -> Iterator[float]:
    """The end of a transfer that starts now, at latest ``until``. A TimeoutError before that becomes
    ChildLost with ``error``."""
    try:
        yield min(until, time.monotonic() + _TRANSFER_SECONDS)
    except TimeoutError:
        if time.monotonic() >= until:
            raise
        raise ChildLost(error) from None


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"a decoder that ended with exit code {code}"
    return f"a decoder that died of {signal.Signals(-code).name}"
