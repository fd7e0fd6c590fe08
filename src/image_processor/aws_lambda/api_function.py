"""AWS entry point *api*: a request of API Gateway's REST API in, the answer of the HTTP edge out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from mangum import Mangum

from image_processor.api.aws_app import aws_app
from image_processor.api.error_status import MEDIA_TYPE, problem_document
from image_processor.api.inline_work import InlineWork
from image_processor.bootstrap.aws import AwsContext
from image_processor.bootstrap.delivery import build_read_path
from image_processor.engine.render import render

from . import log

# Everything else would go out as base64, which API Gateway hands on undecoded unless told.
_TEXT = ["application/json", MEDIA_TYPE]
_WANTED = "expected a request of API Gateway's REST API"


def open_api(cloud: AwsContext) -> Callable[[Any, Any], dict[str, Any]]:
    """The function, over what it works with: it answers proxy events of a REST API (format 1.0)."""
    logging.getLogger("mangum").setLevel(logging.WARNING)  # a line per request is written here
    reads = build_read_path(cloud, render)
    work = InlineWork(cloud.bucket, cloud.process, reads.delivery, reads.make)
    mangum = Mangum(aws_app(cloud, work), lifespan="off", text_mime_types=_TEXT)

    def answer(event: Any, context: Any) -> dict[str, Any]:
        started = time.monotonic()
        if not _is_request(event):
            log.line("ERROR", "ignored", reason=_WANTED)
            return _not_a_request()
        reply: dict[str, Any] = mangum({**event, "path": own_path(event)}, context)
        _tell(event, reply["statusCode"], round(1000 * (time.monotonic() - started), 1))
        return reply

    return answer


def own_path(event: dict[str, Any]) -> str:
    """The path as the routes know it.

    A custom domain's base path stays in the event's path. The resource (`/images/{id}`) has none,
    and a segment for each one of the path, as no route of ours has a greedy parameter.
    """
    wanted = event["resource"].count("/")
    return "/" + "/".join(event["path"].rstrip("/").split("/")[-wanted:])


def _is_request(event: object) -> bool:
    return isinstance(event, dict) and {"httpMethod", "path", "resource", "requestContext"} <= event.keys()


def _not_a_request() -> dict[str, Any]:
    body = json.dumps(problem_document(400, _WANTED))
    return {
        "statusCode": 400,
        "headers": {"content-type": MEDIA_TYPE},
        "body": body,
        "isBase64Encoded": False,
    }


def _tell(event: dict[str, Any], status: int, milliseconds: float) -> None:
    about = event["requestContext"]
    identity = about.get("identity") or {}
    log.line(
        "ERROR" if status >= 500 else "INFO",
        "request",
        method=event["httpMethod"],
        path=event["path"],
        status=status,
        caller=identity.get("userArn") or identity.get("apiKeyId"),
        request=about.get("requestId"),
        ms=milliseconds,
    )
    values = {
        "Requests": 1,
        "ClientErrors": int(400 <= status < 500),
        "ServerErrors": int(status >= 500),
        "DurationMs": milliseconds,
    }
    log.metrics("api", values)
