"""Reads resolved templates: resources by type, and the statements of all their policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from resolve import Json


def of_type(resources: Json, *types: str) -> dict[str, Json]:
    """The properties of the resources of these types, by logical id."""
    return {name: row.get("Properties", {}) for name, row in resources.items() if row["Type"] in types}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resources: Json) -> Iterator[tuple[str, Json]]:
    """Every statement of every policy, with the logical id of what it belongs to."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for document in [
            role["AssumeRolePolicyDocument"],
            *(row["PolicyDocument"] for row in role.get("Policies", [])),
        ]:
            yield from ((name, statement) for statement in document["Statement"])
    for name, policy in of_type(resources, "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy").items():
        yield from ((name, statement) for statement in policy["PolicyDocument"]["Statement"])
