"""HTTP edge: the words of problem documents, as plain values that the deliver function's cold start
can afford. `problems` makes answers of them.
"""

from __future__ import annotations

from typing import Any

MEDIA_TYPE = "application/problem+json"

# RFC 9110's names. Those of Python's HTTPStatus differ between its versions, and codes made of
# them must never change. The server's status line has Python's, which clients do not read.
TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def title_of(status: int) -> str:
    return TITLES.get(status, "Error")


def code_of(status: int) -> str:
    """The code of an error of HTTP itself: the status in words."""
    return title_of(status).lower().replace(" ", "-")


def document(status: int, detail: str = "", code: str | None = None) -> dict[str, Any]:
    """The smallest problem document (RFC 9457) that has every member a client may rely on."""
    return {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail or title_of(status),
        "code": code or code_of(status),
    }
