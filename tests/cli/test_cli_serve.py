"""The listening socket of `serve`."""

from __future__ import annotations

import socket

from image_processor.cli.serve import listen


def test_responses_are_sent_without_delay() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
