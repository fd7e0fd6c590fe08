"""What a JSON schema says of a type, in words: for the pages of the API and of events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .tables import code, one_line, sentence, table

Json = Mapping[str, Any]

_LIMITS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


def type_of(schema: Json) -> str:
    """The type in words; the name of another schema is a link to its heading."""
    match schema:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            text = f"[{name}](#{name.lower()})"
        case {"anyOf": types}:
            text = " or ".join(dict.fromkeys(map(type_of, types)))
        case {"enum": values}:
            text = " | ".join(map(code, values))
        case {"prefixItems": items}:
            text = f"{len(items)} x {type_of(items[0])}"
        case {"type": "array"}:
            text = f"list of {type_of(schema.get('items', {}))}"
        case {"additionalProperties": {} as values}:
            text = f"map to {type_of(values)}"
        case _:
            text = schema.get("format") or schema.get("contentMediaType") or schema.get("type", "any")
    return text


def limits_of(schema: Json) -> str:
    """The limits of a value, such as `at least 1, at most 1000`."""
    parts = [schema, *schema.get("anyOf", ())]
    said = (text.format(part[name]) for part in parts for name, text in _LIMITS if name in part)
    return ", ".join(dict.fromkeys(said)) if "prefixItems" not in json.dumps(schema) else ""


def fields(schema: Json) -> str:
    """A table of the fields of an object, or its values."""
    if "properties" not in schema:
        return f"{type_of(schema)}\n"
    required = set(schema.get("required", ()))
    return table(
        ("Field", "Type", "Meaning"),
        (
            (code(name), type_of(field), _meaning(field, is_required=name in required))
            for name, field in schema["properties"].items()
        ),
    )


def described(node: Json) -> str:
    """The description of a field or parameter as a sentence."""
    return sentence(one_line(node.get("description", "")).removeprefix("Expected: "))


def _meaning(field: Json, *, is_required: bool) -> str:
    parts = [described(field), limits_of(field)]
    if is_required:
        parts.insert(0, "Required.")
    elif field.get("default") not in (None, "", [], {}):
        parts.append(f"Default: {code(json.dumps(field['default']))}.")
    return " ".join(part for part in parts if part)


def example(schema: Json, schemas: Json) -> Any:
    """A value that the schema allows: its examples, with the required fields of objects."""
    value: Any
    match schema:
        case {"$ref": ref}:
            value = example(schemas[ref.rpartition("/")[2]], schemas)
        case {"examples": [first, *_]} | {"enum": [first, *_]}:
            value = first
        case {"anyOf": [first, *_]}:
            value = example(first, schemas)
        case {"properties": properties}:
            names = schema.get("required", properties)
            value = {name: example(properties[name], schemas) for name in names}
        case {"type": "array"}:
            value = [example(schema.get("items", {}), schemas)]
        case _:
            value = {"integer": 1, "number": 0.5, "boolean": True}.get(schema.get("type", ""), "...")
    return value


def named(schema: Any) -> Iterator[str]:
    """The names of the schemas that ``schema`` refers to, directly."""
    if isinstance(schema, list):
        for item in schema:
            yield from named(item)
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from named(value)


def reachable(start: Any, schemas: Json) -> set[str]:
    """The names of all schemas that ``start`` refers to, directly or through others."""
    found: set[str] = set()
    waiting = list(named(start))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += named(schemas[name])
    return found
