"""docs/api-reference.md: it has every described route, and the API accepts each of its examples."""

from __future__ import annotations

import re
from pathlib import Path

from http_machine import Client
from reference.rest_api import FILE, document

PAGE = (Path(__file__).parents[2] / "docs" / "api-reference.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^### (\w+) (\S+)$.*?^```http\n\1 (\S+)\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
REFUSALS = {400, 405, 415}
ENDLESS = "/events"


def test_every_route_has_a_section_and_an_example() -> None:
    described = {(method.upper(), path) for path, ways in document()["paths"].items() for method in ways}
    assert {(method, path) for method, path, *_ in EXAMPLES} == described


def test_every_schema_of_the_page_is_explained() -> None:
    headings = {name.lower() for name in re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)}
    assert {*re.findall(r"\]\(#(\w+)\)", PAGE)} - {"problems"} <= headings


def test_the_api_accepts_each_example(client: Client) -> None:
    """One server for all: what an example leaves behind disturbs no other."""
    refused = {}
    for method, path, address, rest in EXAMPLES:
        if path == ENDLESS:
            continue
        head, _, body = f"\n{rest}".partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines() if line)
        content = b"bytes" if body.strip() == FILE else body.encode()
        response = client.request(method, address, headers=headers, content=content)
        if response.status_code in REFUSALS:
            refused[f"{method} {path}"] = response.text
    assert refused == {}
