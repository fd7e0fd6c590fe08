"""Resource types that LocalStack's community edition has not: custom resources, and what others add.

A custom resource invokes its function as CloudFormation does: with an event, and with a presigned URL for the
response ("Custom resource request objects").
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, ClassVar

from botocore.config import Config
from localstack.aws.connect import connect_to
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceProviderExecutor,
    ResourceRequest,
)

RESPONSES = "cloudformation-custom-resource-responses"
LONGEST = 60.0
"""Seconds until a missing response is a failure, if the resource gives no ServiceTimeout."""

_PROVIDERS: dict[str, type[ResourceProvider]] = {}


class CustomResourceProvider(ResourceProvider):  # type: ignore[misc]  # LocalStack is not in the venv that mypy sees
    TYPE = "AWS::CloudFormation::CustomResource"
    SCHEMA: ClassVar = {"primaryIdentifier": ["/properties/PhysicalResourceId"], "readOnlyProperties": []}

    def create(self, request: ResourceRequest) -> ProgressEvent:
        return _invoke("Create", request, request.desired_state, {})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        return _invoke("Update", request, request.desired_state, request.previous_state or {})

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        return _invoke("Delete", request, request.previous_state or request.desired_state, {})


def _invoke(
    kind: str, request: ResourceRequest, properties: dict[str, Any], before: dict[str, Any]
) -> ProgressEvent:
    place = {"region_name": request.region_name, "aws_access_key_id": request.account_id}
    # Presigned with the secret that LocalStack checks.
    s3 = connect_to(**place, aws_secret_access_key="test", config=Config(signature_version="s3v4")).s3
    functions = connect_to(**place).lambda_
    s3.create_bucket(Bucket=RESPONSES)
    key = str(uuid.uuid4())
    event: dict[str, Any] = {
        "RequestType": kind,
        "ResponseURL": s3.generate_presigned_url("put_object", {"Bucket": RESPONSES, "Key": key}),
        "StackId": request.stack_id,
        "RequestId": key,
        "ResourceType": request.resource_type,
        "LogicalResourceId": request.logical_resource_id,
        "ResourceProperties": properties,
        "OldResourceProperties": before,
    }
    if kind != "Create":
        event["PhysicalResourceId"] = (before or properties).get("PhysicalResourceId")
    # LocalStack loses events that arrive while a function is updated.
    functions.get_waiter("function_updated_v2").wait(
        FunctionName=properties["ServiceToken"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    functions.invoke(FunctionName=properties["ServiceToken"], Payload=json.dumps(event).encode())
    response = _await(s3, key, float(properties.get("ServiceTimeout", LONGEST)))
    if response["Status"] != "SUCCESS":
        return ProgressEvent(OperationStatus.FAILED, resource_model={}, message=response["Reason"])
    model = {**properties, "PhysicalResourceId": response["PhysicalResourceId"], **response.get("Data", {})}
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def _await(s3: Any, key: str, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return dict(json.load(s3.get_object(Bucket=RESPONSES, Key=key)["Body"]))
        except s3.exceptions.NoSuchKey:
            time.sleep(0.1)
    return {"Status": "FAILED", "Reason": "the function sent no response"}


def add(provider: type[ResourceProvider]) -> None:
    """Make a resource type known."""
    _PROVIDERS[provider.TYPE] = provider


def install() -> None:
    add(CustomResourceProvider)
    known = ResourceProviderExecutor.try_load_resource_provider

    def load(resource_type: str) -> ResourceProvider | None:
        if not isinstance(resource_type, str):  # of a resource that one of two templates lacks
            return None
        name = CustomResourceProvider.TYPE if resource_type.startswith("Custom::") else resource_type
        return _PROVIDERS[name]() if name in _PROVIDERS else known(resource_type)

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(load)
