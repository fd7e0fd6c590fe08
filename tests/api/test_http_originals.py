"""Routes that return originals: one by its image, or many as a ZIP archive."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest
from http_machine import Client, Machine

from image_processor.api.originals import ArchivedFile, zipped
from image_processor.domain.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.ports import Attributes
from support.memory_store import MemoryStore


def process(machine: Machine, client: Client, key: str, body: bytes) -> str:
    machine.ingest.put(key, body)
    client.post("/images", json={"key": key})
    return image_id("uploads", key)


def archive(client: Client, ids: list[str], content: str = "originals") -> ZipFile:
    response = client.post("/archives", data={"ids": ",".join(ids), "content": content})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == 'attachment; filename="images.zip"'
    found = ZipFile(io.BytesIO(response.content))
    assert found.testzip() is None
    return found


def test_an_original_is_returned_as_it_was_uploaded(machine: Machine, client: Client) -> None:
    id_ = process(machine, client, "photos/é cat.jpg", b"a cat")
    response = client.get(f"/images/{id_}/original")
    assert (response.status_code, response.content) == (200, b"a cat")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"_ cat.jpg\"; filename*=UTF-8''%C3%A9%20cat.jpg"
    )
    assert response.headers["cache-control"] == "private, no-cache"
    assert "sandbox" in response.headers["content-security-policy"]
    again = client.get(f"/images/{id_}/original", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = client.get(f"/images/{id_}/original", headers={"range": "bytes=2-"})
    assert (part.status_code, part.content) == (206, b"cat")
    head = client.head(f"/images/{id_}/original")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    beyond = client.get(f"/images/{id_}/original", headers={"range": "bytes=9-"})
    assert (beyond.status_code, beyond.json()["status"]) == (416, 416)


def test_an_original_without_a_record_has_no_type_of_its_own(machine: Machine, client: Client) -> None:
    """It may be a page with scripts, whatever its name says."""
    refused = process(machine, client, "page.html", b"bad <script>")
    machine.gate.clear()
    queued = client.put("/uploads/a.html", content=b"<script>").json()["id"]
    for id_ in (refused, queued):
        response = client.get(f"/images/{id_}/original")
        assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    machine.gate.set()


def test_an_unknown_original(client: Client) -> None:
    assert client.get(f"/images/{image_id('uploads', 'none')}/original").status_code == 404


def test_an_archive_has_originals_under_their_keys(machine: Machine, client: Client) -> None:
    bodies = {"a/1.jpg": b"one", "a/../2.jpg": b"two", "é.jpg": b"three"}
    ids = [process(machine, client, key, body) for key, body in bodies.items()]
    found = archive(client, [*ids, image_id("uploads", "gone.jpg"), ids[0]])
    assert {name: found.read(name) for name in found.namelist()} == {
        "a/1.jpg": b"one",
        "a/2.jpg": b"two",
        "é.jpg": b"three",
    }
    assert {info.compress_type for info in found.infolist()} == {ZIP_STORED}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("C:/Windows/a.jpg", "C_/Windows/a.jpg"),
        ("C:\\Windows\\a.jpg", "C__Windows_a.jpg"),
        ("a.jpg:hidden", "a.jpg_hidden"),
        ("/etc/a.jpg", "etc/a.jpg"),
        ("//host/share/a.jpg", "host/share/a.jpg"),
        ("a/..\\..\\b.jpg", "a/.._.._b.jpg"),
    ],
)
def test_no_name_in_an_archive_leads_out_of_the_folder_on_any_system(
    machine: Machine, client: Client, key: str, name: str
) -> None:
    assert archive(client, [process(machine, client, key, b"a")]).namelist() == [name]


def test_an_archive_that_cannot_begin_is_an_error(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise Unavailable("no disk")

    monkeypatch.setattr(machine.ingest.catalog, "get", fail)
    response = client.post("/archives", data={"ids": "a"})
    assert (response.status_code, response.json()["detail"]) == (503, "no disk")


def test_names_in_an_archive_are_unique(machine: Machine, client: Client) -> None:
    ids = [process(machine, client, key, key.encode()) for key in ("a.jpg", "./a.jpg")]
    assert archive(client, ids).namelist() == ["a.jpg", "2-a.jpg"]


def test_an_archive_may_have_renditions(machine: Machine, client: Client) -> None:
    id_ = process(machine, client, "a.jpg", b"a cat")
    found = archive(client, [id_], "renditions")
    assert {name: found.read(name) for name in found.namelist()} == machine.ingest.expected()


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({}, "expected 1-1000 ids, comma-separated for ids, got '0 ids'"),
        ({"ids": ",".join(map(str, range(1001)))}, "got '1001 ids'"),
        ({"ids": "a", "content": "all"}, "expected originals | renditions for content, got 'all'"),
    ],
)
def test_an_invalid_form_says_what_was_expected(client: Client, fields: dict[str, str], detail: str) -> None:
    response = client.post("/archives", data=fields)
    assert response.status_code == 400
    assert detail in response.json()["detail"]


def test_an_archive_is_sent_while_it_is_made() -> None:
    class Slow(MemoryStore):
        def read(self, *_: object, **__: object) -> Iterator[bytes]:  # type: ignore[override]
            yield b"first"
            assert seen.wait(10), "the first part must be sent before the second is read"
            yield b"second"

    seen = threading.Event()
    store = Slow()
    store.put("a", b"firstsecond", Attributes())
    parts = []
    for part in zipped([ArchivedFile("a", store, "a")]):
        parts.append(part)
        seen.set()
    assert ZipFile(io.BytesIO(b"".join(parts))).read("a") == b"firstsecond"


@pytest.mark.parametrize(
    ("error", "names"), [(NotFound("it is gone"), ["b"]), (PreconditionFailed("it is another"), ["a", "b"])]
)
def test_a_file_that_changes_hands_does_not_break_an_archive(error: Exception, names: list[str]) -> None:
    """Between the look at it and its reading."""

    errors = [error]

    class Racing(MemoryStore):
        def read(self, key: str, *arguments: Any, **options: Any) -> Iterator[bytes]:
            if errors:
                raise errors.pop()
            return super().read(key, *arguments, **options)

    store = Racing()
    for key in ("a", "b"):
        store.put(key, key.encode(), Attributes())
    body = b"".join(zipped([ArchivedFile(key, store, key) for key in ("a", "b")]))
    found = ZipFile(io.BytesIO(body))
    assert (found.testzip(), found.namelist()) == (None, names)
