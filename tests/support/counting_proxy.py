"""An HTTP proxy in front of one server that counts requests."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class CountingProxy:
    """``count`` is the number of GET requests whose path begins with a text."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.count = 0


@contextmanager
def counting_proxy(target: str, beginning: str) -> Iterator[CountingProxy]:
    """Pass requests on to ``target``, and count those for paths with this ``beginning``."""
    host = urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            if self.command == "GET" and self.path.startswith(beginning):
                proxy.count += 1
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            content = response.read()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            is_empty = self.command == "HEAD"
            length = response.getheader("content-length", "0") if is_empty else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client was killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = CountingProxy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()
