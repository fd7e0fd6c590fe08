"""An HTTP server that answers by a script, for what an emulation never does: errors, silence,
connections that break.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext


@dataclass(frozen=True)
class Reply:
    """``body`` is cut to ``sent`` bytes where that is given, and the connection closed after it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    close: bool = False


HANG_UP = Reply(0)
"""Close the connection without an answer."""


@dataclass(frozen=True)
class Seen:
    """A request; ``connection`` numbers the connections in the order of their first requests."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Script:
    """What to answer, in order; the last one again and again. ``meanwhile`` runs before each. With
    ``respond`` each answer depends on its request alone, so requests may be sent at once."""

    replies: list[Reply]
    seen: list[Seen] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    respond: Callable[[Seen], Reply] | None = None
    address: str = ""

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def scripted(*replies: Reply, tls: SSLContext | None = None) -> Iterator[Script]:
    """A server of its own for as long as the context lasts; with ``tls`` on https://localhost."""
    script = Script(list(replies))
    connections: dict[tuple[str, int], int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            number = connections.setdefault(self.client_address, len(connections))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body, number)
            script.seen.append(seen)
            script.meanwhile()
            reply = script.respond(seen) if script.respond else script.next_reply()
            self.close_connection = reply.close or reply.sent is not None or reply == HANG_UP
            if reply != HANG_UP:
                self.tell(reply)

        def tell(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                # Whoever has heard enough hangs up.
                with suppress(ConnectionError):
                    self.wfile.write(reply.body[: reply.sent])

        # The names that http.server looks for.
        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - see above

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.address = f"http://127.0.0.1:{server.server_port}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        script.address = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
