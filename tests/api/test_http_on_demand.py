"""POST /images/{id}/renditions: render any transformation, on one machine and on AWS."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.keys import image_id
from image_processor.domain.ports import StoredObject
from support.ingest import BUCKET, upload

KEY = "photos/a cat.jpg"
ID = image_id(BUCKET, KEY)
PATH = f"/images/{ID}/renditions"


@pytest.fixture
def signing(machine: Machine) -> Machine:
    machine.settings = replace(machine.settings, signing_keys=(("a", "0123456789abcdef"),))
    machine.ingest.put(KEY, b"cat")
    return machine


@pytest.fixture
def client(signing: Machine):
    with asyncio.Runner() as runner:
        client = Client(signing.app(), runner)
        assert client.post("/images", json={"key": KEY}).status_code == 200
        yield client


def test_a_rendition_is_made_stored_and_opened_by_its_url(client: Client) -> None:
    response = client.post(PATH, json={"transformation": "fm=webp,w=33"})
    rendition = response.json()
    assert response.status_code == 200
    assert (rendition["key"], rendition["transformation"]) == (f"{KEY}/~w=33,fm=webp.webp", "w=33,fm=webp")
    assert (rendition["media_type"], rendition["bytes"]) == ("image/webp", len(b"w=33,fm=webp of cat"))
    assert client.get(rendition["url"]).content == b"w=33,fm=webp of cat"
    unsigned = urlsplit(rendition["url"]).path
    assert client.get(unsigned).json()["code"] == "signature-missing"
    assert client.post(PATH, json={"transformation": "w=33,fm=webp"}).json()["sha256"] == rendition["sha256"]


def test_an_original_that_is_sent_as_it_is_is_told(client: Client, signing: Machine) -> None:
    signing.ingest.put("small.jpg", b"small cat")
    image = client.post("/images?wait=true", json={"key": "small.jpg"}).json()
    path = f"/images/{image_id(BUCKET, 'small.jpg')}"
    assert (
        client.post(f"{path}/renditions", json={"transformation": "w=34,fm=webp"}).json()["keep_smaller"]
        == "kept"
    )
    recorded = client.get(path).json()["renditions"]
    assert [rendition["keep_smaller"] for rendition in recorded] == ["kept"] * len(recorded), image
    other = client.post(PATH, json={"transformation": "w=34,fm=webp"}).json()
    assert other["keep_smaller"] is None


def test_a_declared_transformation_returns_the_stored_rendition_with_a_public_url(client: Client) -> None:
    rendition = client.post(PATH, json={"transformation": "w=10,fm=webp"}).json()
    assert (rendition["key"], rendition["url"]) == (
        f"{KEY}/w=10,fm=webp.webp",
        "/renditions/photos/a%20cat.jpg/w=10,fm=webp.webp",
    )
    assert client.get(rendition["url"]).content == b"w=10,fm=webp of cat"


def test_a_url_expires_when_it_was_asked_to(client: Client) -> None:
    body = {"transformation": "w=33,fm=webp", "expires_in": 60}
    query = urlsplit(client.post(PATH, json=body).json()["url"]).query
    later = urlsplit(client.post(PATH, json={**body, "expires_in": 600}).json()["url"]).query
    ends = [int(dict(part.split("=", 1) for part in item.split("&"))["expires"]) for item in (query, later)]
    assert 500 < ends[1] - ends[0] < 600


def test_a_url_that_is_not_stored_is_looked_for_by_its_request_and_by_the_render_pool(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = client.post(PATH, json={"transformation": "w=33,fm=webp"}).json()["url"]
    looked_for: list[str] = []

    def find(_: RenditionRepository, ref: RenditionRef) -> StoredObject | None:
        looked_for.append(ref.stored_key)
        return None

    monkeypatch.setattr(RenditionRepository, "find", find)
    assert client.get(url).content == b"w=33,fm=webp of cat"
    assert len(looked_for) == 2


def test_without_a_signing_key_there_is_no_url(machine: Machine) -> None:
    machine.ingest.put(KEY, b"cat")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        client.post("/images", json={"key": KEY})
        assert client.post(PATH, json={"transformation": "w=33,fm=webp"}).json()["url"] is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"transformation": "w=0,fm=jpeg,blurr=3"}, {"w", "parameter"}),
        ({"transformation": "over=image:logo.png,fm=jpeg"}, {"over"}),
        ({"transformation": "w=33,fm=webp", "expires_in": 5}, {"expires_in"}),
        ({"transformation": "w=33,fm=webp", "expires_in": "600"}, {"expires_in"}),
        ({}, {"transformation"}),
    ],
)
def test_every_error_in_the_body_is_reported(
    client: Client, body: dict[str, object], named: set[str]
) -> None:
    response = client.post(PATH, json=body)
    assert response.status_code == 400
    assert {item["name"] for item in response.json()["problems"]} == named


def test_missing_and_refused_images_are_errors(client: Client, signing: Machine) -> None:
    missing = client.post(f"/images/{image_id(BUCKET, 'none')}/renditions", json={"transformation": "fm=png"})
    assert missing.status_code == 404
    signing.ingest.put("bad.jpg", b"bad")
    client.post("/images", json={"key": "bad.jpg"})
    refused = client.post(
        f"/images/{image_id(BUCKET, 'bad.jpg')}/renditions", json={"transformation": "fm=png"}
    )
    assert (refused.status_code, refused.json()["reason"]) == (422, "not-an-image")


def test_the_cache_is_bounded_and_keeps_the_most_recently_used(signing: Machine) -> None:
    signing.settings = replace(signing.settings, cache_bytes=2 * len(b"w=31,fm=webp of cat"))
    with asyncio.Runner() as runner:
        client = Client(signing.app(), runner)
        client.post("/images", json={"key": KEY})
        urls = {
            width: client.post(PATH, json={"transformation": f"w={width},fm=webp"}).json()["url"]
            for width in (31, 32)
        }
        assert client.get(urls[31]).status_code == 200
        client.post(PATH, json={"transformation": "w=33,fm=webp"})
        kept = [key for key in signing.ingest.processed.bodies() if "~" in key]
        assert kept == [f"{KEY}/~w=31,fm=webp.webp", f"{KEY}/~w=33,fm=webp.webp"]
        assert client.get(urls[32]).content == b"w=32,fm=webp of cat"


def test_private_renditions_are_recorded_and_need_a_signature(signing: Machine) -> None:
    signing.ingest.recipe = parse_recipe(
        "[presets.clean]\nwidth = 10\nformats = ['webp']\npublic = false\n"
        "[[rules]]\nmatch = '**'\npresets = ['clean']\n"
    )
    with asyncio.Runner() as runner:
        client = Client(signing.app(), runner)
        signing.ingest.processor().process(upload(KEY))
        (rendition,) = client.get(f"/images/{ID}").json()["renditions"]
        assert (rendition["key"], rendition["url"]) == (f"{KEY}/~w=10,fm=webp.webp", None)
        for url in (f"/renditions/{rendition['key']}", f"/renditions/{KEY}?preset=clean&fm=webp"):
            assert client.get(url).json()["code"] == "signature-missing"
        signed = client.post(PATH, json={"transformation": "w=10,fm=webp"}).json()
        assert signed["key"] == rendition["key"]
        assert client.get(signed["url"]).content == b"w=10,fm=webp of cat"
        assert client.get("/recipe").json()["private"] == ["clean"]


def test_lazy_renditions_are_listed_and_made_at_their_first_view(signing: Machine) -> None:
    signing.settings = replace(signing.settings, cache_bytes=1)
    signing.ingest.recipe = parse_recipe(
        "[presets.card]\nwidth = 4\nformats = ['webp']\neager = false\n"
        "[presets.clean]\nwidth = 5\npadding = [1]\nformats = ['webp']\neager = false\npublic = false\n"
        "[[rules]]\nmatch = '**'\npresets = ['card', 'clean']\n"
    )
    with asyncio.Runner() as runner:
        client = Client(signing.app(), runner)
        signing.ingest.processor().process(upload(KEY))
        image = client.get(f"/images/{ID}").json()
        assert (image["status"], image["renditions"], image["processed"]) == ("processed", [], None)
        version = image["facts"]["sha256"][:16]
        url = f"/renditions/photos/a%20cat.jpg/w=4,fm=webp.webp?v={version}"
        card = {"key": f"{KEY}/w=4,fm=webp.webp", "url": url, "transformation": "w=4,fm=webp"}
        clean = {"key": f"{KEY}/~w=5,pad=1,fm=webp.webp", "url": None, "transformation": "w=5,pad=1,fm=webp"}
        assert image["lazy_renditions"] == [
            {**card, "width": 4, "height": 3},
            {**clean, "width": None, "height": None},
        ]
        assert client.get(url).content == b"w=4,fm=webp of cat"
        private = client.post(PATH, json={"transformation": "w=5,pad=1,fm=webp"}).json()
        assert private["key"] == clean["key"]
        # Neither is an on-demand rendition, of which the cache keeps a bounded number of bytes.
        assert sorted(signing.ingest.processed.bodies()) == [card["key"], clean["key"]]
        assert client.get("/recipe").json()["lazy"] == ["card", "clean"]
