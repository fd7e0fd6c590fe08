"""GET /images/{id}/similar, and the visual summary and EXIF of an image, on one machine and on AWS."""

from __future__ import annotations

from typing import Any

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.domain.keys import image_id
from image_processor.domain.models import ExifField, Record, Rendered, VisualSummary
from support.ingest import BUCKET, IngestFixture, fake_render, upload

HASHES = {"cat.jpg": 0, "copy.jpg": 3, "bent.jpg": 2**10 - 1, "other.jpg": 2**40 - 1}


def id_of(key: str) -> str:
    return image_id(BUCKET, key)


def render_with_looks(data: bytes, *arguments: Any, **kwargs: Any) -> Rendered:
    """A renderer whose originals consist of their own names."""
    result = fake_render(data, *arguments, **kwargs)
    seen = VisualSummary("#102030", "aGFzaA==", f"{HASHES.get(data.decode(), 0):016x}")
    return replace(result, summary=replace(seen, blurhash="L00000", palette=("#102030",), focus=(0.25, 0.5)))


def fill(ingest: IngestFixture) -> None:
    ingest.render = render_with_looks
    for key in HASHES:
        ingest.put(key, key.encode())
        ingest.processor().process(upload(key))


@pytest.fixture
def library(machine: Machine, client: Client) -> Client:
    fill(machine.ingest)
    machine.ingest.put("notes.txt", b"bad text")
    machine.ingest.processor().process(upload("notes.txt"))
    return client


def similar(client: Client, key: str, **query: Any) -> Any:
    return client.get(f"/images/{id_of(key)}/similar", params=query)


def test_the_nearest_images_come_first_with_their_distances(library: Client) -> None:
    response = similar(library, "cat.jpg")
    assert response.status_code == 200
    images = [(item["image"]["original"], item["distance"]) for item in response.json()["images"]]
    assert images == [("copy.jpg", 2), ("bent.jpg", 10)]
    assert response.json()["images"][0]["image"] == library.get(f"/images/{id_of('copy.jpg')}").json()
    near = similar(library, "cat.jpg", distance=2).json()["images"]
    assert [item["distance"] for item in near] == [2]
    assert len(similar(library, "cat.jpg", distance=64).json()["images"]) == 3
    assert len(similar(library, "cat.jpg", distance=64, limit=1).json()["images"]) == 1


def test_all_invalid_values_are_reported_at_once(library: Client) -> None:
    response = similar(library, "cat.jpg", distance=99, limit="many", size=1)
    assert response.status_code == 400
    problems = {(item["name"], item["expected"], item["got"]) for item in response.json()["problems"]}
    assert {("distance", "0-64", "99"), ("limit", "1-1000", "many")} < problems
    assert "expected 0-64 for distance, got 99" in response.json()["detail"]
    assert len(problems) == 3


def test_an_unknown_image_is_not_found(library: Client) -> None:
    response = similar(library, "nobody.jpg")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


def test_a_refused_image_has_nothing_to_compare(library: Client) -> None:
    response = similar(library, "notes.txt")
    assert response.status_code == 400
    expected = "expected an original with a perceptual hash for 'notes.txt', got one that is refused"
    assert response.json()["detail"] == f"{expected} (not-an-image)"


def test_a_queued_image_has_nothing_to_compare_yet(machine: Machine, client: Client) -> None:
    machine.gate.clear()
    client.put("/uploads/first.jpg", content=b"a")
    client.put("/uploads/second.jpg", content=b"b")
    response = similar(client, "second.jpg")
    assert response.status_code == 400
    assert response.json()["detail"].endswith("for 'second.jpg', got one that is queued")


def test_an_image_shows_its_visual_summary(library: Client) -> None:
    image = library.get(f"/images/{id_of('cat.jpg')}").json()
    assert (image["blurhash"], image["palette"], image["focus"]) == ("L00000", ["#102030"], [0.25, 0.5])
    assert image["exif"] == {}


def test_an_image_shows_its_configured_exif_fields(machine: Machine, client: Client) -> None:
    machine.ingest.exif = (ExifField.MAKE, ExifField.ISO)
    machine.ingest.put("cat.jpg", b"cat")
    machine.ingest.processor().process(upload("cat.jpg"))
    image = client.get(f"/images/{id_of('cat.jpg')}").json()
    assert image["exif"] == {"make": "make of 3 bytes", "iso": "iso of 3 bytes"}


def test_a_record_of_an_earlier_version_is_shown_without_the_new_fields(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = machine.ingest.now
    old = Record(
        id_of("a"), BUCKET, "a", now, now, summary=VisualSummary("#102030", "aGFzaA==", "0123456789abcdef")
    )
    monkeypatch.setattr(machine.ingest.catalog, "get", lambda _: old)
    image = client.get(f"/images/{old.id}").json()
    assert (image["blurhash"], image["palette"], image["focus"]) == (None, [], None)
