"""The function of the example: copies an upload to the processed bucket and notes it in the table.

Only the standard library, as nothing else is in its package. Its requests carry credentials but no
true signature: LocalStack reads who signs a request and does not check the signature.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote_plus


def process(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """A batch of SQS messages. A message whose upload begins with `poison` fails, alone."""
    failed = [message["messageId"] for message in event["Records"] if not _succeeds(message)]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _succeeds(message: dict[str, Any]) -> bool:
    try:
        for record in json.loads(message["body"]).get("Records", ()):
            _copy(record, message["attributes"]["ApproximateReceiveCount"])
    except (ValueError, urllib.error.HTTPError) as error:
        sys.stderr.write(f"failed: {error}\n")
        return False
    return True


def _copy(record: dict[str, Any], receives: str) -> None:
    bucket, changed = record["s3"]["bucket"]["name"], record["s3"]["object"]
    key = unquote_plus(changed["key"])
    try:
        body = _ask("s3", f"/{bucket}/{quote(key)}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        body = b"gone"
    if body.startswith(b"poison"):
        raise ValueError(f"{key} is poison")
    _ask("s3", f"/{os.environ['PROCESSED']}/{quote(key)}", body, "PUT")
    item = {"id": key, "sequencer": changed["sequencer"], "event": record["eventName"], "receives": receives}
    put = {"TableName": os.environ["TABLE"], "Item": {name: {"S": value} for name, value in item.items()}}
    _ask("dynamodb", "/", json.dumps(put).encode(), "POST", {"X-Amz-Target": "DynamoDB_20120810.PutItem"})
    sys.stderr.write(f"copied {key}\n")


def _ask(
    service: str,
    path: str,
    body: bytes | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> bytes:
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/{service}/aws4_request"
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"] + path,
        body,
        {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.0",
            **(headers or {}),
        },
        method=method,
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        return bytes(response.read())
