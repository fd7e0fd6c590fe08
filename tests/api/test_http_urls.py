"""GET /images/{id}/urls, and markup of one transformation."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.domain.keys import image_id
from support.ingest import BUCKET

KEY = "photos/a cat.jpg"
PATH = f"/images/{image_id(BUCKET, KEY)}"
SIGNED = {"signing_keys": (("a", "0123456789abcdef"),)}


@pytest.fixture
def client(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Client]:
    machine.settings = replace(machine.settings, **getattr(request, "param", SIGNED))
    machine.ingest.put(KEY, b"cat")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        client.post("/images", json={"key": KEY})
        yield client


def test_the_signed_url_opens_the_rendition_and_nothing_is_rendered_before(
    machine: Machine, client: Client
) -> None:
    before = set(machine.ingest.processed.bodies())
    urls = client.get(f"{PATH}/urls", params={"transformation": "fm=webp,w=5"}).json()
    assert set(machine.ingest.processed.bodies()) == before
    assert urls["transformation"] == "w=5,fm=webp"
    assert urls["canonical"] == "/renditions/photos/a%20cat.jpg?w=5&fm=webp"
    assert (urls["public"], urls["reason"]) == (False, None)
    assert client.get(urls["canonical"]).status_code == 403
    assert client.get(urls["url"]).content == b"w=5,fm=webp of cat"
    assert "0123456789abcdef" not in str(urls)


def test_a_public_rendition_needs_no_signature(client: Client) -> None:
    urls = client.get(f"{PATH}/urls", params={"transformation": "w=10,fm=webp"}).json()
    assert urls["public"]
    assert urls["url"] == "/renditions/photos/a%20cat.jpg/w=10,fm=webp.webp"


@pytest.mark.parametrize("client", [{"dialects": ("thumbor",)}], indirect=True)
def test_without_a_key_the_reason_is_told(client: Client) -> None:
    urls = client.get(f"{PATH}/urls", params={"transformation": "w=5,fm=webp"}).json()
    assert urls["url"] is None
    assert "signing key" in urls["reason"]
    found = {item["dialect"]: item for item in urls["equivalents"]}
    assert found["thumbor"]["enabled"]
    assert not found["imgproxy"]["enabled"]
    assert found["imgproxy"]["path"] == "/unsafe/w:5/plain/photos/a%20cat.jpg@webp"


@pytest.mark.parametrize("client", [{"dialects": ("thumbor",), "allow_unsigned": True}], indirect=True)
def test_an_equivalent_opens_the_same_rendition(client: Client) -> None:
    urls = client.get(f"{PATH}/urls", params={"transformation": "w=5,fm=webp"}).json()
    (path,) = (item["path"] for item in urls["equivalents"] if item["dialect"] == "thumbor")
    assert client.get(path).content == b"w=5,fm=webp of cat"


def test_errors(client: Client) -> None:
    assert client.get(f"{PATH}/urls").status_code == 400
    assert client.get(f"{PATH}/urls", params={"transformation": "w=0"}).status_code == 400
    assert client.get("/images/none/urls", params={"transformation": "w=5"}).status_code == 404


def test_markup_of_a_transformation_offers_half_once_and_twice_its_size(client: Client) -> None:
    markup = client.get(f"{PATH}/markup", params={"transformation": "w=4,h=3,q=70,fm=jpeg"}).json()
    (srcset,) = re.findall(r'<img [^>]*srcset="([^"]*)"', markup["img"])
    candidates = [part.split(" ") for part in html.unescape(srcset).split(", ")]
    assert [width for _, width in candidates] == ["2w", "4w", "8w"]  # the original is 8 x 6 pixels
    for url, _ in candidates:
        assert client.get(url).status_code == 200
    assert 'type="image/avif"' in markup["picture"]
    assert "q=70" not in re.findall(r'type="image/avif" srcset="([^"]*)"', markup["picture"])[0]
    both = client.get(f"{PATH}/markup", params={"transformation": "w=4", "widths": "5"})
    assert both.status_code == 400
    trimmed = client.get(f"{PATH}/markup", params={"transformation": "trim=5,w=4,fm=jpeg"})
    assert trimmed.status_code == 400
    assert "is not known before it is made" in trimmed.json()["detail"]
