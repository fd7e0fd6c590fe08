"""CloudFront's KeyValueStore in LocalStack: a route for its API, and a resource type with an ARN of its own.
Nothing reads the stores but tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from localstack.http import Request as HttpRequest
from localstack.http import Response as HttpResponse
from localstack.http.request import get_raw_path
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)
from localstack.services.edge import ROUTER

from . import custom_resources
from .key_value_store import PREFIX, KeyValueStores, Request


class KeyValueStoreProvider(ResourceProvider):  # type: ignore[misc]  # LocalStack is not in the venv that mypy sees
    TYPE = "AWS::CloudFront::KeyValueStore"
    SCHEMA: ClassVar = {"primaryIdentifier": ["/properties/Name"], "readOnlyProperties": ["/properties/Arn"]}

    def create(self, request: ResourceRequest) -> ProgressEvent:
        arn = f"arn:aws:cloudfront::{request.account_id}:key-value-store/{uuid.uuid4()}"
        return _succeeded({**request.desired_state, "Arn": arn})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        return _succeeded({**request.desired_state, "Arn": request.previous_state["Arn"]})

    def delete(self, _: ResourceRequest) -> ProgressEvent:
        return _succeeded({})


def _succeeded(model: dict[str, Any]) -> ProgressEvent:
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def install(allowed: Callable[[str, str, str], bool]) -> None:
    stores = KeyValueStores(allowed)

    def answer(request: HttpRequest, **_: str) -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        given = Request(
            request.method, get_raw_path(request), request.args.to_dict(), headers, request.get_data()
        )
        answered = stores.answer(given)
        return HttpResponse(
            json.dumps(answered.body), answered.status, dict(answered.headers), "application/json"
        )

    ROUTER.add(f"{PREFIX}<path:store>", answer)
    custom_resources.add(KeyValueStoreProvider)
