"""The emulated KeyValueStore on a port of its own, for tests without LocalStack."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from support.aws_emulation.key_value_store import KeyValueStores, Request


@contextmanager
def edge_store_server(
    seen: list[Request], allowed: Callable[[str, str, str], bool] = lambda *_: True
) -> Iterator[str]:
    """Its address. Requests are appended to ``seen``."""
    stores = KeyValueStores(allowed)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            request = Request(self.command, path, dict(parse_qsl(query)), headers, body)
            seen.append(request)
            answered = stores.answer(request)
            content = json.dumps(answered.body).encode()
            self.send_response(answered.status)
            for name, value in {**answered.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
