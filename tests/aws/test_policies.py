"""The judgements of the emulated IAM, against what the IAM user guide says of each case."""

from __future__ import annotations

from typing import Any

import pytest

from support.aws_emulation.calls import Place, needed
from support.aws_emulation.policies import Call, Policy, Statement, allows, allows_service

BUCKET = "arn:aws:s3:::photos"
GET = Call("s3:GetObject", f"{BUCKET}/a/cat.jpg")
LIST = Call("s3:ListBucket", BUCKET, {"s3:prefix": "a/"})
PLACE = Place("eu-west-1", "123456789012")


def policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "s3:GetObject", resource: Any = f"{BUCKET}/*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> Statement:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    "statements",
    [
        [allow()],
        [allow(action="S3:getobject")],
        [allow(action=["s3:PutObject", "s3:Get*"])],
        [allow(action="*", resource="*")],
        [allow(resource=[f"{BUCKET}/b/*", f"{BUCKET}/a/c?t.jpg"])],
        [{"Effect": "Allow", "NotAction": "s3:PutObject", "Resource": "*"}],
        [{"Effect": "Allow", "Action": "s3:*", "NotResource": f"{BUCKET}/b/*"}],
        [allow(), deny(action="s3:PutObject")],
        [allow(), deny(resource=f"{BUCKET}/b/*")],
    ],
)
def test_allowed(statements: list[Statement]) -> None:
    assert allows([policy(*statements)], GET)
    assert allows([policy(statement) for statement in statements], GET)


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [allow(action="s3:PutObject")],
        [allow(resource=BUCKET)],
        [allow(resource=f"{BUCKET}/A/*")],
        [allow(resource=f"{BUCKET}/[a]/*")],
        [allow(action="s3:Get")],
        [{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}],
        [{"Effect": "Allow", "Action": "s3:*", "NotResource": f"{BUCKET}/a/*"}],
        [allow(), deny()],
        [deny(), allow(action="*", resource="*")],
    ],
)
def test_not_allowed(statements: list[Statement]) -> None:
    assert not allows([{"Statement": statements}], GET)


def test_a_single_statement_needs_no_list() -> None:
    assert allows([{"Statement": allow()}], GET)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"s3:prefix": "a/"}}, True),
        ({"StringEquals": {"s3:prefix": ["b/", "a/"]}}, True),
        ({"StringEquals": {"s3:prefix": "b/"}}, False),
        ({"StringEquals": {"S3:Prefix": "a/"}}, True),
        ({"StringEqualsIgnoreCase": {"s3:prefix": "A/"}}, True),
        ({"StringNotEquals": {"s3:prefix": ["a/", "b/"]}}, False),
        ({"StringLike": {"s3:prefix": "a*"}}, True),
        ({"StringNotLike": {"s3:prefix": "a*"}}, False),
        ({"StringEquals": {"aws:absent": "x"}}, False),
        ({"StringNotEquals": {"aws:absent": "x"}}, True),
        ({"StringEqualsIfExists": {"aws:absent": "x"}}, True),
        ({"StringEqualsIfExists": {"s3:prefix": "x"}}, False),
        ({"Null": {"aws:absent": True}}, True),
        ({"Null": {"s3:prefix": "true"}}, False),
        ({"StringEquals": {"s3:prefix": "a/"}, "Bool": {"aws:absent": "true"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], *, expected: bool) -> None:
    assert allows([policy(allow("s3:ListBucket", BUCKET, Condition=condition))], LIST) is expected


@pytest.mark.parametrize("value", ["true", "True", True])
def test_a_boolean_condition_reads_what_yaml_made_of_it(value: object) -> None:
    condition = {"Bool": {"aws:SecureTransport": value}}
    call = Call("s3:ListBucket", BUCKET, {"aws:securetransport": "true"})
    assert allows([policy(allow("s3:ListBucket", BUCKET, Condition=condition))], call)


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:ListBucket", BUCKET, Condition={"IpAddress": {"s3:prefix": "10.0.0.0/8"}}),
        allow("s3:ListBucket", "arn:aws:s3:::${aws:username}"),
    ],
)
def test_an_unknown_condition_raises(statement: Statement) -> None:
    with pytest.raises(NotImplementedError):
        allows([policy(statement)], LIST)


SEND = Call("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q", {"aws:sourcearn": BUCKET})


@pytest.mark.parametrize(
    ("principal", "condition", "expected"),
    [
        ({"Service": "s3.amazonaws.com"}, {}, True),
        ({"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]}, {}, True),
        ("*", {}, True),
        ({"Service": "sns.amazonaws.com"}, {}, False),
        ({"AWS": "arn:aws:iam::1:root"}, {}, False),
        ({"Service": "s3.amazonaws.com"}, {"ArnLike": {"aws:SourceArn": f"{BUCKET}"}}, True),
        ({"Service": "s3.amazonaws.com"}, {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::other"}}, False),
    ],
)
def test_a_service_is_held_to_the_resources_policy(
    principal: object, condition: dict[str, Any], *, expected: bool
) -> None:
    statement = {**allow(SEND.action, SEND.resource), "Principal": principal, "Condition": condition}
    assert allows_service([policy(statement)], "s3.amazonaws.com", SEND) is expected


def test_a_denial_of_everybody_holds_for_services_too() -> None:
    granted = {**allow(SEND.action, SEND.resource), "Principal": {"Service": "s3.amazonaws.com"}}
    refused = {**deny("sqs:*"), "Principal": "*", "Condition": {"ArnLike": {"aws:SourceArn": BUCKET}}}
    assert not allows_service([policy(granted, refused)], "s3.amazonaws.com", SEND)


def table(name: str) -> str:
    return f"arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("s3", "HeadObject", {"Bucket": "photos", "Key": "k"}, [("s3:GetObject", f"{BUCKET}/k")]),
        (
            "s3",
            "GetObject",
            {"Bucket": "photos", "Key": "k", "VersionId": "1"},
            [("s3:GetObjectVersion", f"{BUCKET}/k")],
        ),
        (
            "s3",
            "CopyObject",
            {"Bucket": "photos", "Key": "k", "CopySource": {"Bucket": "b", "Key": "s"}},
            [("s3:GetObject", "arn:aws:s3:::b/s"), ("s3:PutObject", f"{BUCKET}/k")],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "photos", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b", "VersionId": "1"}]}},
            [("s3:DeleteObject", f"{BUCKET}/a"), ("s3:DeleteObjectVersion", f"{BUCKET}/b")],
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": "photos", "Key": "k", "Tagging": "a=b"},
            [("s3:PutObject", f"{BUCKET}/k"), ("s3:PutObjectTagging", f"{BUCKET}/k")],
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": "photos", "Key": "k", "IfMatch": '"1"'},
            [("s3:PutObject", f"{BUCKET}/k"), ("s3:GetObject", f"{BUCKET}/k")],
        ),
        ("s3", "ListObjectsV2", {"Bucket": "photos"}, [("s3:ListBucket", BUCKET)]),
        ("dynamodb", "Query", {"TableName": "t"}, [("dynamodb:Query", table("t"))]),
        (
            "dynamodb",
            "Query",
            {"TableName": "t", "IndexName": "i"},
            [("dynamodb:Query", table("t") + "/index/i")],
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}]},
            [("dynamodb:PutItem", table("t")), ("dynamodb:ConditionCheckItem", table("u"))],
        ),
        (
            "sqs",
            "DeleteMessageBatch",
            {"QueueUrl": "http://host:1/123456789012/q"},
            [("sqs:DeleteMessage", "arn:aws:sqs:eu-west-1:123456789012:q")],
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f"},
            [("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:f")],
        ),
        (
            "logs",
            "CreateLogStream",
            {"logGroupName": "g", "logStreamName": "s"},
            [("logs:CreateLogStream", "arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream:")],
        ),
        ("kms", "Decrypt", {}, [("kms:Decrypt", "*")]),
    ],
)
def test_the_actions_that_a_request_needs(
    service: str, operation: str, parameters: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    calls = needed(service, operation, parameters, PLACE)
    assert [(call.action, call.resource) for call in calls] == expected
