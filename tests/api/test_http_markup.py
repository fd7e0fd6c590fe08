"""GET /images/{id}/markup, on one machine and on AWS."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.domain.keys import image_id
from support.ingest import BUCKET

KEY = "photos/a cat.jpg"
PATH = f"/images/{image_id(BUCKET, KEY)}/markup"


@pytest.fixture
def client(machine: Machine) -> Iterator[Client]:
    machine.settings = replace(machine.settings, signing_keys=(("a", "0123456789abcdef"),))
    for key, body in ((KEY, b"cat"), ("bad.jpg", b"bad")):
        machine.ingest.put(key, body)
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for key in (KEY, "bad.jpg"):
            client.post("/images", json={"key": key})
        yield client


def urls_of(markup: str) -> list[str]:
    (srcset,) = re.findall(r'<img [^>]*srcset="([^"]*)"', markup)
    return [part.split(" ")[0] for part in html.unescape(srcset).split(", ")]


def test_the_urls_open_the_renditions(client: Client) -> None:
    markup = client.get(PATH).json()
    (url,) = urls_of(markup["img"])  # of 8 x 6 pixels are all fakes
    assert url == "/renditions/photos/a%20cat.jpg/w=10,fm=jpeg.jpg"
    assert client.get(url).content == b"w=10,fm=jpeg of cat"
    assert (markup["width"], markup["height"], markup["left_out"]) == (8, 6, [])
    assert markup["picture"].startswith("<picture>\n  <source type=")
    assert "preset=small&w=10&fm=auto" in markup["loader"]
    assert client.get("/renditions/photos/a%20cat.jpg?preset=small&w=10&fm=auto").status_code == 200
    assert markup["placeholder"].startswith("data:image/png;base64,")


def test_undeclared_widths_are_rendered_on_their_first_request(client: Client) -> None:
    markup = client.get(PATH, params={"widths": "5,7", "alt": '"a" <b>', "sizes": "50vw"}).json()
    urls = urls_of(markup["img"])
    assert len(urls) == 2
    for url in urls:
        assert "&s=" in url
        assert client.get(url).status_code == 200
    assert 'alt="&quot;a&quot; &lt;b&gt;"' in markup["img"]
    assert 'sizes="50vw"' in markup["picture"]


def test_another_base_url_can_be_given(client: Client) -> None:
    markup = client.get(PATH, params={"base": "https://img.example/"}).json()
    assert urls_of(markup["img"])[0].startswith("https://img.example/photos/")


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"widths": "a"}, "widths"),
        ({"widths": "0"}, "widths"),
        ({"widths": "5", "preset": "small"}, "widths"),
        ({"preset": "none"}, "preset"),
        ({"sizes": "a\nb"}, "sizes"),
        ({"alt": "x" * 501}, "alt"),
        ({"base": "javascript:x"}, "base"),
        ({"width": "5"}, "width"),
    ],
)
def test_an_invalid_parameter_is_named(client: Client, params: Any, name: str) -> None:
    response = client.get(PATH, params=params)
    assert response.status_code == 400
    assert [problem["name"] for problem in response.json()["problems"]] == [name]


def test_an_image_without_renditions_is_an_error(client: Client) -> None:
    refused = client.get(f"/images/{image_id(BUCKET, 'bad.jpg')}/markup")
    assert (refused.status_code, refused.json()["reason"]) == (422, "not-an-image")
    assert client.get("/images/none/markup").status_code == 404
