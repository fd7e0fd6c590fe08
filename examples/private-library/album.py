"""A photo album for people with its password. Needs no packages.

It lists photos with a token that may only read, and signs the URLs of their renditions for ten minutes. The
signing key stays on this server. docs/learn/private-library.md explains it step by step.
"""

from __future__ import annotations

import base64
import hmac
import html
import json
import os
import time
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sign import signed_path

PORT = int(os.environ.get("PORT", "8080"))
API = os.environ["IMGP_SERVER"].rstrip("/")
CDN = os.environ.get("IMGP_CDN", f"{API}/renditions").rstrip("/")
"""Where renditions are: on AWS the stack's output CdnUrl."""
TOKEN, SIGNING_KEY = os.environ["IMGP_TOKEN"], os.environ["IMGP_SIGNING_KEY"]
LOGIN = base64.b64encode(f"album:{os.environ['ALBUM_PASSWORD']}".encode()).decode()
FOLDER = "family/"
SECONDS = 600
WIDTHS = (320, 1280)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Family album</title>
<h1>Family album</h1>
{photos}
</html>
"""


def photos() -> list[dict[str, Any]]:
    """The newest photos of the folder that have renditions."""
    address = f"{API}/images?prefix={FOLDER}&status=processed&fields=facts&limit=100"
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the address is ours
        found: list[dict[str, Any]] = json.load(response)["images"]
        return found


def image(photo: dict[str, Any]) -> str:
    """HTML that shows a photo until its URLs expire."""
    key, expires = photo["original"], int(time.time()) + SECONDS

    def url(width: int, format_: str) -> str:
        return html.escape(f"{CDN}/{signed_path(key, {'w': width, 'fm': format_}, expires, SIGNING_KEY)}")

    def srcset(format_: str) -> str:
        return ", ".join(f"{url(width, format_)} {width}w" for width in WIDTHS)

    height = round(WIDTHS[0] * photo["facts"]["height"] / photo["facts"]["width"])
    alt = html.escape(key.removeprefix(FOLDER))
    return (
        f'<picture><source type="image/avif" sizes="320px" srcset="{srcset("avif")}">'
        f'<img src="{url(WIDTHS[0], "jpeg")}" srcset="{srcset("jpeg")}" sizes="320px" '
        f'width="{WIDTHS[0]}" height="{height}" alt="{alt}"></picture>'
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # Put the login of your site here. Basic authentication is safe behind TLS only.
        given = self.headers.get("authorization", "").removeprefix("Basic ")
        if not hmac.compare_digest(given.encode(), LOGIN.encode()):
            self.respond(HTTPStatus.UNAUTHORIZED, "expected the name album and its password")
        elif self.path != "/":
            self.respond(HTTPStatus.NOT_FOUND, "no such page")
        else:
            self.respond(HTTPStatus.OK, PAGE.format(photos="\n".join(map(image, photos()))))

    def respond(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="album", charset="UTF-8"')
        self.send_header(
            "Content-Type", "text/html; charset=utf-8" if status is HTTPStatus.OK else "text/plain"
        )
        self.send_header("Content-Length", str(len(body)))
        # The page has URLs that open photos: no cache may keep it, and no other site learns its address.
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", f"default-src 'none'; img-src {CDN}/")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(f"Serving http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
