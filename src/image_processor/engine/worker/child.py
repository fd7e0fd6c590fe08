"""The program of the isolated child: renders requests from its pipe until the parent is gone.

It sets limits of CPU time for each request and of memory, both enforced by the kernel, and enters a sandbox
before it reads its first image.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache

from image_processor.domain.errors import MissingExtra, Refused, UnsafeRuntime
from image_processor.domain.models import Limits, RenderedImage, SandboxPolicy
from image_processor.domain.transformation import Transformation, parse
from image_processor.engine import runtime
from image_processor.engine.decoded_originals import MIN_BYTES, DecodedOriginalKey
from image_processor.engine.render import render

from . import messages, sandbox
from .channel import Channel, receive_descriptors
from .resource_limits import limit_cpu, limit_memory, return_memory

_MEMORY_FACTOR = 3
MEMORY_BYTES = _MEMORY_FACTOR * Limits().max_memory
"""The limit, with the default of `Limits.max_memory`, for a decoder that takes more than its file's header
announces. The largest legitimate need is 1,150 MiB: a rendition of 50 megapixels, encoded as AVIF. It does
not replace the check of the header: where libvips gets no memory for a block of a TIFF, it leaves the block
black."""


_IDLE_SECONDS = 2.0
"""How long the child waits for a request before it returns the memory that the last ones took. Fresh memory
for each image would cost a fifth of its CPU time."""


def main() -> None:
    """Serve the pipes whose file descriptors are the arguments: one to read, one to write; the third is a
    socket over which descriptors of originals come, the fourth the SandboxPolicy. Returns when the parent is
    gone."""
    reader, writer, files = map(int, sys.argv[1:4])
    policy = SandboxPolicy(sys.argv[4])
    _apply_limits()
    channel = Channel(reader, writer)
    with suppress(EOFError, BrokenPipeError):  # the parent is gone, and nobody needs an answer or a traceback
        try:
            runtime.start()
        except UnsafeRuntime as error:
            channel.send(messages.encode(messages.Unsafe(str(error))))
            return
        gaps = sandbox.enter() if policy is not SandboxPolicy.OFF else ("off, as configured",)
        threading.Thread(target=_exit_with_parent, args=[reader], daemon=True).start()
        channel.send(messages.encode(messages.Ready(gaps)))
        _serve(channel, files)


def _serve(channel: Channel, files: int) -> None:
    """Answer requests. Raises EOFError and BrokenPipeError once the parent is gone."""
    while True:
        try:
            channel.wait(time.monotonic() + _IDLE_SECONDS)
        except TimeoutError:
            return_memory()
        _serve_request(messages.decode_request(channel.receive()), channel, files)


def _serve_request(request: messages.Request, channel: Channel, files: int) -> None:
    # A function of its own, so that the images are gone when the child waits for the next request.
    with ExitStack() as stack:
        pixels = _Pixels({}, 0)
        if request.file_bytes is None:
            data = channel.receive()
        else:
            descriptors = receive_descriptors(files, 1 + len(request.kept))
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
            data = _read_original(descriptors[0], request.file_bytes, channel)
            kept = dict(zip(request.kept, descriptors[1:], strict=True))
            pixels = _Pixels(kept, request.max_new_pixels)
        overlay_sources = {key: channel.receive() for key in request.overlay_keys}
        reply = _answer(request, data, overlay_sources, channel, pixels)
        if isinstance(reply, messages.Done) and pixels.new is not None:
            key, new = pixels.new
            channel.send(messages.encode(messages.Decoded(key, len(new))))
            if messages.decode_wanted(channel.receive()).wanted:
                channel.send(new)
        channel.send(messages.encode(reply))


def _read_original(descriptor: int, size: int, channel: Channel) -> bytes:
    """Read the original's file, and report that to the parent, which checks that it has not changed
    meanwhile."""
    try:
        # One call, which reads into the bytes that it returns: so they are in memory once.
        data = os.pread(descriptor, size, 0)
    except OSError as error:
        channel.send(messages.encode(messages.Read(0, str(error))))
        return b""
    channel.send(messages.encode(messages.Read(len(data))))
    return data


class _Pixels:
    """The pixels of the original that the parent keeps, in files by their descriptors, and new ones that it
    is to keep: the first that have at most ``max_bytes``.

    They are read, not mapped: a mapped file that becomes shorter ends the process that looks at it.
    """

    def __init__(self, descriptors: Mapping[DecodedOriginalKey, int], max_bytes: int) -> None:
        self._descriptors = descriptors
        self._max_bytes = max_bytes
        self.used: DecodedOriginalKey | None = None
        self.new: tuple[DecodedOriginalKey, memoryview] | None = None

    def read(self, key: DecodedOriginalKey, count: int) -> bytes | None:
        descriptor = self._descriptors.get(key)
        if descriptor is None:
            return None
        try:
            pixels = os.pread(descriptor, count, 0)
        except OSError:
            return None
        if len(pixels) != count:
            return None
        self.used = key
        return pixels

    def accepts(self, count: int) -> bool:
        return self.new is None and MIN_BYTES <= count <= self._max_bytes

    def keep(self, key: DecodedOriginalKey, pixels: memoryview) -> None:
        self.new = key, pixels


def _apply_limits() -> None:
    # Ctrl-C is handled by the parent, which may want this request finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An ignored signal is inherited through exec; this one must kill.
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    # A core dump would write an upload to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(MEMORY_BYTES)


def _exit_with_parent(descriptor: int) -> None:
    """End the process, even while it renders, once the parent's end of the pipe is closed.

    The kernel closes it however the parent dies. PR_SET_PDEATHSIG would not do: it fires when the thread
    that started the child ends (prctl(2)), which in a pool is too early.
    """
    hangup = select.poll()
    hangup.register(descriptor, 0)  # POLLHUP and POLLERR are always reported
    hangup.poll()
    os._exit(0)


_parse = lru_cache(maxsize=256)(parse)
"""A child gets the texts of a recipe with every upload."""


def _answer(
    request: messages.Request,
    data: bytes,
    overlay_sources: Mapping[str, bytes],
    channel: Channel,
    pixels: _Pixels,
) -> messages.Reply:
    """The reply to a request, after the renditions have been sent."""
    try:
        limit_cpu(request.limits.cpu_seconds)
        limit_memory(_MEMORY_FACTOR * request.limits.max_memory)
        transformations = [_parse(text) for text in request.transformations]
        rendered = render(
            data,
            transformations,
            request.limits,
            icc=request.icc,
            threads=request.threads,
            summary=request.summary,
            exif=request.exif,
            overlay_sources=overlay_sources,
            on_rendition=_Sender(transformations, channel).send,
            kept=pixels,
        )
    except Refused as refused:
        return messages.Refusal(refused.reason, refused.message)
    except MissingExtra as missing:
        return messages.Missing(str(missing))
    except MemoryError:
        return messages.Exhausted()
    except Exception:  # noqa: BLE001 - the parent waits for a reply, whatever happened
        return messages.Failed(traceback.format_exc())
    return messages.Done(rendered.original, rendered.summary, rendered.exif, rendered.timings, pixels.used)


class _Sender:
    """Sends each rendition as soon as it is made, from the threads of the encoders."""

    def __init__(self, transformations: Sequence[Transformation], channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._numbers: defaultdict[Transformation, list[int]] = defaultdict(list)
        for number, transformation in enumerate(transformations):
            self._numbers[transformation].append(number)

    def send(self, image: RenderedImage) -> None:
        with self._lock:
            number = self._numbers[image.transformation].pop()
            self._channel.send(messages.encode(messages.Made(number, image.metadata)))
            self._channel.send(image.body)
