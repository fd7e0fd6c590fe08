"""Rules of the template about encryption by KmsKeyArn: what it encrypts, and who may use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from policies import listed, of_type, statements
from resolve import Json
from schemas import schema

UNENCRYPTED = {
    "StudioBucket": "everybody may read the page's files, and the CDN would need the key",
    "AccessLogBucket": "S3 delivers access logs into no bucket with a KMS key",
    "AWS::Lambda::EventSourceMapping": "the key is for filter criteria, of which there are none",
    "AWS::Scheduler::Schedule": "the key is for the input, which is a constant of the template",
}
"""What KMS could encrypt and KmsKeyArn does not, by logical id or type, and why."""
KEY_PROPERTY = re.compile(r"KMS(Master)?Key(Id|Arn)", re.IGNORECASE)
"""How the schemas of AWS call a property that names a key."""


@cache
def can_have_a_key(type_: str) -> bool:
    """Whether KMS can encrypt something of a resource of this type."""
    return any(KEY_PROPERTY.fullmatch(name) for name in _property_names(schema(type_)))


def _property_names(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("properties", ())
        for item in node.values():
            yield from _property_names(item)


def _keys(node: object) -> Iterator[str]:
    """The keys that a part of a resolved template names."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if KEY_PROPERTY.fullmatch(name):
            yield value
        yield from _keys(value)
    for item in node if isinstance(node, list) else ():
        yield from _keys(item)


def _keys_of_resources(resources: Json) -> dict[str, frozenset[str]]:
    """The keys of all resources that the one key should encrypt."""
    return {
        name: frozenset(_keys(row["Properties"]))
        for name, row in resources.items()
        if can_have_a_key(row["Type"]) and not {name, row["Type"]} & UNENCRYPTED.keys()
    }


def one_key_encrypts_everything_or_nothing(resources: Json) -> Iterator[str]:
    keys = _keys_of_resources(resources)
    if len(set(keys.values())) > 1:
        yield str(keys)
    for name, row in resources.items():
        if {name, row["Type"]} & UNENCRYPTED.keys() and (found := set(_keys(row["Properties"]))):
            yield f"{name} has {found}, and an excuse for none"


def roles_may_use_the_key_as_they_need(resources: Json) -> Iterator[str]:
    """No more and no less, and only through the services that have the data."""
    keys = frozenset().union(*_keys_of_resources(resources).values())
    (key,) = keys if len(keys) == 1 else {None}
    for name in of_type(resources, "AWS::IAM::Role"):
        own = [row for holder, row in statements(resources) if holder == name and "Principal" not in row]
        rows = [row for row in own if row["Effect"] == "Allow"]
        granted = {grant for row in rows for grant in _kms_grants(row, key)}
        needed = {need for row in rows for need in _kms_needs(row)} if key else set()
        yield from (f"{name} lacks {action} via {service}" for action, service in sorted(needed - granted))
        yield from (f"{name} needs no {action} via {service}" for action, service in sorted(granted - needed))


# What else an action needs where its data is encrypted by a customer's key: S3 "Using server-side
# encryption with AWS KMS keys (SSE-KMS)", SQS "Key management", DynamoDB "DynamoDB encryption at rest".
KMS_NEEDS = {
    "s3:GetObject": {("kms:Decrypt", "s3")},
    "s3:PutObject": {("kms:GenerateDataKey", "s3")},
    "sqs:ReceiveMessage": {("kms:Decrypt", "sqs")},
    "sqs:SendMessage": {("kms:Decrypt", "sqs"), ("kms:GenerateDataKey", "sqs")},
}


def _kms_needs(statement: Json) -> Iterator[tuple[str, str]]:
    for action in listed(statement["Action"]):
        yield from KMS_NEEDS.get(action, ())
        if action.startswith("dynamodb:"):
            yield "kms:Decrypt", "dynamodb"


def _kms_grants(statement: Json, key: object) -> Iterator[tuple[str, str]]:
    for action in listed(statement["Action"]):
        if action.startswith("kms:"):
            via = listed(statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", "any"))
            known = statement["Resource"] == key
            yield from (
                (action, host.partition(".")[0] if known else f"{host} of another key") for host in via
            )
