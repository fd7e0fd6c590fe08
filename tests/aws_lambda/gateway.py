"""Events of API Gateway's REST API, and the function `api` over fakes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from image_processor.aws_lambda.api_function import open_api
from image_processor.bootstrap.aws import AwsContext, _get_signer, _post_signer
from image_processor.config.settings import Settings
from support.ingest import BUCKET, IngestFixture

STAGE = "v1"
CALLER = "arn:aws:sts::123456789012:assumed-role/web/session"


def proxy_event(
    method: str,
    url: str,
    body: Any = None,
    *,
    resource: str | None = None,
    headers: dict[str, str] | None = None,
    base: str = "",
    encoded: bool = False,
) -> dict[str, Any]:
    """An event in "Input format of a Lambda function for proxy integration", signed by IAM.

    ``base`` is the base path of a custom domain, ``encoded`` sends the body as base64.
    """
    parts = urlsplit(url)
    sent = {
        "Host": "abc123.execute-api.eu-west-1.amazonaws.com",
        "X-Forwarded-Proto": "https",
        **(headers or {}),
    }
    if body is not None:
        sent = {"Content-Type": "application/json", **sent}
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    query = parse_qs(parts.query, keep_blank_values=True)
    return {
        "resource": resource or parts.path,
        "path": base + parts.path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "httpMethod": method,
            "identity": {
                "accessKey": "ASIAEXAMPLE",
                "accountId": "123456789012",
                "apiKeyId": None,
                "caller": "AROAEXAMPLE:session",
                "sourceIp": "203.0.113.9",
                "user": "AROAEXAMPLE:session",
                "userAgent": "curl/8",
                "userArn": CALLER,
            },
            "path": (base or f"/{STAGE}") + parts.path,
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1767225600000,
            "resourcePath": resource or parts.path,
            "stage": STAGE,
        },
        "body": base64.b64encode(text.encode()).decode() if encoded and text else text,
        "isBase64Encoded": encoded,
    }


@dataclass(frozen=True)
class GatewayResponse:
    """A function's response, as API Gateway would pass it on."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @classmethod
    def of(cls, answer: dict[str, Any]) -> GatewayResponse:
        assert answer["isBase64Encoded"] is False, "API Gateway would pass base64 on as it is"
        assert isinstance(answer["body"], str)
        assert json.loads(json.dumps(answer)) == answer
        return cls(answer["statusCode"], answer["headers"], answer["body"])


class Api:
    """The function `api` over fakes."""

    def __init__(
        self, ingest: IngestFixture, process: Callable[..., Any] | None = None, **settings: Any
    ) -> None:
        self.ingest = ingest
        self.settings = Settings(limits=ingest.limits, **settings)
        self.cloud = AwsContext(
            self.settings,
            BUCKET,
            ingest.recipe,
            ingest.uploads,
            ingest.processed,
            ingest.catalog,
            process or (lambda upload: ingest.processor().process(upload)),
            _post_signer(BUCKET, ingest.limits.max_bytes),
            _get_signer(BUCKET),
            lambda *_: pytest.fail("requests are not repeated"),
        )
        self._answer = open_api(self.cloud)

    def __call__(self, method: str, url: str, body: Any = None, **more: Any) -> GatewayResponse:
        return self.invoke(proxy_event(method, url, body, **more))

    def invoke(self, event: Any) -> GatewayResponse:
        return GatewayResponse.of(self._answer(event, None))
