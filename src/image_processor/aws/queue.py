"""An SQS queue, over its JSON protocol: sends messages in batches, and counts those that wait.

It is our own because loading boto3 and building a client takes 170 ms of a function's cold start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from image_processor.domain.errors import NotFound, Unavailable

from .client import Client
from .credentials import GetCredentials, credentials_from
from .endpoints import endpoint_override, region_from, regional_endpoint
from .json_protocol import error_code, has_error, json_request, parse_response
from .retries import PATIENT, Retries
from .signature import Scope

BATCH = 10
"""The most messages of one request ("SendMessageBatch")."""
_ATTEMPTS = 3
"""How often a message is sent that SQS did not take, while it took others of its batch."""
_MISSING = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
# Responses with status 400 or 403 that are worth a retry ("Common error types" of SQS).
_THROTTLES = frozenset({"RequestThrottled", "ThrottlingException", "OverLimit"})
# The queue's own region, where its URL names one.
_REGION = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")


class Queue:
    """The queue at ``url``. Safe for threads.

    ``endpoint`` replaces AWS's own, by default AWS_ENDPOINT_URL_SQS does. Raises InvalidSettings. Every
    method raises NotFound if there is no such queue, and Unavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
        retries: Retries = PATIENT,
    ) -> None:
        named = _REGION.match(url)
        region = named[1] if named else region or region_from()
        address = regional_endpoint("sqs", region, endpoint or endpoint_override("sqs"))
        self._url = url
        self._client = Client(
            address, Scope(region, "sqs"), credentials or credentials_from(os.environ), retries=retries
        )

    def send(self, bodies: Iterable[str]) -> int:
        """Add a message for each of ``bodies``, which are ASCII; returns how many. If it fails midway, or a
        response is lost, some messages may be in the queue already, or twice."""
        count = 0
        for batch in _batches(bodies):
            self._send_batch(batch)
            count += len(batch)
        return count

    def backlog(self) -> int:
        """The approximate number of messages that wait to be received."""
        name = "ApproximateNumberOfMessages"
        found = self._call("GetQueueAttributes", AttributeNames=[name])
        return int(found.get("Attributes", {}).get(name, 0))

    def _send_batch(self, bodies: Sequence[str]) -> None:
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        failed: list[dict[str, Any]] = []
        for _ in range(_ATTEMPTS):
            # A batch whose status is 200 may contain messages that were not accepted.
            failed = self._call("SendMessageBatch", Entries=entries).get("Failed", [])
            if not failed:
                return
            ids = {item["Id"] for item in failed}
            entries = [entry for entry in entries if entry["Id"] in ids]
        raise Unavailable(f"SQS did not accept {len(failed)} messages: {failed[0].get('Code')}")

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        request = json_request(f"AmazonSQS.{operation}", {"QueueUrl": self._url, **arguments})
        response = self._client.send(request, is_throttled=has_error(_THROTTLES))
        if response.status == 200:
            return parse_response(response)
        code = error_code(response)
        if code in _MISSING:
            raise NotFound(f"there is no queue {self._url}, or these credentials may not see it")
        raise Unavailable(f"SQS refused {operation}: {code or response.status}")


def _batches(bodies: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(bodies)
    while batch := list(islice(remaining, BATCH)):
        yield batch
