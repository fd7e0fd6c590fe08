"""A program: S3 and DynamoDB emulated by moto, on a free port that it prints.

It ends when its standard input does, so it cannot outlive the program that started it. Requests
are answered one at a time: of 1,200 concurrent compare-and-swaps moto on its own lost 3.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server import utilities, werkzeug_app
from werkzeug.serving import WSGIRequestHandler, make_server

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Handler(WSGIRequestHandler):
    """As werkzeug's, but quiet and quick."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class OneAtATime:
    """A WSGI application that answers whole and alone."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            answer = list(self._application(environ, start_response))
        if "list-type=2" not in environ["QUERY_STRING"]:
            return answer
        # moto repeats start-after unescaped, which is no XML where it has control characters.
        return [_CONTROL.sub(b"?", part) for part in answer]


class AnyCharacter(utilities.RegexConverter):
    """moto's pattern of a key, which should also match the line feeds in it."""

    def __init__(self, url_map: Any, *items: str) -> None:
        super().__init__(
            url_map, *(item.replace(".", r"[\s\S]") if item in {".+", "/.*"} else item for item in items)
        )


def main() -> None:
    vars(werkzeug_app)["RegexConverter"] = AnyCharacter
    emulation = OneAtATime(werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app))
    server = make_server("127.0.0.1", 0, emulation, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)  # noqa: T201 - this is the program's answer
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
