"""What of the template holds data or has an address that others know, and what would replace it.

`python tests/deployment/stateful.py > tests/deployment/released/X.Y.Z.json` writes it down at a release.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from linters import Json, translated
from resolve import resolve
from schemas import schema

# Functions and roles hold nothing, but monitoring and the policies of keys name them.
STATEFUL = frozenset(
    {
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::RestApi",
        "AWS::CloudFront::Distribution",
        "AWS::CloudFront::KeyValueStore",
        "AWS::DynamoDB::Table",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
    }
)
PARAMETERS = {
    "ApiAuthorization": "API_KEY",
    "ApiAccessLogs": "with-account-role",
    "AlarmEmail": "me@example.org",
}
"""Optional parts on: they have been parameters since 0.1.0."""


@cache
def fixed_properties(type_: str) -> tuple[str, ...]:
    """The properties of a type whose change replaces the resource, as AWS's schemas in cfn-lint name them."""
    found = schema(type_)
    paths = [*found.get("createOnlyProperties", ()), *found.get("conditionalCreateOnlyProperties", ())]
    return tuple(path.split("/")[2] for path in paths)


def stateful(resources: Json) -> dict[str, Json]:
    """Logical id, type and fixed properties of the stateful resources, of a resolved template."""
    return {
        name: {
            "type": row["Type"],
            "fixed": {
                key: value
                for key, value in row.get("Properties", {}).items()
                if key in fixed_properties(row["Type"])
            },
        }
        for name, row in sorted(resources.items())
        if row["Type"] in STATEFUL
    }


def losses(before: dict[str, Json], after: dict[str, Json]) -> Iterator[str]:
    """What an update from ``before`` to ``after`` would delete or replace."""
    for name, row in before.items():
        if name not in after:
            yield f"{name} is deleted"
        elif after[name]["type"] != row["type"]:
            yield f"{name} is replaced: {row['type']} -> {after[name]['type']}"
        elif after[name]["fixed"] != row["fixed"]:
            yield f"{name} is replaced: {row['fixed']} -> {after[name]['fixed']}"


def main(template: Any = None) -> None:
    found = stateful(resolve(template or translated(), **PARAMETERS))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
