"""The route that sets the focus of an image."""

from __future__ import annotations

from typing import Any

import pytest
from http_machine import Client, Machine

from image_processor.config.recipe import parse_recipe
from image_processor.domain.keys import image_id

RECIPE = parse_recipe("""
[presets.card]
width = 10
height = 10
gravity = "focus"
formats = ["webp"]
[[rules]]
match = "**"
presets = ["card"]
""")
ID = image_id("uploads", "a.jpg")
WAIT = {"prefer": "wait=30"}


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.ingest.recipe = RECIPE
    machine.ingest.put("a.jpg", b"a cat")
    return machine


def rendition(client: Client, image: Any) -> bytes:
    (only,) = image["renditions"]
    return client.get(only["url"]).content


def test_a_focus_is_set_and_removed(machine: Machine, client: Client) -> None:
    before = client.post("/images", json={"key": "a.jpg"}).json()
    assert before["focal_point"] is None
    response = client.put(f"/images/{ID}/focus", json={"x": 0.12349, "y": 1}, headers=WAIT)
    assert response.status_code == 200
    image = response.json()
    assert image["focal_point"] == [0.123, 1.0]
    assert client.get(f"/images/{ID}").json() == image
    assert rendition(client, image) == b"w=10,h=10,fp=0.123:1,fm=webp of a cat"
    (key,) = {item["renditions"][0]["key"] for item in (before, image)}
    assert key == "a.jpg/w=10,h=10,g=focus,fm=webp.webp"
    removed = client.delete(f"/images/{ID}/focus", headers=WAIT).json()
    assert removed["focal_point"] is None
    assert rendition(client, removed) == b"w=10,h=10,g=attention,fm=webp of a cat"
    assert machine.ingest.record("a.jpg") is not None


def test_a_focus_belongs_to_the_file(machine: Machine, client: Client) -> None:
    client.post("/images", json={"key": "a.jpg"})
    client.put(f"/images/{ID}/focus", json={"x": 0, "y": 0.5}, headers=WAIT)
    for body, expected in ((b"another", None), (b"a cat", [0, 0.5])):
        machine.ingest.put("a.jpg", body)
        assert client.post("/images", json={"key": "a.jpg"}).json()["focal_point"] == expected


def test_a_focus_is_answered_at_once(client: Client, machine: Machine) -> None:
    client.post("/images", json={"key": "a.jpg"})
    machine.gate.clear()
    response = client.put(f"/images/{ID}/focus", json={"x": 0.1, "y": 0.2})
    assert (response.status_code, response.json()["focal_point"]) == (202, [0.1, 0.2])
    machine.gate.set()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"x": 1.01, "y": 0}, "expected 0-1, a fraction of the width for x, got 1.01"),
        ({"x": 0, "y": "left"}, "expected 0-1, a fraction of the height for y, got left"),
        ({"x": True, "y": 0}, "expected 0-1, a fraction of the width for x, got True"),
        ({"x": "0.5", "y": 0}, "expected 0-1, a fraction of the width for x, got 0.5"),
        ({"x": 0}, "expected 0-1, a fraction of the height for y, got nothing"),
        ({"x": 0, "y": 0, "z": 0}, "for z"),
    ],
)
def test_an_invalid_focus_says_what_was_expected(client: Client, body: dict[str, Any], detail: str) -> None:
    response = client.put(f"/images/{ID}/focus", json=body)
    assert response.status_code == 400
    assert detail in response.json()["detail"]


def test_a_focus_needs_a_processed_image(machine: Machine, client: Client) -> None:
    point = {"x": 0, "y": 0}
    assert client.put(f"/images/{ID}/focus", json=point).status_code == 404
    assert client.delete(f"/images/{ID}/focus").status_code == 404
    machine.ingest.put("a.jpg", b"bad")
    client.post("/images", json={"key": "a.jpg"})
    response = client.put(f"/images/{ID}/focus", json=point)
    assert response.json()["detail"] == "expected a processed image for 'a.jpg', got one that is refused"


def test_another_site_cannot_set_a_focus(client: Client) -> None:
    response = client.put(
        f"/images/{ID}/focus", content=b'{"x":0,"y":0}', headers={"content-type": "text/plain"}
    )
    assert response.status_code == 415
    headers = {"sec-fetch-site": "cross-site"}
    assert client.put(f"/images/{ID}/focus", json={"x": 0, "y": 0}, headers=headers).status_code == 403
