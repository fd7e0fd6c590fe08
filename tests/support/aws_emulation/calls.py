"""Which IAM actions a request needs, and on what: the table that AWS prints in its "Service
authorization reference", for the services that this project's functions use.

Pure: from a parsed request (botocore's names of operations and parameters) to calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .policies import Call

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the request arrived."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


# Operations that need another action than the one of their name; all others need their own.
_S3 = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "GetObjectAttributes": "GetObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PostObject": "PutObject",
    "UploadPart": "PutObject",
}
_SQS = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteMessageBatch": "DeleteMessage",
    "SendMessageBatch": "SendMessage",
}
_TRANSACTED = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


def needed(service: str, operation: str, parameters: Parameters, place: Place) -> list[Call]:
    """Every call that must be allowed for the request. A service that is not known here needs the
    action of its operation's name on resource `*`."""
    known = {
        "dynamodb": _dynamodb,
        "events": _events,
        "lambda": _lambda,
        "logs": _logs,
        "s3": _s3,
        "sqs": _sqs,
    }
    if service not in known:
        return [Call(f"{service}:{operation}", "*")]
    return list(known[service](operation, parameters, place))


def _s3(operation: str, parameters: Parameters, _: Place) -> Iterable[Call]:
    bucket = f"arn:aws:s3:::{parameters.get('Bucket', '*')}"
    if operation == "DeleteObjects":
        for each in parameters["Delete"]["Objects"]:
            yield Call(_versioned("DeleteObject", each), f"{bucket}/{each['Key']}")
        return
    if operation == "CopyObject":
        source = parameters["CopySource"]
        path = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
        yield Call("s3:GetObject", f"arn:aws:s3:::{path.lstrip('/').partition('?')[0]}")
        operation = "PutObject"
    action = _versioned(_S3.get(operation, operation), parameters)
    if "Key" in parameters:
        yield Call(action, f"{bucket}/{parameters['Key']}")
    else:
        yield Call(action, bucket, {"s3:prefix": parameters.get("Prefix") or ""})
    if parameters.get("IfMatch") and action in {"s3:PutObject", "s3:DeleteObject"}:
        # "How to prevent object overwrites with conditional writes" and "How to perform conditional
        # deletes" in the S3 user guide.
        yield Call("s3:GetObject", f"{bucket}/{parameters['Key']}")
    if parameters.get("Tagging"):
        yield Call("s3:PutObjectTagging", f"{bucket}/{parameters['Key']}")


def _versioned(action: str, parameters: Parameters) -> str:
    if parameters.get("VersionId") and action in {"GetObject", "DeleteObject"}:
        return f"s3:{action}Version"
    return f"s3:{action}"


def _dynamodb(operation: str, parameters: Parameters, place: Place) -> Iterable[Call]:
    def table(name: str) -> str:
        return name if name.startswith("arn:") else place.arn("dynamodb", f"table/{name}")

    match operation:
        case "TransactWriteItems" | "TransactGetItems":
            for item in parameters["TransactItems"]:
                for kind, each in item.items():
                    yield Call(f"dynamodb:{_TRANSACTED[kind]}", table(each["TableName"]))
        case "BatchGetItem" | "BatchWriteItem":
            for name in parameters["RequestItems"]:
                yield Call(f"dynamodb:{operation}", table(name))
        case _:
            index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
            resource = table(parameters["TableName"]) + index if "TableName" in parameters else "*"
            yield Call(f"dynamodb:{operation}", resource)


def _sqs(operation: str, parameters: Parameters, place: Place) -> Iterable[Call]:
    queue = parameters.get("QueueUrl") or parameters.get("QueueName") or "*"
    yield Call(f"sqs:{_SQS.get(operation, operation)}", place.arn("sqs", queue.rpartition("/")[2]))


def _events(operation: str, parameters: Parameters, place: Place) -> Iterable[Call]:
    buses = [entry.get("EventBusName", "default") for entry in parameters.get("Entries", [])]
    for bus in buses or [parameters.get("EventBusName", "*")]:
        name = bus if bus.startswith("arn:") else place.arn("events", f"event-bus/{bus}")
        yield Call(f"events:{operation}", name)


def _logs(operation: str, parameters: Parameters, place: Place) -> Iterable[Call]:
    # Even a group is asked for with the empty name of a stream: hence the `:*` that grants end with.
    group, stream = parameters.get("logGroupName", "*"), parameters.get("logStreamName", "")
    named = "" if operation == "CreateLogStream" else stream
    yield Call(f"logs:{operation}", place.arn("logs", f"log-group:{group}:log-stream:{named}"))


def _lambda(operation: str, parameters: Parameters, place: Place) -> Iterable[Call]:
    action = "InvokeFunction" if operation == "Invoke" else operation
    name = parameters.get("FunctionName", "*")
    arn = name if name.startswith("arn:") else place.arn("lambda", f"function:{name}")
    yield Call(f"lambda:{action}", arn)
