"""A web server whose visitors upload photos straight to the storage. The standard library is enough for it.

It never sees the bytes of a photo. It decides who may upload what, under which key, and asks the image
processor for a form that allows just that. docs/learn/browser-uploads.md explains it step by step.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

PORT = int(os.environ.get("PORT", "8080"))
IMAGES = os.environ["IMGP_SERVER"].rstrip("/") + "/"
"""The API of the image processor: one machine's address, or the stack's output ApiUrl."""
TOKEN, API_KEY = os.environ.get("IMGP_TOKEN"), os.environ.get("IMGP_API_KEY")
"""One machine asks for a token of the scope `write`, API Gateway for a key."""
ORIGINS = os.environ.get("IMGP_ORIGINS", IMAGES)
"""Where the page sends photos to and shows them from, space-separated: on AWS the bucket and the CDN."""

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif"}
MAX_BYTES = 10_000_000
MAX_REQUEST_BYTES = 1_000
FILES = {"/": "index.html", "/upload.js": "upload.js", "/style.css": "style.css"}
MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'self'; connect-src 'self' {ORIGINS}; img-src 'self' {ORIGINS}; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Problem(Exception):
    """What the visitor is told, with a status."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def user_of(request: BaseHTTPRequestHandler) -> str:  # noqa: ARG001 - a real one reads it
    """Who sends the request. Put the session of your site here, and raise Problem(401) without one."""
    return "anna"


def call(path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The response of the image processor's API."""
    headers = {"content-type": "application/json"}
    if TOKEN:
        headers["authorization"] = f"Bearer {TOKEN}"
    if API_KEY:
        headers["x-api-key"] = API_KEY
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(IMAGES + path, data, headers)  # noqa: S310 - the address is ours
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        print(f"{path}: {error.code} {error.read().decode(errors='replace')}", flush=True)
        if error.code == HTTPStatus.NOT_FOUND:
            raise Problem(HTTPStatus.NOT_FOUND, "no such photo") from None
        raise Problem(HTTPStatus.BAD_GATEWAY, "the image processor refused the request") from None
    except OSError as error:
        print(f"{path}: {error}", flush=True)
        raise Problem(HTTPStatus.BAD_GATEWAY, "no response") from None


def create_form(user: str, wish: dict[str, Any]) -> dict[str, Any]:
    """A form that uploads one photo of ``user``: the visitor names neither its key nor its limits."""
    media_type, size = wish.get("type"), wish.get("bytes")
    if not isinstance(media_type, str) or media_type not in EXTENSIONS:
        expected = ", ".join(EXTENSIONS)
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected one of {expected}, got {media_type}")
    if type(size) is not int or not 0 < size <= MAX_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected 1-{MAX_BYTES} bytes, got {size}")
    key = f"users/{user}/{uuid.uuid4()}.{EXTENSIONS[media_type]}"
    form = call("uploads", {"key": key, "content_type": media_type})
    return {"id": form["id"], "url": urljoin(IMAGES, form["url"]), "fields": form["fields"]}


def photo(user: str, id_: str) -> dict[str, Any]:
    """How far a photo of ``user`` is, and its renditions."""
    image = call(f"images/{id_}")
    if not image["original"].startswith(f"users/{user}/"):
        raise Problem(HTTPStatus.NOT_FOUND, "no such photo")
    renditions = [
        {"src": urljoin(IMAGES, row["url"]), **{name: row[name] for name in ("format", "width", "height")}}
        for row in image["renditions"]
        if row["url"]
    ]
    return {"status": image["status"], "message": image["message"], "renditions": renditions}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if name := FILES.get(self.path):
            file = Path(__file__).with_name(name)
            self.respond(HTTPStatus.OK, file.read_bytes(), MEDIA_TYPES[file.suffix])
        else:
            self.respond_json(self.get_photo)

    def do_POST(self) -> None:
        self.respond_json(self.post_form)

    def get_photo(self) -> dict[str, Any]:
        if not (match := re.fullmatch(r"/photos/([a-z0-9]{1,64})", self.path)):
            raise Problem(HTTPStatus.NOT_FOUND, "no such page")
        return photo(user_of(self), match[1])

    def post_form(self) -> dict[str, Any]:
        if self.path != "/upload-forms":
            raise Problem(HTTPStatus.NOT_FOUND, "no such page")
        # A page of another site can send neither this type nor this header.
        if self.headers.get_content_type() != "application/json" or not self.is_from_own_page():
            raise Problem(HTTPStatus.FORBIDDEN, "expected JSON of a page of this site")
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            raise Problem(HTTPStatus.BAD_REQUEST, f"expected at most {MAX_REQUEST_BYTES} bytes of JSON")
        try:
            wish = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Problem(HTTPStatus.BAD_REQUEST, "expected JSON") from None
        if not isinstance(wish, dict):
            raise Problem(HTTPStatus.BAD_REQUEST, "expected a JSON object")
        return create_form(user_of(self), wish)

    def is_from_own_page(self) -> bool:
        return self.headers.get("sec-fetch-site", "same-origin") == "same-origin"

    def respond_json(self, result: Any) -> None:
        try:
            status, content = HTTPStatus.OK, result()
        except Problem as problem:
            status, content = problem.status, {"message": str(problem)}
        self.respond(status, json.dumps(content).encode(), "application/json")

    def respond(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(f"Serving http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
