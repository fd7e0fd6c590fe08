"""Puts outcome events on an EventBridge bus, over EventBridge's JSON protocol.

The detail is the event as docs/events.md describes it, the detail type is its type. It is our own because
loading boto3 and building a client takes 170 ms of a function's cold start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from image_processor.domain.errors import Unavailable
from image_processor.domain.models import OutboxMessage

from .client import Body, Client, HttpResponse, Request
from .credentials import GetCredentials, credentials_from
from .endpoints import endpoint_override, region_from, regional_endpoint
from .retries import PATIENT, Retries
from .signature import Scope

SOURCE = "image-processor"
"""The source of all events. Rules match it."""

_MAX_ENTRIES = 10
"""The most entries of one PutEvents request ("PutEvents" of the EventBridge API reference)."""


class EventBus:
    """The bus ``name``, or its ARN, in this region. Safe for threads.

    ``endpoint`` replaces AWS's own, by default AWS_ENDPOINT_URL_EVENTS does. Raises InvalidSettings.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None = None,
        credentials: GetCredentials | None = None,
        retries: Retries = PATIENT,
    ) -> None:
        region = region_from()
        address = regional_endpoint("events", region, endpoint or endpoint_override("events"))
        self._name = name
        self._client = Client(
            address, Scope(region, "events"), credentials or credentials_from(os.environ), retries=retries
        )

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        """Put each event on the bus. Raises Unavailable if any was not accepted."""
        for start in range(0, len(messages), _MAX_ENTRIES):
            self._put([self._entry(message) for message in messages[start : start + _MAX_ENTRIES]])

    def _entry(self, message: OutboxMessage) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": json.loads(message.body)["type"],
            "Detail": message.body,
            "Time": message.created_at.timestamp(),
        }

    def _put(self, entries: Sequence[dict[str, Any]]) -> None:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"}
        body = Body.from_bytes(json.dumps({"Entries": entries}).encode())
        response = self._client.send(
            Request("POST", "/", headers=headers, body=body), is_throttled=_is_throttled
        )
        result = _parse(response)
        if response.status != 200:
            raise Unavailable(f"EventBridge refused PutEvents: {_error_code(result) or response.status}")
        # Status 200 says nothing about the entries.
        if failed := [item["ErrorCode"] for item in result.get("Entries", ()) if "ErrorCode" in item]:
            raise Unavailable(f"EventBridge did not accept {len(failed)} events: {failed[0]}")


def _parse(response: HttpResponse) -> dict[str, Any]:
    """The response's JSON object; an empty one where the body is none."""
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _error_code(result: dict[str, Any]) -> str:
    return str(result.get("__type", "")).rpartition("#")[2]


def _is_throttled(response: HttpResponse) -> bool:
    return response.status == 400 and "Throttl" in _error_code(_parse(response))
