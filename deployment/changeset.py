"""Deployment: a change set, shown before it is executed, and the execution followed to its end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aws_cli import Aws, AwsError
from console import RED, Stopped, detail, in_colour, say
from stack import Stack, find, is_missing

# A call of the AWS CLI takes about a second of CPU, and CloudFormation minutes.
POLL_SECONDS = 5

# What a change does, the worst first. Whether a conditional replacement happens shows only while deploying.
REPLACE, MAY_REPLACE, REMOVE, MODIFY, ADD = "replace", "may replace", "remove", "modify", "add"
ORDER = (REPLACE, MAY_REPLACE, REMOVE, MODIFY, ADD)


def available(aws: Aws, stack: str) -> set[str]:
    """The ARNs of the change sets of a stack that can be executed; none if there is no stack."""
    try:
        found = aws("cloudformation", "list-change-sets", "--stack-name", stack).get("Summaries", ())
    except AwsError as error:
        if is_missing(error):
            return set()
        raise
    return {row["ChangeSetId"] for row in found if row.get("ExecutionStatus") == "AVAILABLE"}


def show(aws: Aws, arn: str) -> None:
    """Print what the change set does, replacements first, and in red on a terminal."""
    answer = aws("cloudformation", "describe-change-set", "--change-set-name", arn)
    changes = list(_changes(answer.get("Changes", ())))
    say("changes")
    for kind, name, type_ in sorted(changes, key=lambda change: (_rank(change[0]), change[1])):
        line = f"{kind:<12} {name:<32} {type_}"
        detail(in_colour(line, RED, kind in {REPLACE, MAY_REPLACE} and sys.stdout.isatty()))
    counts = Counter(kind for kind, _, _ in changes)
    told = sorted(counts, key=_rank)
    detail(
        ", ".join(f"{counts[kind]} {kind}" for kind in told) or "no resource changes, only parameters or tags"
    )


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _changes(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        if change := row.get("ResourceChange"):
            yield _kind(change), change["LogicalResourceId"], change["ResourceType"]


def _kind(change: Mapping[str, Any]) -> str:
    if change["Action"] == "Modify":
        return {"True": REPLACE, "Conditional": MAY_REPLACE}.get(str(change.get("Replacement")), MODIFY)
    return str(change["Action"]).lower()


def discard(aws: Aws, arn: str, stack: str) -> None:
    """Delete the change set, and the stack if there is nothing but the change set."""
    aws("cloudformation", "delete-change-set", "--change-set-name", arn)
    found = find(aws, stack)
    if found and not found.exists:
        aws("cloudformation", "delete-stack", "--stack-name", stack)


def execute(aws: Aws, arn: str, name: str) -> Stack:
    """Execute the change set, print the stack's events, and return the stack. Raises Stopped if it fails."""
    seen = {event["EventId"] for event in _events(aws, name)}
    aws("cloudformation", "execute-change-set", "--change-set-name", arn)
    reasons: list[str] = []
    stack: Stack | None = None
    while True:
        events = _new_events(aws, name, seen)
        reasons += _tell(events)
        # While resources change there are events, so the stack itself need not be asked.
        if not events or any(map(_ends_stack, events)):
            stack = find(aws, name)
            if stack is None or not stack.is_changing:
                reasons += _tell(_new_events(aws, name, seen))
                break
        time.sleep(POLL_SECONDS)
    if stack is None or not stack.is_done:
        status = stack.status if stack else "no stack"
        raise Stopped(
            f"expected the stack to be deployed, got {status}: {'; '.join(reasons) or 'no reason given'}"
        )
    return stack


def _new_events(aws: Aws, name: str, seen: set[str]) -> list[dict[str, Any]]:
    """The events that are not in ``seen``, the oldest first; adds them to it."""
    events = [event for event in reversed(_events(aws, name)) if event["EventId"] not in seen]
    seen.update(event["EventId"] for event in events)
    return events


def _ends_stack(event: Mapping[str, Any]) -> bool:
    """Whether an event says that the stack as a whole is done."""
    is_of_stack = event.get("PhysicalResourceId") == event.get("StackId")
    return is_of_stack and not event["ResourceStatus"].endswith("_IN_PROGRESS")


def _events(aws: Aws, name: str) -> list[dict[str, Any]]:
    """The newest events of a stack, the newest first."""
    found: list[dict[str, Any]] = aws(
        "cloudformation", "describe-stack-events", "--stack-name", name, "--max-items", "200"
    ).get("StackEvents", [])
    return found


def _tell(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Print events, and return the reasons of failures."""
    reasons = []
    for event in events:
        status, name = event["ResourceStatus"], event["LogicalResourceId"]
        if status.endswith("_IN_PROGRESS"):
            continue
        reason = event.get("ResourceStatusReason", "") if "FAILED" in status else ""
        detail(f"{status:<24} {name}{': ' if reason else ''}{reason}")
        if reason and "cancelled" not in reason.lower():
            reasons.append(f"{name}: {reason}")
    return reasons
