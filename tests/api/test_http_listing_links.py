"""Listings for programs: the next page by a link, and all pages at once."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from http_machine import Client, Machine

from image_processor.domain.errors import Invalid, Unavailable

KEYS = [f"photos/{number} & é.jpg" for number in range(5)]


@pytest.fixture
def library(machine: Machine, client: Client) -> Client:
    for key in [*KEYS, "other.jpg"]:
        machine.ingest.put(key, b"a cat")
        client.request("POST", "/images", json={"key": key})
    return client


def follow(client: Client, path: str) -> list[str]:
    """The keys of all pages from ``path`` on."""
    keys = []
    while True:
        response = client.get(path)
        assert response.status_code == 200, response.text
        keys += [image["original"] for image in response.json()["images"]]
        if "link" not in response.headers:
            return keys
        found = re.fullmatch(r'<(\?[!-~]+)>; rel="next"', response.headers["link"])
        assert found
        path = "/images" + found[1]


@pytest.mark.parametrize("fields", ["", "&fields=original"])
def test_links_lead_to_the_last_page_with_the_same_filters(library: Client, fields: str) -> None:
    keys = follow(library, f"/images?prefix=photos/&sort=name&limit=2{fields}")
    assert keys == sorted(KEYS)


def test_the_only_page_has_no_link(library: Client) -> None:
    assert "link" not in library.get("/images").headers


def test_an_export_has_each_image_that_matches_on_a_line(
    library: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_processor.api.export._PAGE", 2)
    response = library.get("/images.ndjson?prefix=photos/&sort=name")
    assert response.headers["content-type"].partition(";")[0] == "application/x-ndjson"
    lines = response.text.splitlines()
    listed = library.get("/images?prefix=photos/&sort=name").json()["images"]
    assert [json.loads(line) for line in lines] == listed
    assert [image["original"] for image in listed] == sorted(KEYS)


def test_the_head_of_an_export_reads_one_page(
    machine: Machine, library: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_processor.api.export._PAGE", 1)
    pages: list[int] = []
    catalog = machine.ingest.catalog
    list_page = catalog.list

    def count(*arguments: Any, **options: Any) -> Any:
        pages.append(1)
        return list_page(*arguments, **options)

    monkeypatch.setattr(catalog, "list", count)
    response = library.head("/images.ndjson")
    assert (response.status_code, response.content, len(pages)) == (200, b"", 1)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert library.head("/images.ndjson?fields=none").status_code == 400


def test_an_export_of_fields_has_those(library: Client) -> None:
    lines = library.get("/images.ndjson?search=other&fields=status").text.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["processed"]
    assert "renditions" not in json.loads(lines[0])


def test_an_export_of_nothing_is_empty(client: Client) -> None:
    response = client.get("/images.ndjson")
    assert (response.status_code, response.content) == (200, b"")


def test_an_export_that_cannot_begin_is_an_error(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a response of the status 200 that breaks off, as of a filter that a table has no index for."""
    for error, status in ((Unavailable("no disk"), 503), (Invalid.one("sort", "newest", "size"), 400)):

        def fail(*_: Any, error: Exception = error, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(machine.ingest.catalog, "list", fail)
        response = client.get("/images.ndjson")
        told = (response.status_code, response.headers["content-type"])
        assert told == (status, "application/problem+json")
