"""The OpenAPI description of outcome events, which this system sends and does not receive."""

from __future__ import annotations

from typing import Any, get_args

from msgspec.json import schema_components

from image_processor.ingest.outcome_events import EventType, OutcomeEvent

_HEADERS = {
    "webhook-id": "The id of the event: the same whenever it is delivered.",
    "webhook-timestamp": "The time of this attempt, in seconds since 1970.",
    "webhook-signature": "`v1,` and the HMAC-SHA256 of id, timestamp and body in base64, separated by dots.",
}
_SUMMARIES = {
    "image.processed": "The renditions of an original are stored.",
    "image.refused": "An original was refused.",
    "image.deleted": "The renditions of an original were deleted, and its record.",
}


def event_schemas() -> dict[str, Any]:
    """The JSON schemas of an event and its parts, by name. Each refers to the others as OpenAPI does."""
    _, components = schema_components([OutcomeEvent], ref_template="#/components/schemas/{name}")
    return components


def with_webhooks(description: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI ``description`` with a webhook for each type of event."""
    schemas = description["components"]["schemas"]
    description["components"]["schemas"] = {**event_schemas(), **schemas}
    description["webhooks"] = {type_: {"post": _webhook(type_)} for type_ in get_args(EventType)}
    return description


def _webhook(type_: str) -> dict[str, Any]:
    headers = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _HEADERS.items()
    ]
    schema = {"$ref": f"#/components/schemas/{OutcomeEvent.__name__}"}
    return {
        "summary": _SUMMARIES[type_],
        "operationId": type_.replace(".", "_"),
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"2XX": {"description": "Accepted. After any other response the event is sent again."}},
    }
