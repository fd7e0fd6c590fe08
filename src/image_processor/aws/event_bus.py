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

from .client import Client
from .credentials import GetCredentials, credentials_from
from .endpoints import endpoint_override, region_from, regional_endpoint
from .json_protocol import error_code, has_error, json_request, parse_response
from .retries import PATIENT, Retries
from .signature import Scope

SOURCE = "image-processor"
"""The source of all events. Rules match it."""

_MAX_ENTRIES = 10
"""The most entries of one PutEvents request ("PutEvents" of the EventBridge API reference)."""
# Responses with status 400 that are worth a retry ("Common errors" of the EventBridge API reference).
_THROTTLES = frozenset({"ThrottlingException", "ThrottledException"})


class EventBus:
    """The bus ``name``, or its ARN, in ``region``, by default that of the environment. Safe for threads.

    ``endpoint`` replaces AWS's own, by default AWS_ENDPOINT_URL_EVENTS does. Raises InvalidSettings.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
        retries: Retries = PATIENT,
    ) -> None:
        region = region or region_from()
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
        request = json_request("AWSEvents.PutEvents", {"Entries": entries}, version="1.1")
        response = self._client.send(request, is_throttled=has_error(_THROTTLES))
        result = parse_response(response)
        if response.status != 200:
            raise Unavailable(f"EventBridge refused PutEvents: {error_code(response) or response.status}")
        # Status 200 says nothing about the entries.
        if failed := [item["ErrorCode"] for item in result.get("Entries", ()) if "ErrorCode" in item]:
            raise Unavailable(f"EventBridge did not accept {len(failed)} events: {failed[0]}")
