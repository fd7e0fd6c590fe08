"""Renditions over HTTP: a client gets what delivery decides."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from http_machine import Client, Machine

from image_processor.delivery.url.builder import object_url
from image_processor.domain.errors import PreconditionFailed
from image_processor.domain.ports import Attributes

KEY = "photos/cat.jpg/w=10,fm=webp.webp"
URL = f"/renditions/{KEY}"
BODY = bytes(range(256)) * 3000
TAG = f'"{hashlib.sha256(BODY).hexdigest()}"'


@pytest.fixture(autouse=True)
def _rendition(machine: Machine) -> None:
    attributes = Attributes("image/webp", "public, max-age=60", {"sha256": TAG.strip('"')})
    machine.ingest.processed.put(KEY, BODY, attributes)


def test_a_rendition_is_served_whole_with_exact_headers(client: Client) -> None:
    response = client.get(URL)
    assert (response.status_code, response.content) == (200, BODY)
    headers = response.headers
    assert headers["content-type"] == "image/webp"
    assert headers["content-length"] == str(len(BODY))
    assert headers["etag"] == TAG
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == 'inline; filename="cat.webp"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert "last-modified" in headers


def test_a_head_has_the_same_headers_over_a_socket(live: httpx.Client) -> None:
    whole, head = live.get(URL), live.head(URL)
    assert head.content == b""
    of_one_response = {"date": "", "x-request-id": ""}
    assert {**head.headers, **of_one_response} == {**whole.headers, **of_one_response}
    assert live.get(URL).content == BODY  # nothing of a body was left in the connection


def test_a_current_copy_is_not_sent_again(live: httpx.Client) -> None:
    response = live.get(URL, headers={"if-none-match": TAG})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", TAG)
    since = {"if-modified-since": live.get(URL).headers["last-modified"]}
    assert live.get(URL, headers=since).status_code == 304


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (262_143, 262_145), (100_000, 700_000), (767_999, 768_000)]
)
def test_a_range_is_sent_as_206(live: httpx.Client, start: int, stop: int) -> None:
    response = live.get(URL, headers={"range": f"bytes={start}-{stop - 1}"})
    assert (response.status_code, response.content) == (206, BODY[start:stop])
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(BODY)}"


def test_a_range_outside_and_a_failed_precondition_are_problems(client: Client) -> None:
    outside = client.get(URL, headers={"range": "bytes=768000-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */768000")
    failed = client.get(URL, headers={"if-match": '"other"'})
    assert failed.status_code == 412
    for response in (outside, failed):
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers


def test_a_missing_rendition_is_404(client: Client) -> None:
    response = client.get("/renditions/photos/dog.jpg/w=10,fm=webp.webp")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert response.headers["cache-control"] == "max-age=5"


@pytest.mark.parametrize(
    ("path", "code"),
    [("%2e%2e/secret", "invalid-key"), ("a/%2e%2e/%2e%2e/secret", "invalid-key"), ("%FF", "invalid-request")],
)
def test_an_illegal_key_is_rejected(client: Client, path: str, code: str) -> None:
    response = client.get(httpx.URL("http://127.0.0.1").copy_with(raw_path=f"/renditions/{path}".encode()))
    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "key", ["a/../b/w=10,fm=webp.webp", "ä b+c/w=20,fm=jpeg.jpg", "a//b/w=10,fm=webp.webp"]
)
def test_the_url_from_the_api_opens_the_rendition(machine: Machine, live: httpx.Client, key: str) -> None:
    machine.ingest.processed.put(key, b"it", Attributes("image/webp"))
    assert live.get(object_url("/renditions", key)).content == b"it"


def test_the_default_cache_control_comes_from_the_settings(machine: Machine, client: Client) -> None:
    machine.ingest.processed.put("plain/w=10,fm=webp.webp", b"it", Attributes("image/webp"))
    response = client.get("/renditions/plain/w=10,fm=webp.webp")
    assert response.headers["cache-control"] == machine.settings.cache_control


def test_other_objects_in_the_store_are_not_served(machine: Machine, client: Client) -> None:
    machine.ingest.processed.put("plain", b"it", Attributes("image/webp"))
    response = client.get("/renditions/plain")
    assert (response.status_code, response.json()["code"]) == (403, "signature-missing")


def test_a_rendition_replaced_meanwhile_is_sent_as_one_version(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed = machine.ingest.processed
    head = processed.head
    news = iter([b"new"])

    def head_then_change(key: str) -> object:
        stored = head(key)
        for body in news:
            processed.put(key, body, Attributes("image/webp", metadata={"sha256": "new"}))
        return stored

    monkeypatch.setattr(processed, "head", head_then_change)
    response = client.get(URL)
    assert (response.content, response.headers["etag"]) == (b"new", '"new"')


def test_a_rendition_that_keeps_changing_is_503(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(key: str, *_: object, **__: object) -> None:
        raise PreconditionFailed(key)

    monkeypatch.setattr(machine.ingest.processed, "read", changed)
    response = client.get(URL)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
