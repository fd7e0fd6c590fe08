"""The Lambda function `api`: a request of API Gateway's REST API in, the response of the API out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from mangum import Mangum

from image_processor.api.aws_app import aws_app
from image_processor.api.error_status import MEDIA_TYPE, problem_document
from image_processor.api.work import InlineWork
from image_processor.bootstrap.aws import AwsContext
from image_processor.bootstrap.delivery import build_read_path

from . import log

# Responses of other media types are base64, which API Gateway passes on undecoded unless configured.
_TEXT_MEDIA_TYPES = ["application/json", MEDIA_TYPE]
_EXPECTED = "expected a request of API Gateway's REST API"


def open_api(context: AwsContext) -> Callable[[Any, Any], dict[str, Any]]:
    """The handler, over what the function works with. It answers proxy events of a REST API (format 1.0)."""
    logging.getLogger("mangum").setLevel(logging.WARNING)  # this module logs each request itself
    read_path = build_read_path(context, context.render)
    work = InlineWork(context.bucket, context.process, read_path.delivery, read_path.make)
    mangum = Mangum(aws_app(context, work), lifespan="off", text_mime_types=_TEXT_MEDIA_TYPES)

    def handle(event: Any, invocation: Any) -> dict[str, Any]:
        started = time.monotonic()
        if not _is_request(event):
            log.line("ERROR", "ignored", reason=_EXPECTED)
            return _bad_request()
        response: dict[str, Any] = mangum({**event, "path": route_path(event)}, invocation)
        _log_request(event, response["statusCode"], round(1000 * (time.monotonic() - started), 1))
        return response

    return handle


def route_path(event: dict[str, Any]) -> str:
    """The path of the request as the routes declare it, without the base path of a custom domain.

    The event's path has that base path, its resource (`/images/{id}`) has not. Both have the same segments
    otherwise, because no route has a parameter that spans several.
    """
    count = event["resource"].count("/")
    return "/" + "/".join(event["path"].rstrip("/").split("/")[-count:])


def _is_request(event: object) -> bool:
    return isinstance(event, dict) and {"httpMethod", "path", "resource", "requestContext"} <= event.keys()


def _bad_request() -> dict[str, Any]:
    return {
        "statusCode": 400,
        "headers": {"content-type": MEDIA_TYPE},
        "body": json.dumps(problem_document(400, _EXPECTED)),
        "isBase64Encoded": False,
    }


def _user(context: dict[str, Any]) -> str | None:
    """The id of a user pool's user, or of the program that has an access token of its own."""
    claims = (context.get("authorizer") or {}).get("claims") or {}
    user: str | None = claims.get("sub") or claims.get("client_id")
    return user


def _log_request(event: dict[str, Any], status: int, milliseconds: float) -> None:
    context = event["requestContext"]
    identity = context.get("identity") or {}
    log.line(
        "ERROR" if status >= 500 else "INFO",
        "request",
        method=event["httpMethod"],
        path=event["path"],
        status=status,
        caller=identity.get("userArn") or identity.get("apiKeyId") or _user(context),
        request=context.get("requestId"),
        ms=milliseconds,
    )
    values = {
        "Requests": 1,
        "ClientErrors": int(400 <= status < 500),
        "ServerErrors": int(status >= 500),
        "DurationMs": milliseconds,
    }
    log.metrics("api", values)
