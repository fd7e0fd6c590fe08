"""Runs in .venv-template: prints the actions that CloudFormation needs for the given resource types, as JSON.

The schemas of the types, which come with cfn-lint, list the actions that their handlers call with the rights
of whoever deploys. A type that is older than the schemas has none.
"""

from __future__ import annotations

import json
import sys

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER


def permissions(type_: str) -> list[str]:
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema.get("handlers", {})
    kinds = ("create", "read", "update", "delete")
    return sorted({action for kind in kinds for action in handlers.get(kind, {}).get("permissions", ())})


if __name__ == "__main__":
    json.dump({type_: permissions(type_) for type_ in sys.argv[1:]}, sys.stdout)
