"""AWS room: requests and answers of the JSON protocol that DynamoDB and SQS speak."""

from __future__ import annotations

import json
from typing import Any

from .client import Answer, Body, Request

_MEDIA_TYPE = "application/x-amz-json-1.0"


def call_of(target: str, arguments: dict[str, Any]) -> Request:
    """The request for one operation; ``target`` is the API's version, a dot, and the operation's name."""
    headers = {"content-type": _MEDIA_TYPE, "x-amz-target": target}
    return Request("POST", "/", headers=headers, body=Body.of(json.dumps(arguments).encode()))


def parsed(answer: Answer) -> dict[str, Any]:
    """The answer's object; an empty one where it holds none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def error_name(found: dict[str, Any]) -> str:
    """The error's name; in front of it stands the name of the protocol."""
    return str(found.get("__type", "")).rpartition("#")[2]
