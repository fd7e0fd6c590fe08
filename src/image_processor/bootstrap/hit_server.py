"""Composes a hit server. A program: `python -m image_processor.bootstrap.hit_server LISTENER CHANNEL`, two
numbers of descriptors, which `api.hit_servers` passes on."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from image_processor.api.hit_server import serve_hits
from image_processor.storage.directory import DirectoryStore


def main(listener: int, channel: int) -> None:
    # A terminal's Ctrl-C goes to all processes. The server says when to stop; its end is the end of this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=listener) as accepting, socket.socket(fileno=channel) as end:
        serving = serve_hits(accepting, end, lambda path: DirectoryStore(Path(path)))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serving)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - not on every system

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
