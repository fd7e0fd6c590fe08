"""Whether IAM policies allow a call: identity policies of a role, resource policies for a service.

Pure. As the IAM user guide's "Policy evaluation logic" has it, within one account and without
boundaries, session policies and organisations. What it cannot judge it refuses to judge: it raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Policy = Mapping[str, Any]
Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody wants to do. ``keys`` are the condition keys that the call has, lower case."""

    action: str
    resource: str
    keys: Mapping[str, str] = field(default_factory=dict)


def allows(policies: Iterable[Policy], call: Call) -> bool:
    """Whether the identity policies of one principal allow the call."""
    return _decide((statement for policy in policies for statement in _statements(policy)), call)


def allows_service(policies: Iterable[Policy], service: str, call: Call) -> bool:
    """Whether the resource's own policies let the AWS service (`s3.amazonaws.com`) make the call."""
    statements = (statement for policy in policies for statement in _statements(policy))
    return _decide((found for found in statements if _is_for_service(found, service)), call)


def _decide(statements: Iterable[Statement], call: Call) -> bool:
    effects = {statement["Effect"] for statement in statements if _applies(statement, call)}
    return "Allow" in effects and "Deny" not in effects


def _statements(policy: Policy) -> list[Statement]:
    return _listed(policy["Statement"])


def _is_for_service(statement: Statement, service: str) -> bool:
    principal = statement["Principal"]
    if principal == "*":
        return True
    return isinstance(principal, Mapping) and service in _listed(principal.get("Service", ()))


def _applies(statement: Statement, call: Call) -> bool:
    return (
        _names(statement, "Action", call.action.lower(), str.lower)
        and _names(statement, "Resource", call.resource, str)
        and _conditions_hold(statement.get("Condition", {}), call.keys)
    )


def _names(statement: Statement, element: str, value: str, fold: Callable[[str], str]) -> bool:
    if element in statement:
        return any(_like(value, fold(pattern)) for pattern in _listed(statement[element]))
    return not any(_like(value, fold(pattern)) for pattern in _listed(statement[f"Not{element}"]))


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str]) -> bool:
    return all(
        _condition_holds(operator, keys.get(key.lower()), [_text(value) for value in _listed(expected)])
        for operator, tests in conditions.items()
        for key, expected in tests.items()
    )


def _condition_holds(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    if operator == "Null":
        return (value is None) == (wanted == ["true"])
    base = operator.removesuffix("IfExists")
    if base not in _OPERATORS:
        raise NotImplementedError(f"condition operator {operator}")
    negated, matches = _OPERATORS[base]
    if value is None:
        # "If the key is not present" is true for negated operators and for ...IfExists.
        return negated or operator != base
    return any(matches(value, each) for each in wanted) != negated


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _equal_folded(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if "${" in text:
        raise NotImplementedError(f"policy variable in {text}")
    return re.compile("".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in text), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _less(value: str, wanted: str) -> bool:
    return float(value) < float(wanted)


_OPERATORS: Mapping[str, tuple[bool, Callable[[str, str], bool]]] = {
    "StringEquals": (False, _equal),
    "StringNotEquals": (True, _equal),
    "StringEqualsIgnoreCase": (False, _equal_folded),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _like),
    "ArnLike": (False, _like),
    "ArnNotEquals": (True, _like),
    "ArnNotLike": (True, _like),
    "Bool": (False, _equal_folded),
    "NumericLessThan": (False, _less),
}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
