"""The program of the isolated child: renders requests from its pipe until the parent is gone.

It sets limits of CPU time for each request and of memory, both enforced by the kernel.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from image_processor.domain.errors import MissingExtra, Refused, UnsafeRuntime
from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered
from image_processor.domain.transformation import parse
from image_processor.engine import runtime
from image_processor.engine.codecs.memory import PEAK_BYTES
from image_processor.engine.render import render

from .channel import Channel
from .resource_limits import limit_cpu, limit_memory

MEMORY_BYTES = 3 * PEAK_BYTES
"""The limit for a decoder that takes more than its file's header announces. The largest legitimate need is
1,150 MiB: a rendition of 50 megapixels, encoded as AVIF. It does not replace the check of the header: where
libvips gets no memory for a block of a TIFF, it leaves the block black."""


def main() -> None:
    """Serve the pipes whose file descriptors are the arguments: one to read, one to write. Returns when the
    parent is gone."""
    reader, writer = map(int, sys.argv[1:])
    _apply_limits(reader)
    channel = Channel(reader, writer)
    try:
        runtime.start()
    except UnsafeRuntime as error:
        _send(channel, {"unsafe": str(error)})
        return
    _send(channel, {"ready": True})
    while True:
        try:
            request = json.loads(channel.receive())
            data = channel.receive()
            overlay_sources = {key: channel.receive() for key in request["overlay_sources"]}
        except EOFError:
            return
        _handle(channel, request, data, overlay_sources)


def _apply_limits(descriptor: int) -> None:
    # Ctrl-C is handled by the parent, which may want this request finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An ignored signal is inherited through exec; this one must kill.
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    # A core dump would write an upload to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(MEMORY_BYTES)
    threading.Thread(target=_exit_with_parent, args=[descriptor], daemon=True).start()


def _exit_with_parent(descriptor: int) -> None:
    """End the process, even while it renders, once the parent's end of the pipe is closed.

    The kernel closes it however the parent dies. PR_SET_PDEATHSIG would not do: it fires when the thread
    that started the child ends (prctl(2)), which in a pool is too early.
    """
    hangup = select.poll()
    hangup.register(descriptor, 0)  # POLLHUP and POLLERR are always reported
    hangup.poll()
    os._exit(0)


def _handle(
    channel: Channel, request: dict[str, Any], data: bytes, overlay_sources: Mapping[str, bytes]
) -> None:
    try:
        limits = Limits(**request["limits"])
        limit_cpu(limits.cpu_seconds)
        rendered = render(
            data,
            [parse(text) for text in request["transformations"]],
            limits,
            icc=IccPolicy(request["icc"]),
            threads=request["threads"],
            summary=request["summary"],
            exif=[ExifField(name) for name in request["exif"]],
            overlay_sources=overlay_sources,
        )
    except Refused as refused:
        _send(channel, {"refused": refused.reason, "message": refused.message})
    except MissingExtra as missing:
        _send(channel, {"missing": str(missing)})
    except MemoryError:
        _send(channel, {"exhausted": True})
    except Exception:  # noqa: BLE001 - the parent waits for a reply, whatever happened
        _send(channel, {"failed": traceback.format_exc()})
    else:
        _send(channel, _reply(rendered))
        for rendition in rendered.renditions:
            channel.send(rendition.body)


def _reply(rendered: Rendered) -> dict[str, Any]:
    return {
        "original": to_builtins(rendered.original),
        "summary": to_builtins(rendered.summary) if rendered.summary else None,
        "renditions": [to_builtins(rendition.metadata) for rendition in rendered.renditions],
        "exif": rendered.exif,
        "timings": to_builtins(rendered.timings),
    }


def _send(channel: Channel, reply: dict[str, Any]) -> None:
    channel.send(json.dumps(reply).encode())
