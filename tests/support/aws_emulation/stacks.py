"""Stacks in the emulated AWS: deployed and updated, what came of a template, roles with a grant less."""

from __future__ import annotations

import copy
import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from .server import EmulatedAws

CODE_BUCKET = "code"
WAIT = {"Delay": 0.5, "MaxAttempts": 400}


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a role's inline policy allows."""

    role: str
    policy: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed template. ``outputs`` by their names, ``resources`` as physical by logical id."""

    aws: EmulatedAws
    name: str
    outputs: Mapping[str, str]
    resources: Mapping[str, str]

    def grants(self, role: str) -> list[Grant]:
        """Every single grant of the role's inline policies."""
        return [
            Grant(role, policy, action, resource)
            for policy, document in self._policies(role).items()
            for statement in listed(document["Statement"])
            if statement["Effect"] == "Allow"
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]

    @contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Take one grant away from its role for a while."""
        document = self._policies(grant.role)[grant.policy]
        self._write(grant, _without(document, grant))
        try:
            yield
        finally:
            self._write(grant, document)

    def _policies(self, role: str) -> dict[str, Any]:
        iam = self.aws.client("iam")
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}

    def _write(self, grant: Grant, document: Mapping[str, Any]) -> None:
        iam, named = self.aws.client("iam"), {"RoleName": grant.role, "PolicyName": grant.policy}
        if document["Statement"]:
            iam.put_role_policy(**named, PolicyDocument=json.dumps(document))
        else:
            iam.delete_role_policy(**named)  # a policy without statements is malformed


def deploy(aws: EmulatedAws, name: str, template: str, parameters: Mapping[str, str]) -> Stack:
    """Create a stack, or update it, and wait. Parameters that are not named have their defaults.

    As `sam deploy` does, by a change set: with them alone LocalStack compares with the template that SAM
    has translated for the stack before. Raises RuntimeError with CloudFormation's reasons.
    """
    cloudformation, s3 = aws.client("cloudformation"), aws.client("s3")
    s3.create_bucket(Bucket=CODE_BUCKET)
    # A template of more than 51,200 bytes is only taken from a bucket.
    s3.put_object(Bucket=CODE_BUCKET, Key=f"{name}.template", Body=template.encode())
    kind = "update" if _exists(cloudformation, name) else "create"
    change_set = {"StackName": name, "ChangeSetName": f"{kind}-{uuid.uuid4().hex}"}
    cloudformation.create_change_set(
        **change_set,
        ChangeSetType=kind.upper(),
        TemplateURL=f"{aws.endpoint}/{CODE_BUCKET}/{name}.template",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    seen = {event["EventId"] for event in _events(cloudformation, name)}
    try:
        # LocalStack has made it already, and stumbles where it describes one.
        cloudformation.execute_change_set(**change_set)
        cloudformation.get_waiter(f"stack_{kind}_complete").wait(StackName=name, WaiterConfig=WAIT)
    except WaiterError as error:
        raise RuntimeError(f"{kind} of {name}: {_reasons(cloudformation, name, seen)}") from error
    if reasons := _reasons(cloudformation, name, seen):
        raise RuntimeError(f"{kind} of {name}: {reasons}")
    return find_stack(aws, name)


def _exists(cloudformation: Any, name: str) -> bool:
    listed = cloudformation.get_paginator("list_stacks").paginate()
    return any(
        stack["StackName"] == name and stack["StackStatus"] != "DELETE_COMPLETE"
        for page in listed
        for stack in page["StackSummaries"]
    )


def find_stack(aws: EmulatedAws, name: str) -> Stack:
    """The deployed stack of that name."""
    cloudformation = aws.client("cloudformation")
    (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return Stack(
        aws,
        name,
        {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())},
        {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if "PhysicalResourceId" in resource
        },
    )


def _events(cloudformation: Any, name: str) -> list[Any]:
    events: list[Any] = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return events


def _reasons(cloudformation: Any, name: str, seen: Set[str]) -> str:
    events = [event for event in _events(cloudformation, name) if event["EventId"] not in seen]
    failed = [event for event in events if "FAILED" in event["ResourceStatus"]]
    return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)


def upload_code(aws: EmulatedAws, folder: Path, key: str) -> None:
    """Zip a folder into CODE_BUCKET, as packaging a template does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=CODE_BUCKET)
    s3.put_object(Bucket=CODE_BUCKET, Key=key, Body=packed.getvalue())


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _without(document: Mapping[str, Any], grant: Grant) -> dict[str, Any]:
    """The document with each statement that holds the grant split, so that only the grant is gone."""
    statements = []
    for statement in listed(document["Statement"]):
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        if grant.action not in actions or grant.resource not in resources:
            statements.append(statement)
            continue
        others = [action for action in actions if action != grant.action]
        elsewhere = [resource for resource in resources if resource != grant.resource]
        if others:
            statements.append({**statement, "Action": others})
        if elsewhere:
            statements.append({**statement, "Action": grant.action, "Resource": elsewhere})
    return {**copy.deepcopy(dict(document)), "Statement": statements}
