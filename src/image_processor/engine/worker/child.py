"""The program that isolation runs: renders what it is sent until its parent goes away.

It gives itself a deadline of CPU time for each job and a bound on memory, both enforced by the
kernel: SIGXCPU ends the process even while it is deep inside a decoder.
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
from multiprocessing.connection import Connection
from typing import Any

from msgspec import to_builtins

from image_processor.domain.errors import MissingExtra, Refused, UnsafeRuntime
from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered
from image_processor.domain.transformation import parse
from image_processor.engine import runtime
from image_processor.engine.memory import PEAK_BYTES
from image_processor.engine.render import render

from . import deadline

MEMORY_BYTES = 3 * PEAK_BYTES
"""The end for a decoder that takes more than its file's header lets expect. The most that is asked
for on purpose is 1,150 MiB: a rendition of 50 megapixels, encoded as AVIF. It is no substitute for the
judgement of the header: where libvips gets no memory for a block of a TIFF, it leaves it black."""


def main() -> None:
    """Serve the socket whose descriptor is the first argument. Returns when the parent is gone."""
    descriptor = int(sys.argv[1])
    _settle(descriptor)
    with Connection(descriptor) as connection:
        try:
            runtime.start()
        except UnsafeRuntime as error:
            _say(connection, {"unsafe": str(error)})
            return
        _say(connection, {"ready": True})
        while True:
            try:
                request = json.loads(connection.recv_bytes())
                data = connection.recv_bytes()
                overlay_sources = {key: connection.recv_bytes() for key in request["overlay_sources"]}
            except EOFError:
                return
            _answer(connection, request, data, overlay_sources)


def _settle(descriptor: int) -> None:
    # Ctrl-C is the parent's to handle, and it may want this job finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An ignored signal is inherited through exec; this one must kill.
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    # A core dump would put an upload on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Of the memory that can be written, not of addresses (RLIMIT_AS): each thread and each arena
    # of malloc reserves far more of those than it ever uses.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (deadline.at_most(MEMORY_BYTES, hard), hard))
    threading.Thread(target=_die_with_parent, args=[descriptor], daemon=True).start()


def _die_with_parent(descriptor: int) -> None:
    """End the process, even amid a job, once the parent's end of the socket is closed.

    The kernel closes it however the parent dies. PR_SET_PDEATHSIG would not do: it fires when
    the thread that started the child ends (prctl(2)), which in a pool is too early.
    """
    hangup = select.poll()
    hangup.register(descriptor, 0)  # POLLHUP and POLLERR are always reported
    hangup.poll()
    os._exit(0)


def _answer(
    connection: Connection, request: dict[str, Any], data: bytes, overlay_sources: Mapping[str, bytes]
) -> None:
    try:
        limits = Limits(**request["limits"])
        deadline.allow(limits.cpu_seconds)
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
        _say(connection, {"refused": refused.reason, "message": refused.message})
    except MissingExtra as missing:
        _say(connection, {"missing": str(missing)})
    except MemoryError:
        _say(connection, {"exhausted": True})
    except Exception:  # noqa: BLE001 - whatever it is, the parent waits for an answer
        _say(connection, {"failed": traceback.format_exc()})
    else:
        _say(connection, _facts(rendered))
        for rendition in rendered.renditions:
            connection.send_bytes(rendition.body)


def _facts(rendered: Rendered) -> dict[str, Any]:
    return {
        "original": to_builtins(rendered.original),
        "summary": to_builtins(rendered.summary) if rendered.summary else None,
        "renditions": [to_builtins(rendition.metadata) for rendition in rendered.renditions],
        "exif": rendered.exif,
        "timings": to_builtins(rendered.timings),
    }


def _say(connection: Connection, reply: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(reply).encode())
