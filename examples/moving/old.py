"""Stands for the product that you come from: a small server that reads a few of thumbor's URLs.

It ignores their signatures. With a thumbor of your own you do not need it.
"""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyvips

PORT = int(os.environ.get("PORT", "8888"))
ORIGINALS = Path("originals").resolve()
URL = re.compile(r"/[^/]+/(fit-in/)?(\d+)x(\d+)/(smart/)?(?:filters:([^/]+)/)?(.+)")
FILTER = re.compile(r"(\w+)\((\w*)\)")


def render(match: re.Match[str], original: Path) -> tuple[bytes, str]:
    """The rendition, and its format."""
    fit_in, width, height, smart, filters, _ = match.groups()
    asked = dict(FILTER.findall(filters or ""))
    crop = "none" if fit_in or "0" in (width, height) else "entropy" if smart else "centre"
    sides = [int(side) or 1_000_000 for side in (width, height)]
    size = "down" if fit_in else "both"
    image = pyvips.Image.thumbnail(str(original), sides[0], height=sides[1], crop=crop, size=size)
    if "grayscale" in asked:
        image = image.colourspace("b-w")
    format_ = asked.get("format", "jpeg")
    body: bytes = image.write_to_buffer(f".{format_}", Q=int(asked.get("quality", 80)), keep="none")
    return body, format_


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match = URL.fullmatch(self.path)
        original = (ORIGINALS / match[6]).resolve() if match else ORIGINALS
        if not match or not original.is_relative_to(ORIGINALS) or not original.is_file():
            self.respond(HTTPStatus.NOT_FOUND, b"no such image", "text/plain")
        else:
            body, format_ = render(match, original)
            self.respond(HTTPStatus.OK, body, f"image/{format_}")

    def respond(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(f"Serving http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
