"""A program that emulates S3 and DynamoDB with moto, on a free port that it prints.

It ends when its standard input is closed, so it cannot outlive the program that started it. It
processes one request at a time, because moto lost 3 of 1,200 concurrent compare-and-swaps.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server import utilities, werkzeug_app
from werkzeug.serving import WSGIRequestHandler, make_server

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class QuietHandler(WSGIRequestHandler):
    """Werkzeug's handler with connections that stay open, without a log and without Nagle's algorithm."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


class Serialized:
    """A WSGI application that processes one request at a time."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            response = list(self._application(environ, start_response))
        if "list-type=2" not in environ["QUERY_STRING"]:
            return response
        # moto repeats start-after unescaped, which is not valid XML if it has control characters.
        return [_CONTROL.sub(b"?", chunk) for chunk in response]


class AnyCharacter(utilities.RegexConverter):
    """Makes moto's patterns for keys match line feeds too."""

    def __init__(self, url_map: Any, *items: str) -> None:
        super().__init__(
            url_map, *(item.replace(".", r"[\s\S]") if item in {".+", "/.*"} else item for item in items)
        )


def main() -> None:
    vars(werkzeug_app)["RegexConverter"] = AnyCharacter
    dispatcher = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
    # For each request it lists moto's directory and tries hundreds of patterns: a third of the server's CPU.
    dispatcher.get_backend_for_host = functools.cache(dispatcher.get_backend_for_host)  # type: ignore[method-assign]
    emulation = Serialized(dispatcher)
    server = make_server("127.0.0.1", 0, emulation, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)  # noqa: T201 - the program that started this one reads it
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
