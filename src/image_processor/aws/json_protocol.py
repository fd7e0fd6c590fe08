"""AWS's JSON protocol (1.0 and 1.1), which DynamoDB, SQS and EventBridge speak: requests and errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .client import Body, HttpResponse, Request


def json_request(target: str, arguments: Mapping[str, Any], *, version: str = "1.0") -> Request:
    """The request of an operation. ``target`` names the service and the operation, such as
    `AmazonSQS.SendMessage`; ``version`` is the protocol's."""
    headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": target}
    return Request("POST", "/", headers=headers, body=Body.from_bytes(json.dumps(arguments).encode()))


def parse_response(response: HttpResponse) -> dict[str, Any]:
    """The response's JSON object; an empty one if its body is none."""
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def error_code(response: HttpResponse) -> str:
    """The error's name, without the namespace in front of it; empty if there is none."""
    return str(parse_response(response).get("__type", "")).rpartition("#")[2]


def has_error(codes: Collection[str]) -> Callable[[HttpResponse], bool]:
    """Whether a response is one of these errors: a check for `Client.send`."""
    return lambda response: response.status >= 400 and error_code(response) in codes
