"""DynamoDB catalog: calls of DynamoDB's JSON protocol, and what their errors mean."""

from __future__ import annotations

import json
from typing import Any

from image_processor.aws.client import Answer, Body, Client, Request
from image_processor.errors import Invalid, PreconditionFailed, Unavailable

_VERSION = "DynamoDB_20120810"
_MEDIA_TYPE = "application/x-amz-json-1.0"
# Answers with status 400 that time heals ("Error handling with DynamoDB").
_THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
    }
)
_MISTAKES = frozenset({"ValidationException", "SerializationException"})


class Calls:
    """One operation at a time. Raises PreconditionFailed where a condition did not hold, Invalid
    for what DynamoDB can never take, Unavailable for everything else that is no answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, operation: str, **arguments: Any) -> dict[str, Any]:
        headers = {"content-type": _MEDIA_TYPE, "x-amz-target": f"{_VERSION}.{operation}"}
        body = Body.of(json.dumps(arguments).encode())
        answer = self._client.send(Request("POST", "/", headers=headers, body=body), throttled=_is_throttled)
        found: dict[str, Any] = _parsed(answer)
        if answer.status == 200:
            return found
        name = _name(found)
        if name == "ConditionalCheckFailedException":
            raise PreconditionFailed(f"{operation}: the condition does not hold")
        if name in _MISTAKES:
            raise Invalid.one(operation, "what DynamoDB takes", found.get("message") or found.get("Message"))
        raise Unavailable(f"DynamoDB cannot answer {operation}: {name or answer.status}")


def _is_throttled(answer: Answer) -> bool:
    return answer.status == 400 and _name(_parsed(answer)) in _THROTTLES


def _parsed(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _name(found: dict[str, Any]) -> str:
    """The error's name; in front of it stands the name of the protocol."""
    return str(found.get("__type", "")).rpartition("#")[2]
