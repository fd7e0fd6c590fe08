"""docs/event-reference.md: the fields of outcome events, from the types that make them."""

from __future__ import annotations

import inspect
from typing import get_args

import msgspec

from image_processor.ingest.outcome_events import EventType, OutcomeEvent

from .schemas import Json, fields
from .tables import code, one_line

_HEAD = """\
# Reference of outcome events

What an event of EventBridge (its `detail`) and the body of a webhook have. [Outcome events](events.md) says
when they are sent and how they are verified. The same as a [JSON schema](outcome-event.schema.json). This
page is written by `docs/write_reference.py`.
"""


def page() -> str:
    """The page of all types of events and their fields."""
    types = ", ".join(map(code, get_args(EventType)))
    (schema,), schemas = msgspec.json.schema_components([OutcomeEvent], ref_template="#/{name}")
    names = [schema["$ref"].rpartition("/")[2]]
    names += [name for name in schemas if name not in names]
    parts = [_HEAD, f"The types are {types}. No field is ever null: what does not apply is left out.\n"]
    return "\n".join([*parts, *(_type(name, schemas[name]) for name in names)])


def _type(name: str, schema: Json) -> str:
    about = one_line(inspect.cleandoc(schema.get("description", "")))
    return f"## {name}\n\n{about + chr(10) * 2 if about else ''}{fields(schema)}"
