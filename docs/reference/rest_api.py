"""docs/api-reference.md: every route of the REST API, from the OpenAPI document."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI

from image_processor.api import access, aws_app, standalone_app
from image_processor.api.app import create_app

from .schemas import Json, described, example, fields, limits_of, reachable, type_of
from .tables import code, one_line, table

_HEAD = """\
# Reference of the REST API

Every route with its parameters, bodies and responses. `GET /openapi.json` is the same for programs, and the
[studio](studio.md) tries each route. [The REST API](api.md) has all routes on a page, [access](access.md)
what a token is, [errors](errors.md) each `code` of a problem. This page is written by
`docs/write_reference.py`.

Addresses are those of one machine, `http://127.0.0.1:8000`. On AWS they follow the output `ApiUrl`, and
every request needs what the parameter `ApiAuthorization` says.
"""
_NEEDS = {
    "public": "no token",
    "optional": "no token for a part of what it does",
    "read": "a token with the scope `read`",
    "write": "a token with the scope `write`",
    "admin": "a token with the scope `admin`",
}
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
FILE = "(the file)"
"""Stands for the bytes of a body."""
_PROBLEM = "application/problem+json"


def page() -> str:
    """The page, from the applications of one machine and of AWS."""
    schema = document()
    schemas = schema["components"]["schemas"]
    on_aws = {(method, path) for path, ways in _openapi(aws_app.ROUTERS)["paths"].items() for method in ways}
    tags = dict.fromkeys(way["tags"][0] for ways in schema["paths"].values() for way in ways.values())
    parts = [_HEAD]
    for tag in tags:
        parts.append(f"## {tag.capitalize()}\n")
        for path, ways in schema["paths"].items():
            parts += [
                _operation(method, path, way, schemas, is_on_aws=(method, path) in on_aws)
                for method, way in ways.items()
                if way["tags"][0] == tag
            ]
    parts += [_problems(), "## Schemas\n"]
    shown = reachable(list(schema["paths"].values()), schemas)
    parts += [_schema(name, schemas[name]) for name in sorted(shown)]
    return "\n".join(parts)


def document() -> Json:
    """The OpenAPI document of one machine."""
    return _openapi(standalone_app.ROUTERS)


def _openapi(routers: tuple[APIRouter, ...]) -> Json:
    # Only the routes are described; what they work with is not used.
    app: FastAPI = create_app(None, None, routers)  # type: ignore[arg-type]
    access.describe(app, is_required=True)
    return app.openapi()


def _operation(method: str, path: str, way: Json, schemas: Json, *, is_on_aws: bool) -> str:
    needs = _NEEDS[access.access_of(method.upper(), path)]
    where = "one machine and AWS" if is_on_aws else "one machine"
    parts = [
        f"### {method.upper()} {path}\n",
        f"{way['description'].replace('``', '`')}\n",
        f"Needs {needs}. On {where}.\n",
        *_parameters(way),
        *_body(way),
        f"```http\n{request(method, path, way, schemas)}```\n",
        _responses(way),
    ]
    return "\n".join(parts)


def _parameters(way: Json) -> Iterator[str]:
    if rows := way.get("parameters"):
        yield table(
            ("Parameter", "In", "Type", "Meaning"),
            ((code(row["name"]), row["in"], _type(row["schema"]), _about(row)) for row in rows),
        )


def _type(schema: Json) -> str:
    """The type of a parameter; one that may be left out is null then."""
    return type_of(schema).removesuffix(" or null")


def _about(row: Json) -> str:
    text = described(row)
    limits = limits_of(row["schema"])
    default = row["schema"].get("default")
    parts = [
        text or limits,
        "Required." if row.get("required") else "",
        f"Default: {code(json.dumps(default).strip(chr(34)))}." if default not in {None, ""} else "",
    ]
    return " ".join(part for part in parts if part)


def _body(way: Json) -> Iterator[str]:
    for media_type, content in way.get("requestBody", {}).get("content", {}).items():
        body = content.get("schema", {})
        if "$ref" in body:
            yield f"Body: {code(media_type)}, {type_of(body)}\n"
        elif "properties" in body:
            yield f"Body: {code(media_type)}\n\n{fields(body)}"
        else:
            yield f"Body: {code(media_type)}, the file\n"


def request(method: str, path: str, way: Json, schemas: Json) -> str:
    """An example: the request's line, its headers and its body."""
    for row in way.get("parameters", ()):
        if row["in"] == "path":
            given = row["schema"].get("examples") or row.get("examples") or [_PATH[row["name"]]]
            path = path.replace(f"{{{row['name']}}}", str(given[0]))
    query = "&".join(
        f"{row['name']}={row['schema']['examples'][0]}"
        for row in way.get("parameters", ())
        if row["in"] == "query" and row.get("required") and row["schema"].get("examples")
    )
    lines = f"{method.upper()} {path}{f'?{query}' if query else ''}\n"
    content = way.get("requestBody", {}).get("content", {})
    if _JSON in content:
        body = json.dumps(example(content[_JSON]["schema"], schemas))
        return f"{lines}Content-Type: {_JSON}\n\n{body}\n"
    if _FORM in content:
        body = urlencode(example(content[_FORM]["schema"], schemas))
        return f"{lines}Content-Type: {_FORM}\n\n{body}\n"
    return f"{lines}\n{FILE}\n" if content else lines


_PATH = {
    "upload_id": "00000000000000000000000000000000",
    "id": "k3vq2m5xw7n4c6a2yzt5b3d7he",
    "key": "photos/cat.jpg",
}


def _responses(way: Json) -> str:
    """A table of what only this route answers; the problems that many have are below."""
    usual = [status for status, response in way["responses"].items() if _is_usual(status, response)]
    rows = table(
        ("Status", "Body", "Meaning"),
        (
            (status, _content(response), one_line(_response_text(response)))
            for status, response in sorted(way["responses"].items())
            if status not in usual
        ),
    )
    return f"{rows}\n[Problems](#problems): {', '.join(sorted(usual))}\n" if usual else rows


def _is_usual(status: str, response: Json) -> bool:
    return bool(_usual_problems().get(status) == response["description"])


@cache
def _usual_problems() -> Mapping[str, str]:
    """The most frequent meaning of each status that is a problem of several routes."""
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for ways in document()["paths"].values():
        for way in ways.values():
            for status, response in way["responses"].items():
                if _PROBLEM in response.get("content", {}):
                    said[status][response["description"]] += 1
    return {
        status: meanings.most_common(1)[0][0]
        for status, meanings in sorted(said.items())
        if meanings.total() > 1
    }


def _problems() -> str:
    rows = ((status, one_line(meaning)) for status, meaning in _usual_problems().items())
    return (
        "## Problems\n\nWhat these statuses mean where a route does not say otherwise. The body is a "
        f"[ProblemModel](#problemmodel).\n\n{table(('Status', 'Meaning'), rows)}"
    )


def _content(response: Json) -> str:
    said = []
    for media_type, content in response.get("content", {}).items():
        schema: dict[str, Any] = content.get("schema", {})
        has_type = media_type in {_JSON, _PROBLEM} and schema
        said.append(type_of(schema) if has_type else code(media_type))
    return ", ".join(said)


def _response_text(response: Json) -> str:
    text: str = response["description"]
    return "Success." if text == "Successful Response" else text


def _schema(name: str, schema: Json) -> str:
    about = one_line(schema.get("description", ""))
    return f"### {name}\n\n{about + chr(10) * 2 if about else ''}{fields(schema)}"
