"""DynamoDB catalog: requests of DynamoDB's JSON protocol, their expressions and their errors.

In expressions every attribute name is a `#` placeholder, because `status` and a few hundred others
are reserved words, and every value a `:` placeholder, so no outside text becomes part of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from image_processor.aws.client import Client
from image_processor.aws.json_protocol import error_code, has_error, json_request, parse_response
from image_processor.catalog.rows import to_micros
from image_processor.domain.errors import Invalid, PreconditionFailed, Unavailable
from image_processor.domain.ports import Query

from .schema import Value, position, to_value

_API_VERSION = "DynamoDB_20120810"
# Responses with status 400 that are worth a retry ("Error handling with DynamoDB").
_THROTTLING_ERRORS = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
    }
)
_VALIDATION_ERRORS = frozenset({"ValidationException", "SerializationException"})

_PLACEHOLDER = re.compile(r"#(\w+)")

# Before and after every moment in datetime's range.
_MIN_MICROS, _MAX_MICROS = -(10**18) + 1, 10**18


class DynamoClient:
    """Sends operations, one request at a time. Throttled requests are retried."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.back_off = client.back_off

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The response to an operation. Raises PreconditionFailed if its condition does not hold,
        Invalid if DynamoDB rejects the arguments, and Unavailable for every other error."""
        request = json_request(f"{_API_VERSION}.{operation}", arguments)
        response = self._client.send(request, is_throttled=has_error(_THROTTLING_ERRORS))
        body = parse_response(response)
        if response.status == 200:
            return body
        name = error_code(response)
        if name == "ConditionalCheckFailedException":
            raise PreconditionFailed(f"{operation}: the condition does not hold")
        if name in _VALIDATION_ERRORS:
            message = body.get("message") or body.get("Message")
            raise Invalid.one(operation, "arguments that DynamoDB accepts", message)
        raise Unavailable(f"DynamoDB request {operation} failed: {name or response.status}")


class Update(Struct, frozen=True):
    """The changes that an UpdateItem makes: attributes to set, attributes to set only if missing,
    attributes to remove, numbers to add to and sets to add elements to, and sets to delete elements of."""

    set: Mapping[str, Value] = field(default_factory=dict)
    set_if_missing: Mapping[str, Value] = field(default_factory=dict)
    remove: Iterable[str] = ()
    add: Mapping[str, Value] = field(default_factory=dict)
    discard: Mapping[str, Value] = field(default_factory=dict)


_NO_UPDATE = Update()


def write_arguments(
    condition: str, values: Mapping[str, Value], update: Update = _NO_UPDATE
) -> dict[str, Any]:
    """The arguments of a conditional UpdateItem, or without an ``update`` of a DeleteItem. ``values``
    are those that only the condition uses."""
    assignments = [f"#{name} = :{name}" for name in update.set]
    assignments += [f"#{name} = if_not_exists(#{name}, :{name})" for name in update.set_if_missing]
    clauses = {
        "SET": ", ".join(assignments),
        "REMOVE": ", ".join(f"#{name}" for name in update.remove),
        "ADD": ", ".join(f"#{name} :{name}" for name in update.add),
        "DELETE": ", ".join(f"#{name} :{name}" for name in update.discard),
    }
    expression = " ".join(f"{verb} {clause}" for verb, clause in clauses.items() if clause)
    all_values = {**values, **update.set, **update.set_if_missing, **update.add, **update.discard}
    return {
        "ConditionExpression": condition,
        **({"UpdateExpression": expression} if expression else {}),
        **_placeholders(f"{condition} {expression}", all_values),
    }


def query_arguments(query: Query, shelf: str, after: str | None) -> dict[str, Any] | None:
    """The arguments of a Query of one partition of the index of listings, for the positions up to and
    including ``after``. None if the time range is empty."""
    low = position(_MIN_MICROS if query.since is None else to_micros(query.since))
    # A position without an id sorts before the records of that time, so ``until`` is exclusive.
    high = position(_MAX_MICROS if query.until is None else to_micros(query.until))
    high = high if after is None else min(high, after)
    if low > high:
        return None
    values = {"shelf": to_value(shelf), "low": to_value(low), "high": to_value(high)}
    filters = []
    if query.status is not None:
        filters.append("#status = :status")
        values["status"] = to_value(query.status.value)
    if query.prefix:
        filters.append("begins_with(#original_file, :prefix)")
        values["prefix"] = to_value(query.prefix)
    condition, filter_ = "#shelf = :shelf AND #position BETWEEN :low AND :high", " AND ".join(filters)
    return {
        "KeyConditionExpression": condition,
        **({"FilterExpression": filter_} if filter_ else {}),
        **_placeholders(f"{condition} {filter_}", values),
    }


def _placeholders(expressions: str, values: Mapping[str, Value]) -> dict[str, Any]:
    names = {f"#{name}": name for name in _PLACEHOLDER.findall(expressions)}
    placeholders: dict[str, Any] = {"ExpressionAttributeNames": names}
    if values:  # DynamoDB rejects an empty map
        placeholders["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return placeholders
