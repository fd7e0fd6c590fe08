"""CloudFront in LocalStack: routes for KeyValueStores and invalidations, and two resource types.

LocalStack accepts a distribution, but the id of each is `unknown`, which no settings accept. Nothing reads
stores and invalidations but tests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from localstack.constants import DEFAULT_AWS_ACCOUNT_ID
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
from .invalidations import Invalidations
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


class DistributionProvider(ResourceProvider):  # type: ignore[misc]  # see above
    TYPE = "AWS::CloudFront::Distribution"
    SCHEMA: ClassVar = {
        "primaryIdentifier": ["/properties/Id"],
        "readOnlyProperties": ["/properties/Id", "/properties/DomainName"],
    }

    def create(self, request: ResourceRequest) -> ProgressEvent:
        id_ = "E" + uuid.uuid4().hex[:13].upper()
        return _succeeded({**request.desired_state, "Id": id_, "DomainName": f"{id_.lower()}.cloudfront.net"})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        kept = {name: request.previous_state[name] for name in ("Id", "DomainName")}
        return _succeeded({**request.desired_state, **kept})

    def delete(self, _: ResourceRequest) -> ProgressEvent:
        return _succeeded({})


def _succeeded(model: dict[str, Any]) -> ProgressEvent:
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def install(allowed: Callable[[str, str, str], bool]) -> None:
    stores = KeyValueStores(allowed)
    invalidations = Invalidations(allowed, DEFAULT_AWS_ACCOUNT_ID)

    def answer(request: HttpRequest, **_: str) -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        given = Request(
            request.method, get_raw_path(request), request.args.to_dict(), headers, request.get_data()
        )
        answered = stores.answer(given)
        return HttpResponse(
            json.dumps(answered.body), answered.status, dict(answered.headers), "application/json"
        )

    def invalidate(request: HttpRequest, distribution: str) -> HttpResponse:
        authorization = request.headers.get("authorization", "")
        answered = invalidations.answer(request.method, distribution, authorization, request.get_data())
        return HttpResponse(answered.body, answered.status)

    ROUTER.add("/2020-05-31/distribution/<distribution>/invalidation", invalidate)
    ROUTER.add(f"{PREFIX}<path:store>", answer)
    custom_resources.add(KeyValueStoreProvider)
    custom_resources.add(DistributionProvider)
