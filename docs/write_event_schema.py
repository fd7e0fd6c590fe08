"""Writes docs/outcome-event.schema.json, the JSON schema of outcome events, from the types that make them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from image_processor.ingest.outcome_events import OutcomeEvent

OUTPUT = Path(__file__).with_name("outcome-event.schema.json")


def text() -> str:
    """The schema as JSON, the same whatever Python writes it: some keep the indentation of docstrings."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(OutcomeEvent)}
    return json.dumps(_dedented(schema), indent=1) + "\n"


def _dedented(node: Any) -> Any:
    if isinstance(node, list):
        return [_dedented(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: inspect.cleandoc(value)
        if name == "description" and isinstance(value, str)
        else _dedented(value)
        for name, value in node.items()
    }


if __name__ == "__main__":
    OUTPUT.write_text(text(), encoding="utf-8")
    print(f"wrote {OUTPUT.name}")
