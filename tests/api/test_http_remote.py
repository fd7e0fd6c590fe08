"""Originals from remote sources over HTTP: by the URL of a rendition, and on request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.domain.keys import image_id
from support.ingest import BUCKET
from support.scripted_http import Reply, Script, Seen, scripted
from support.waiting import wait_for

PNG = b"\x89PNG\r\n\x1a\n" + b"cat"
FILES = {
    "/photos/cat.png": Reply(body=PNG, headers={"ETag": '"1"', "Cache-Control": "max-age=600"}),
    "/photos/cat.png?v=2": Reply(body=PNG + b"2"),
    "/photos/logo.png": Reply(body=PNG + b"logo"),
    "/photos/page.html": Reply(body=b"<html>"),
    "/photos/large.png": Reply(body=PNG + bytes(1_000_000)),
    "/photos/away.png": Reply(302, headers={"Location": "/secret.png"}),
    "/photos/broken.png": Reply(500),
    "/secret.png": Reply(body=PNG + b"secret"),
}


@pytest.fixture
def source() -> Iterator[Script]:
    def respond(seen: Seen) -> Reply:
        return FILES.get(seen.target, Reply(404))

    with scripted(Reply()) as script:
        script.respond = respond
        yield script


def configure(
    machine: Machine, source: Script, private: tuple[str, ...] = ("127.0.0.1",), **more: object
) -> None:
    sources = (f"shop/={source.address}/photos/",)
    machine.settings = replace(
        machine.settings, remote_sources=sources, remote_private=private, allow_unsigned=True, **more
    )


@pytest.fixture
def machine(machine: Machine, source: Script) -> Machine:
    configure(machine, source)
    return machine


# By the URL of a rendition -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("/renditions/shop/cat.png?w=33&fm=webp", "/renditions/shop/cat.png?fm=auto&w=33"),
        "/renditions/shop/cat.png/w=10,fm=webp.webp",
    ],
)
def test_the_first_request_fetches_the_original(
    client: Client, machine: Machine, source: Script, url: str
) -> None:
    for _ in range(2):
        response = client.get(url)
        assert (response.status_code, response.content.endswith(PNG)) == (200, True)
    assert [seen.target for seen in source.seen] == ["/photos/cat.png"]
    assert machine.ingest.uploads.bodies() == {"shop/cat.png": PNG}


def test_a_fetched_original_gets_its_recipes_renditions(client: Client) -> None:
    client.get("/renditions/shop/cat.png?w=33&fm=webp")
    client.post("/images", json={"key": "shop/cat.png"}, headers={"prefer": "wait=30"})
    image = client.get(f"/images/{image_id(BUCKET, 'shop/cat.png')}").json()
    assert (image["status"], len(image["renditions"])) == ("processed", 4)


def test_an_overlay_is_fetched_too(machine: Machine, source: Script) -> None:
    configure(machine, source, overlays="shop/")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        response = client.get("/renditions/shop/cat.png?w=33&fm=webp&over=image:shop~2flogo.png")
    assert response.status_code == 200, response.text
    assert {seen.target for seen in source.seen} == {"/photos/cat.png", "/photos/logo.png"}


def test_the_fallback_stands_in_for_a_file_that_the_source_lacks(machine: Machine, source: Script) -> None:
    configure(machine, source, fallback="missing.png")
    machine.ingest.put("missing.png", b"fallback")
    with asyncio.Runner() as runner:
        response = Client(machine.app(), runner).get("/renditions/shop/none.png?w=33&fm=webp")
    assert (response.status_code, response.content) == (404, b"w=33,fm=webp of fallback")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("none.png", 404, "not-found"),
        ("page.html", 415, "refused"),
        ("large.png", 413, "refused"),
        ("away.png", 403, "source-not-allowed"),
        ("broken.png", 503, "source-failed"),
    ],
)
def test_what_cannot_be_fetched_is_an_error_for_a_while(
    client: Client, machine: Machine, source: Script, name: str, status: int, code: str
) -> None:
    for _ in range(2):
        for path in (f"/renditions/shop/{name}?w=33&fm=webp", f"/renditions/shop/{name}/w=10,fm=webp.webp"):
            response = client.get(path)
            assert (response.status_code, response.json()["code"]) == (status, code)
    assert len(source.seen) == 1
    assert machine.ingest.uploads.bodies() == {}
    assert "secret" not in response.text
    result = {404: "missing", 403: "not-allowed", 503: "failed"}.get(status, "refused")
    assert f'remote_fetches_total{{result="{result}"}} 1.0' in client.get("/metrics").text


def test_a_private_address_is_refused_and_not_told(
    machine: Machine, source: Script, caplog: pytest.LogCaptureFixture
) -> None:
    configure(machine, source, private=())
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        response = client.get("/renditions/shop/cat.png?w=33")
    assert (response.status_code, response.json()["code"]) == (403, "address-not-allowed")
    assert "REMOTE_PRIVATE" in response.json()["fix"]
    assert source.seen == []
    assert "its address 127.0.0.1 is not public (loopback)" in caplog.text


def test_without_sources_nothing_is_fetched(machine: Machine, source: Script) -> None:
    machine.settings = replace(machine.settings, remote_sources=())
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        assert client.get("/renditions/shop/cat.png/w=10,fm=webp.webp").status_code == 404
        refused = client.post("/uploads/from-url", json={"url": f"{source.address}/photos/cat.png"})
        assert (refused.status_code, refused.json()["code"]) == (403, "source-not-allowed")
    assert source.seen == []


def test_concurrent_requests_fetch_once(live: httpx.Client, source: Script) -> None:
    with ThreadPoolExecutor(12) as threads:
        responses = list(
            threads.map(lambda width: live.get(f"/renditions/shop/cat.png?w={width}&fm=webp"), range(20, 32))
        )
    assert {response.status_code for response in responses} == {200}
    assert len(source.seen) == 1


@pytest.fixture
def expiring(machine: Machine, source: Script) -> Machine:
    """Copies expire at once."""
    configure(machine, source, remote_min_seconds=0)
    return machine


def test_a_hit_of_an_expired_copy_has_its_source_asked(
    expiring: Machine, live: httpx.Client, source: Script
) -> None:
    remote = expiring.application.state.context.remote
    for _ in range(3):  # from the third on, the response comes from memory
        assert live.get("/renditions/shop/logo.png/w=10,fm=webp.webp").content.endswith(PNG + b"logo")
        wait_for(lambda: not remote.backlog(), "fetches to end")
    asked = len(source.seen)
    live.get("/renditions/shop/logo.png/w=10,fm=webp.webp")
    wait_for(lambda: len(source.seen) > asked, "the source to be asked")


# On request ----------------------------------------------------------------------------------------


def import_url(client: Client, url: str, key: str | None = None, **headers: str) -> httpx.Response:
    body = {"url": url} if key is None else {"url": url, "key": key}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/uploads/from-url", json=body, headers=named)


def test_a_url_is_stored_as_an_upload_is(client: Client, machine: Machine, source: Script) -> None:
    url = f"{source.address}/photos/cat.png"
    response = import_url(client, url, prefer="wait=30")
    upload = response.json()
    assert (response.status_code, upload["key"], upload["bytes"]) == (201, "shop/cat.png", len(PNG))
    assert upload["status"] == "processed"
    assert response.headers["location"] == upload["image"] == f"/images/{image_id(BUCKET, 'shop/cat.png')}"
    assert response.headers["etag"] == f'"{upload["version"]}"'
    assert len(client.get(upload["image"]).json()["renditions"]) == 4
    again = import_url(client, url)
    assert (again.status_code, again.json()["version"]) == (200, upload["version"])
    assert machine.ingest.uploads.bodies() == {"shop/cat.png": PNG}


def test_an_original_that_is_gone_is_fetched_for_a_rendition_on_request(
    client: Client, machine: Machine, source: Script
) -> None:
    image = import_url(client, f"{source.address}/photos/cat.png", prefer="wait=30").json()["image"]
    machine.ingest.uploads.delete("shop/cat.png")  # and its record is still there
    response = client.post(f"{image}/renditions", json={"transformation": "w=33,fm=webp"})
    assert (response.status_code, len(source.seen)) == (200, 2)


def test_a_url_with_a_query_needs_a_key(client: Client, machine: Machine, source: Script) -> None:
    url = f"{source.address}/photos/cat.png?v=2"
    response = import_url(client, url)
    assert (response.status_code, response.json()["problems"][0]["name"]) == (400, "key")
    assert import_url(client, url, "cats/2.png").status_code == 201
    assert machine.ingest.uploads.bodies() == {"cats/2.png": PNG + b"2"}


def test_conditions_protect_what_is_stored(client: Client, machine: Machine, source: Script) -> None:
    machine.ingest.put("shop/cat.png", b"mine")
    url = f"{source.address}/photos/cat.png"
    for refused in ({"if_none_match": "*"}, {"if_match": '"other"'}):
        assert import_url(client, url, **refused).status_code == 412
    assert (source.seen, machine.ingest.uploads.bodies()) == ([], {"shop/cat.png": b"mine"})
    version = machine.ingest.uploads.head("shop/cat.png").entry.version
    assert import_url(client, url, if_match=f'"{version}"').status_code == 200
    assert machine.ingest.uploads.bodies() == {"shop/cat.png": PNG}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/photos/none.png", 404, "not-found"),
        ("/photos/page.html", 422, "refused"),
        ("/photos/large.png", 413, "refused"),
        ("/photos/away.png", 403, "source-not-allowed"),
        ("/photos/broken.png", 502, "source-failed"),
        ("/secret.png", 403, "source-not-allowed"),
        ("/photos/../secret.png", 400, "invalid"),
    ],
)
def test_a_url_that_cannot_be_stored_is_an_error(
    client: Client, machine: Machine, source: Script, path: str, status: int, code: str
) -> None:
    response = import_url(client, source.address + path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert machine.ingest.uploads.bodies() == {}


def test_a_key_that_is_none_or_gets_no_renditions_is_refused(client: Client, source: Script) -> None:
    url = f"{source.address}/photos/cat.png"
    assert import_url(client, url, "../cat.png").json()["code"] == "invalid-key"
    assert import_url(client, url, "ignored/cat.png").json()["code"] == "skipped"
    assert client.post("/uploads/from-url", data={"url": url}).status_code == 415
    assert source.seen == []


def test_health_names_the_sources(client: Client, source: Script) -> None:
    assert client.get("/health").json()["remote_sources"] == [f"{source.address}/photos/"]


def test_of_many_imports_that_create_one_original_one_does(live: httpx.Client, source: Script) -> None:
    """Whether they come together, or after one has stored the file, which the source then calls unchanged."""

    def create(_: int) -> tuple[int, str]:
        body = {"url": f"{source.address}/photos/cat.png"}
        with httpx.Client(timeout=30) as client:
            url, headers = live.base_url.join("/uploads/from-url"), {"if-none-match": "*"}
            response = client.post(url, json=body, headers=headers)
        return response.status_code, response.json().get("code", "")

    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(create, range(18)))
    assert statuses == [(201, ""), *[(412, "precondition-failed")] * 17]


def test_imports_of_one_client_leave_room_for_others(
    machine: Machine, source: Script, request: pytest.FixtureRequest
) -> None:
    configure(machine, source, remote_connections=1, delivery_queue=3)
    go_on = threading.Event()

    def respond(seen: Seen) -> Reply:
        go_on.wait(30)
        return FILES.get(seen.target.partition("?")[0], Reply(404))

    source.respond = respond
    live = request.getfixturevalue("live")

    def fetch(number: int, host: str = "127.0.0.1") -> httpx.Response:
        body = {"url": f"{source.address}/photos/cat.png?n={number}", "key": f"{number}.png"}
        with httpx.Client(transport=httpx.HTTPTransport(local_address=host), timeout=30) as client:
            return client.post(live.base_url.join("/uploads/from-url"), json=body)

    remote = machine.application.state.context.remote
    with ThreadPoolExecutor(4) as threads:
        first = [threads.submit(fetch, number) for number in range(2)]
        wait_for(lambda: remote.backlog() == 2, "both imports")
        refused = fetch(2)
        other = threads.submit(fetch, 3, "127.0.0.2")
        wait_for(lambda: remote.backlog() == 3, "the import of the other client")
        go_on.set()
    assert (refused.status_code, refused.json()["code"]) == (429, "share-exceeded")
    assert [future.result().status_code for future in (*first, other)] == [201] * 3
