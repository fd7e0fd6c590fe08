"""Renditions go out over HTTP: what delivery decides is what a client gets."""

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
    machine.room.processed.put(KEY, BODY, attributes)


def test_a_rendition_is_served_whole_with_exact_headers(client: Client) -> None:
    answer = client.get(URL)
    assert (answer.status_code, answer.content) == (200, BODY)
    headers = answer.headers
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
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    assert live.get(URL).content == BODY  # nothing of a body was left in the connection


def test_a_copy_that_is_good_is_not_sent_again(live: httpx.Client) -> None:
    answer = live.get(URL, headers={"if-none-match": TAG})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", TAG)
    since = {"if-modified-since": live.get(URL).headers["last-modified"]}
    assert live.get(URL, headers=since).status_code == 304


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (262_143, 262_145), (100_000, 700_000), (767_999, 768_000)]
)
def test_a_range_is_that_part(live: httpx.Client, start: int, stop: int) -> None:
    answer = live.get(URL, headers={"range": f"bytes={start}-{stop - 1}"})
    assert (answer.status_code, answer.content) == (206, BODY[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(BODY)}"


def test_a_range_outside_and_a_failed_precondition_are_problems(client: Client) -> None:
    outside = client.get(URL, headers={"range": "bytes=768000-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */768000")
    failed = client.get(URL, headers={"if-match": '"other"'})
    assert failed.status_code == 412
    for answer in (outside, failed):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers


def test_a_rendition_that_is_not_there(client: Client) -> None:
    answer = client.get("/renditions/photos/dog.jpg/w=10,fm=webp.webp")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert answer.headers["cache-control"] == "max-age=5"


@pytest.mark.parametrize(
    ("path", "code"),
    [("%2e%2e/secret", "invalid-key"), ("a/%2e%2e/%2e%2e/secret", "invalid-key"), ("%FF", "invalid-request")],
)
def test_an_illegal_key(client: Client, path: str, code: str) -> None:
    answer = client.get(httpx.URL("http://127.0.0.1").copy_with(raw_path=f"/renditions/{path}".encode()))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "key", ["a/../b/w=10,fm=webp.webp", "ä b+c/w=20,fm=jpeg.jpg", "a//b/w=10,fm=webp.webp"]
)
def test_the_address_that_the_api_tells_opens_the_rendition(
    machine: Machine, live: httpx.Client, key: str
) -> None:
    machine.room.processed.put(key, b"it", Attributes("image/webp"))
    assert live.get(object_url("/renditions", key)).content == b"it"


def test_settings_say_how_long_what_brings_no_words_of_its_own_is_kept(
    machine: Machine, client: Client
) -> None:
    machine.room.processed.put("plain/w=10,fm=webp.webp", b"it", Attributes("image/webp"))
    answer = client.get("/renditions/plain/w=10,fm=webp.webp")
    assert answer.headers["cache-control"] == machine.settings.cache_control


def test_what_is_no_rendition_is_not_shown_though_it_lies_there(machine: Machine, client: Client) -> None:
    machine.room.processed.put("plain", b"it", Attributes("image/webp"))
    answer = client.get("/renditions/plain")
    assert (answer.status_code, answer.json()["code"]) == (403, "signature-missing")


def test_a_rendition_written_anew_meanwhile_is_sent_as_one_of_the_two(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed = machine.room.processed
    head = processed.head
    news = iter([b"new"])

    def head_then_change(key: str) -> object:
        stored = head(key)
        for body in news:
            processed.put(key, body, Attributes("image/webp", metadata={"sha256": "new"}))
        return stored

    monkeypatch.setattr(processed, "head", head_then_change)
    answer = client.get(URL)
    assert (answer.content, answer.headers["etag"]) == (b"new", '"new"')


def test_one_that_never_holds_still_is_to_be_tried_again(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(key: str, *_: object, **__: object) -> None:
        raise PreconditionFailed(key)

    monkeypatch.setattr(machine.room.processed, "read", changed)
    answer = client.get(URL)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
