"""Deployment: the concurrency that the deliver function reserves, within what the account has left.

Anonymous callers invoke *deliver*. Without a reservation they could take all the concurrency that the
functions of the account and region share.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cli import Aws, AwsError
from console import Errors, warn
from stack import Stack

NAME = "DeliverConcurrency"
UNRESERVED = 100
"""Lambda keeps at least so much unreserved ("Configuring reserved concurrency for a function")."""


def reserve(
    aws: Aws, stack: Stack | None, given: Mapping[str, str], values: Mapping[str, str], errors: Errors
) -> dict[str, str]:
    """The parameters to set: none if the reservation fits, or 0 if the default one does not.

    An existing stack keeps its value, which the account has already granted.
    """
    if values["EnableCdn"] != "true" or _keeps(stack, given):
        return {}
    wanted = int(values[NAME])
    if not wanted:
        return {}
    try:
        limit = aws("lambda", "get-account-settings")["AccountLimit"]
    except AwsError as error:
        errors.add(f"expected the account's Lambda limits, to reserve {NAME}={wanted}, got {error}")
        return {}
    total, left = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    room = max(left + _reserved(stack) - UNRESERVED, 0)
    if wanted <= room:
        return {}
    why = f"the account has {left} of {total} unreserved, and Lambda keeps {UNRESERVED} of them"
    if NAME in given:
        errors.add(f"expected at most {room} for {NAME}, got {wanted}: {why}")
        return {}
    warn(
        f"{NAME} is 0 instead of {wanted}, so callers of the CDN can use all of the account's concurrency: "
        f"{why}. Ask for more in Service Quotas (Lambda, Concurrent executions), then deploy {NAME}={wanted}."
    )
    return {NAME: "0"}


def _keeps(stack: Stack | None, given: Mapping[str, str]) -> bool:
    if stack is None or stack.parameters.get("EnableCdn") != "true":
        return False
    return given.get(NAME, stack.parameters.get(NAME)) == stack.parameters.get(NAME, object())


def _reserved(stack: Stack | None) -> int:
    if stack is None or stack.parameters.get("EnableCdn") != "true":
        return 0
    return int(stack.parameters.get(NAME, 0))
