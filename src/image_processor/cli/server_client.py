"""The REST API of a server, as the commands `upload`, `delete` and `open` use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from image_processor.domain.errors import ImageProcessorError, Invalid, NotFound, Unavailable
from image_processor.domain.keys import image_id
from image_processor.standalone import BUCKET

_SILENCE = 60.0
"""Seconds without a byte after which a server counts as unreachable."""
_MAX_ANSWER = 16 * 1024**2
_UNAUTHORIZED = 401
_FIX_OF_ADDRESS = "start it with `image-processor serve`, or name another one with --server or IMGP_SERVER"
_RETRYABLE = frozenset({408, 429})


class ServerClient:
    """One connection to the server at ``url``, which may have a path. ``token`` is one of the server's
    tokens, None where it asks for none. A context manager.

    Methods raise Invalid for what the server refuses, NotFound, and Unavailable if it cannot be reached or
    answers with an error of its own.
    """

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise Invalid.one("--server", "an address such as https://images.example", repr(url))
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.url = url.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=_SILENCE)
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __enter__(self) -> ServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def upload(self, key: str, file: Path) -> str:
        """Store the file as the original ``key``. Returns its id."""
        with file.open("rb") as body:
            headers = {"Content-Length": str(file.stat().st_size)}
            answer = self._request("PUT", f"/uploads/{quote(key)}", body, headers)
        return str(answer["id"])

    def import_url(self, url: str, key: str | None) -> tuple[str, str]:
        """Have the server fetch a file, under ``key`` or that of its source. Returns its key and id."""
        body = json.dumps({"url": url} if key is None else {"url": url, "key": key}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        answer = self._request("POST", "/uploads/from-url", BytesIO(body), headers)
        return str(answer["key"]), str(answer["id"])

    def delete(self, id_: str) -> None:
        """Delete an original and its renditions."""
        self._request("DELETE", f"/images/{id_}")

    def find(self, key: str) -> str:
        """The id of the original with this key, or id."""
        query = urlencode({"prefix": key, "sort": "name", "limit": 1, "fields": "status"})
        for image in self._request("GET", f"/images?{query}")["images"]:
            if image["original"] == key:
                return str(image["id"])
        with suppress(NotFound):  # an upload that waits is in no list
            return str(self._request("GET", f"/images/{image_id(BUCKET, key)}")["id"])
        with suppress(NotFound):
            return str(self._request("GET", f"/images/{quote(key, safe='')}")["id"])
        raise NotFound(f"expected the key or id of an original of {self.url}, got {key!r}")

    def page_of(self, id_: str) -> str:
        """The address of the page that shows an original."""
        return f"{self.url}/#{id_}"

    def _request(
        self, method: str, path: str, body: IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            self._connection.request(method, self._path + path, body, {**self._headers, **(headers or {})})
            response = self._connection.getresponse()
            content = response.read(_MAX_ANSWER)
            if not response.isclosed():
                self._connection.close()
        except (OSError, HTTPException) as error:
            self._connection.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unavailable(f"cannot reach {self.url}: {reason}; {_FIX_OF_ADDRESS}") from error
        answer = _document(content)
        if response.status >= 300:
            raise _error(self.url, response.status, answer)
        return answer


def _document(content: bytes) -> dict[str, Any]:
    """The JSON object of a response; empty if there is none."""
    try:
        document = json.loads(content or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(url: str, status: int, document: Mapping[str, Any]) -> ImageProcessorError:
    detail = document.get("detail") or document.get("title") or f"status {status}"
    if status == 404:
        return NotFound(str(detail))
    if status >= 500 or status in _RETRYABLE:
        return Unavailable(f"{url} answered {status}: {detail}")
    if status == _UNAUTHORIZED:
        return Invalid.one("IMGP_TOKEN", f"a token of {url}", f"{status}: {detail}")
    fix = document.get("fix")
    got = f"{status}: {detail}" + (f" {fix}" if fix else "")
    return Invalid.one("--server", "a request that the server accepts", got)
