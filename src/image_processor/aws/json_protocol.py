"""Requests and responses of the JSON protocol that DynamoDB speaks."""

from __future__ import annotations

import json
from typing import Any

from .client import Body, HttpResponse, Request

_MEDIA_TYPE = "application/x-amz-json-1.0"


def json_request(target: str, arguments: dict[str, Any]) -> Request:
    """The request for one operation; ``target`` is the API's version, a dot, and the operation's name."""
    headers = {"content-type": _MEDIA_TYPE, "x-amz-target": target}
    return Request("POST", "/", headers=headers, body=Body.from_bytes(json.dumps(arguments).encode()))


def parse_response(response: HttpResponse) -> dict[str, Any]:
    """The response's JSON object; an empty one where the body is none."""
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def error_code(fields: dict[str, Any]) -> str:
    """The error's name, without the namespace in front of it; empty if there is none."""
    return str(fields.get("__type", "")).rpartition("#")[2]
