"""DynamoDB catalog: calls of DynamoDB's JSON protocol, and what their errors mean."""

from __future__ import annotations

from typing import Any

from image_processor.aws.client import Answer, Client
from image_processor.aws.json_protocol import call_of, error_name, parsed
from image_processor.domain.errors import Invalid, PreconditionFailed, Unavailable

_VERSION = "DynamoDB_20120810"
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
        answer = self._client.send(call_of(f"{_VERSION}.{operation}", arguments), throttled=_is_throttled)
        found = parsed(answer)
        if answer.status == 200:
            return found
        name = error_name(found)
        if name == "ConditionalCheckFailedException":
            raise PreconditionFailed(f"{operation}: the condition does not hold")
        if name in _MISTAKES:
            raise Invalid.one(operation, "what DynamoDB takes", found.get("message") or found.get("Message"))
        raise Unavailable(f"DynamoDB cannot answer {operation}: {name or answer.status}")


def _is_throttled(answer: Answer) -> bool:
    return answer.status == 400 and error_name(parsed(answer)) in _THROTTLES
