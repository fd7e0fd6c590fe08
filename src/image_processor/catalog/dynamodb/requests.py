"""DynamoDB catalog: the arguments of its conditional writes and of its queries.

Every name stands behind a `#`, because `status` and a few hundred others are reserved words, and
every value behind a `:`, so that no text from outside is part of an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from image_processor.aws.client import Answer, Client
from image_processor.aws.json_protocol import call_of, error_name, parsed
from image_processor.catalog.rows import to_ticks
from image_processor.domain.errors import Invalid, PreconditionFailed, Unavailable
from image_processor.domain.ports import Query

from .schema import PARTITION, Value, position, to_value

_NAMES = re.compile(r"#(\w+)")

# Outside of every moment that Python knows.
_EARLIEST, _LATEST = -(10**18) + 1, 10**18


class Update(Struct, frozen=True):
    """What a write does to an item: values set, set only where there is none, and removed
    attributes; ``count`` names a number that grows by one."""

    set: Mapping[str, Value] = field(default_factory=dict)
    set_new: Mapping[str, Value] = field(default_factory=dict)
    remove: Iterable[str] = ()
    count: str | None = None


_NO_UPDATE = Update()


def conditional(condition: str, values: Mapping[str, Value], update: Update = _NO_UPDATE) -> dict[str, Any]:
    """The expressions of an UpdateItem, or without an ``update`` of a DeleteItem. ``values`` are
    those that only the condition names."""
    assignments = [f"#{name} = :{name}" for name in update.set]
    assignments += [f"#{name} = if_not_exists(#{name}, :{name})" for name in update.set_new]
    clauses = {
        "SET": ", ".join(assignments),
        "REMOVE": ", ".join(f"#{name}" for name in update.remove),
        "ADD": f"#{update.count} :one" if update.count else "",
    }
    expression = " ".join(f"{verb} {clause}" for verb, clause in clauses.items() if clause)
    given = {**values, **update.set, **update.set_new}
    if update.count:
        given["one"] = to_value(1)
    return {
        "ConditionExpression": condition,
        **({"UpdateExpression": expression} if expression else {}),
        **_bound(f"{condition} {expression}", given),
    }


def listing(query: Query, after: str | None) -> dict[str, Any] | None:
    """The expressions of a Query for the positions of ``query`` before ``after``, itself
    included; None where there can be none."""
    low = position(_EARLIEST if query.since is None else to_ticks(query.since))
    # No record has a position without an id, so ``until`` itself is not among them.
    high = position(_LATEST if query.until is None else to_ticks(query.until))
    high = high if after is None else min(high, after)
    if low > high:
        return None
    values = {"shelf": to_value(PARTITION), "low": to_value(low), "high": to_value(high)}
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
        **_bound(f"{condition} {filter_}", values),
    }


def _bound(expressions: str, values: Mapping[str, Value]) -> dict[str, Any]:
    names = {f"#{name}": name for name in _NAMES.findall(expressions)}
    return {
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
    }


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
