"""Deployment: a stack of CloudFormation as it is now, read by one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cli import Aws, AwsError

# "Stack status codes": a stack in one of these can only be deleted.
_BROKEN = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
_DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
REVIEW = "REVIEW_IN_PROGRESS"
"""The status of a stack of which there is only a change set."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack with its parameters, outputs and tags, and whether its termination protection is on."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]
    protected: bool

    @property
    def exists(self) -> bool:
        """Whether anything was ever made of it, not only a change set."""
        return self.status != REVIEW

    @property
    def is_changing(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")

    @property
    def is_done(self) -> bool:
        return self.status in _DONE

    def obstacle(self) -> str | None:
        """Why the stack cannot be updated now, and what to do; None if it can."""
        if self.is_changing:
            return (
                f"expected no change of stack {self.name} to be under way, got {self.status}: try again later"
            )
        if self.status in _BROKEN:
            return (
                f"expected a stack that can be updated, got {self.name} in {self.status}: "
                f"delete it with deployment/teardown.sh --stack {self.name}"
            )
        if self.status == "UPDATE_ROLLBACK_FAILED":
            return (
                f"expected a stack that can be updated, got {self.name} in {self.status}: "
                f"run aws cloudformation continue-update-rollback --stack-name {self.name}"
            )
        return None


def find(aws: Aws, name: str) -> Stack | None:
    """The stack ``name``; None only if AWS says that it does not exist. Raises AwsError otherwise.

    Any other failure may hide a stack, and a stack taken for missing would lose what it was deployed with.
    """
    try:
        (found,) = aws("cloudformation", "describe-stacks", "--stack-name", name)["Stacks"]
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    return _stack(found)


def is_missing(error: AwsError) -> bool:
    """Whether CloudFormation says that there is no such stack."""
    return error.code == "ValidationError" and "does not exist" in error.message


def _stack(found: Mapping[str, Any]) -> Stack:
    return Stack(
        found["StackName"],
        found["StackStatus"],
        {row["ParameterKey"]: row["ParameterValue"] for row in found.get("Parameters", ())},
        {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", ())},
        {row["Key"]: row["Value"] for row in found.get("Tags", ())},
        bool(found.get("EnableTerminationProtection")),
    )
