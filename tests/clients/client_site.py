"""A running server for the clients' tests, with tokens, a signing key and a small recipe; images for it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from msgspec import Struct
from PIL import Image

from image_processor.config.tokens import Scope, create_token
from support.served import Served

RECIPE = """
[presets.small]
widths = [32, 64]
formats = ["webp", "jpeg"]
[[rules]]
match = "private/**"
presets = []
[[rules]]
match = "**"
presets = ["small"]
"""
SIGNING_KEY = "k1:a-secret-for-the-tests-of-clients"


class Site(Struct, frozen=True):
    """Where the server is, and what opens it."""

    address: str
    token: str
    read_token: str
    signing_key: str
    server: Served
    source: str
    """The beginning of URLs that the server may fetch. `cat.jpg` is `jpeg()`, below the key `fetched/`."""

    @property
    def uploads(self) -> Path:
        return self.server.folder / "data" / "uploads"

    @property
    def renditions(self) -> str:
        return f"{self.address}/renditions"


@contextmanager
def site_of(folder: Path, **more: str) -> Iterator[Site]:
    """A server over a folder, with further settings."""
    token, line = create_token(Scope.WRITE, "writer")
    read_token, read_line = create_token(Scope.READ, "reader")
    with _source() as source:
        settings = {
            "IMAGE_PROCESSOR_REMOTE_SOURCES": f"fetched/={source}",
            "IMAGE_PROCESSOR_REMOTE_PRIVATE": "127.0.0.1",
            "IMAGE_PROCESSOR_TOKENS": f"{line},{read_line}",
            "IMAGE_PROCESSOR_SIGNING_KEYS": SIGNING_KEY,
            "IMAGE_PROCESSOR_WORKERS": "1",
            "IMAGE_PROCESSOR_MAX_BYTES": "1",
            **more,
        }
        server = Served(folder, RECIPE, settings)
        try:
            server.start()
            yield Site(server.address, token, read_token, SIGNING_KEY, server, source)
        finally:
            server.close()


class _Source(BaseHTTPRequestHandler):
    """Another web server, with one photo."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = jpeg() if self.path.endswith("/cat.jpg") else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _source() -> Iterator[str]:
    """The beginning of that server's URLs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Source) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/photos/"
        server.shutdown()
        thread.join()


def jpeg(width: int = 120, height: int = 80, colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()
