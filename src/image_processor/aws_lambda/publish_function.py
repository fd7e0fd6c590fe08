"""The Lambda function `publish`: a custom resource of the stack. CloudFormation invokes it at each deployment
that changes what the CloudFront function must know: signing keys, public names.

Invoked with any other event, it publishes too, for a recipe that has changed in its bucket.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from image_processor.aws.connection import Connection, Timeouts
from image_processor.aws.endpoints import Endpoint
from image_processor.bootstrap.edge import publish_edge
from image_processor.domain.errors import ImageProcessorError

from . import log

STORE = "EDGE_STORE_ARN"
_MAX_REASON = 1000
"""Characters of a reason. A response has at most 4,096 bytes ("Custom resource response objects")."""
_TIMEOUT_SECONDS = 10

Publish = Callable[[Mapping[str, str], str], int]
Send = Callable[[str, dict[str, str]], None]


def handle(event: dict[str, Any], publish: Publish = publish_edge) -> dict[str, Any]:
    """Publish, and report the result to CloudFormation. On deletion nothing is done: the store is deleted
    with the stack."""
    return respond(event, publish, _put)


def respond(event: dict[str, Any], publish: Publish, send: Send) -> dict[str, Any]:
    """Like `handle`. ``send`` puts a response to a URL; whatever fails is a response too, because
    CloudFormation would wait for it."""
    url = event.get("ResponseURL")
    if url is None:
        return {"changed": _published(publish)}
    outcome, reason = "SUCCESS", ""
    if event["RequestType"] != "Delete":
        outcome, reason = _outcome(publish)
    response = {
        "Status": outcome,
        "Reason": reason[:_MAX_REASON],
        # The same for each request: another id would make CloudFormation delete the former.
        "PhysicalResourceId": event.get("PhysicalResourceId") or "edge-entries",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    send(url, response)
    return response


def _outcome(publish: Publish) -> tuple[str, str]:
    """The status and its reason, which CloudFormation shows: errors of ours hold no secrets, others might."""
    try:
        count = _published(publish)
    except ImageProcessorError as error:
        log.line("ERROR", error.code, error=str(error))
        return "FAILED", str(error)
    except Exception as error:  # noqa: BLE001 - without a response the deployment hangs
        log.line("ERROR", "bug", error=type(error).__name__)
        return "FAILED", f"expected to publish to {os.environ.get(STORE)}, got {type(error).__name__}"
    return "SUCCESS", f"{count} entries changed"


def _published(publish: Publish) -> int:
    count = publish(os.environ, os.environ[STORE])
    log.line("INFO", "published", changed=count)
    return count


def _put(url: str, response: dict[str, str]) -> None:
    """Raises OSError where it is not accepted within _TIMEOUT_SECONDS."""
    parts = urlsplit(url)
    body = json.dumps(response).encode()
    # The URL is presigned without a content type.
    headers = {"host": parts.netloc, "content-length": str(len(body)), "content-type": ""}
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    timeouts = Timeouts(silence=_TIMEOUT_SECONDS, exchange=_TIMEOUT_SECONDS)
    with closing(Connection(Endpoint(parts.scheme, parts.netloc), tls, timeouts)) as connection:
        status = connection.request("PUT", f"{parts.path}?{parts.query}", headers, body).status
    if status != 200:
        raise OSError(f"expected CloudFormation's bucket to take the response, got status {status}")
