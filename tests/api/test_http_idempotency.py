"""Idempotency-Key: the same POST twice does its work once."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api import idempotency
from image_processor.config.tokens import Scope, create_token
from image_processor.domain.errors import Unavailable
from image_processor.standalone import stored_responses
from image_processor.standalone.stored_responses import StoredResponse, StoredResponses
from support.waiting import wait_for

KEY = {"idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def stored(number: int = 0) -> StoredResponse:
    return StoredResponse("f" * 64, 200, ((b"x", b"y"),), b"%d" % number)


def revision(machine: Machine, key: str = "a.jpg") -> int:
    (record,) = [record for record in machine.ingest.catalog.scan() if record.key == key]
    return record.revision


def test_a_repeated_request_gets_the_first_response_and_does_nothing(
    machine: Machine, client: Client
) -> None:
    client.put("/uploads/a.jpg", content=b"a cat")
    machine.workers.wait_until_idle()
    id_ = client.get("/images").json()["images"][0]["id"]
    first = client.post(f"/images/{id_}/reprocess", headers={**KEY, "prefer": "wait=60"})
    processed = revision(machine)
    again = client.post(f"/images/{id_}/reprocess", headers=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["content-type"] == first.headers["content-type"]
    assert revision(machine) == processed
    client.post(f"/images/{id_}/reprocess", headers={"idempotency-key": "another", "prefer": "wait=60"})
    assert revision(machine) == processed + 1


def test_a_repeated_response_has_the_headers_of_its_own_request(
    machine: Machine, address: tuple[str, int]
) -> None:
    """Not the id of the first request, nor what pages of one site may read."""
    del machine
    url = f"http://{address[0]}:{address[1]}/samples"
    with httpx.Client(timeout=30) as live:
        first = live.post(url, headers={**KEY, "x-request-id": "first"})
        again = live.post(url, headers={**KEY, "x-request-id": "again"})
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers.get_list("x-request-id") == ["first"]
    assert again.headers.get_list("x-request-id") == ["again"]
    ignored = {"date", "x-request-id", "idempotent-replayed"}
    left, right = (
        sorted((name, value) for name, value in response.headers.multi_items() if name not in ignored)
        for response in (first, again)
    )
    assert left == right


def test_a_key_with_another_request_is_refused(client: Client) -> None:
    client.put("/uploads/a.jpg", content=b"a cat")
    client.post("/images", json={"key": "a.jpg"}, headers=KEY)
    for response in (
        client.post("/images", json={"key": "b.jpg"}, headers=KEY),
        client.post("/samples", headers=KEY),
    ):
        assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")
        assert response.json()["fix"] == "Use a new key for a new request."


def test_quotes_around_a_key_do_not_count(client: Client) -> None:
    assert client.post("/samples", headers={"idempotency-key": "a"}).status_code == 201
    assert (
        client.post("/samples", headers={"idempotency-key": '"a"'}).headers["idempotent-replayed"] == "true"
    )


@pytest.mark.parametrize("key", ["", '""', '"a', "x" * 256, "a\tb", '"a"b"'])
def test_a_wrong_key_is_refused_before_any_work(machine: Machine, client: Client, key: str) -> None:
    response = client.post("/samples", headers={"idempotency-key": key})
    assert response.status_code == 400
    assert response.json()["problems"][0]["name"] == "Idempotency-Key"
    assert machine.ingest.uploads.bodies() == {}


def test_a_request_in_progress_is_not_run_twice(machine: Machine, live: httpx.Client) -> None:
    machine.ingest.put("a.jpg", b"a")
    machine.gate.clear()

    def process() -> httpx.Response:
        return live.post("/images", json={"key": "a.jpg"}, headers=KEY)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(process)
        wait_for(machine.workers.backlog, "the first request at work")
        second = process()
        machine.gate.set()
        first = running.result()
    assert (second.status_code, second.json()["code"]) == (409, "idempotency-key-in-use")
    assert second.headers["retry-after"] == "1"
    assert first.status_code == 200
    again = live.post("/images", json={"key": "a.jpg"}, headers=KEY)
    assert again.content == first.content


def test_a_response_survives_a_restart(machine: Machine, client: Client) -> None:
    client.put("/uploads/a.jpg", content=b"a cat")
    first = client.post("/images", json={"key": "a.jpg"}, headers=KEY)
    processed = revision(machine)
    with asyncio.Runner() as runner:
        restarted: FastAPI = machine.app()
        again = Client(restarted, runner).post("/images", json={"key": "a.jpg"}, headers=KEY)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert revision(machine) == processed


def test_an_error_of_the_request_is_repeated_and_one_of_the_server_is_not(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post("/images", json={"key": "none.jpg"}, headers=KEY).status_code == 404
    client.put("/uploads/none.jpg", content=b"a cat")
    assert client.post("/images", json={"key": "none.jpg"}, headers=KEY).status_code == 404
    with monkeypatch.context() as patches:
        patches.setattr(machine.ingest.uploads, "head", lambda _: 1 / 0)
        assert client.post("/samples", headers={"idempotency-key": "b"}).status_code == 500
    assert client.post("/samples", headers={"idempotency-key": "b"}).status_code == 201


def test_keys_of_two_tokens_are_two_keys(machine: Machine) -> None:
    tokens = [create_token(Scope.WRITE, name) for name in ("a", "b")]
    machine.settings = replace(machine.settings, tokens=tuple(token for _, token in tokens))
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for text, _ in tokens:
            headers = {**KEY, "authorization": f"Bearer {text}"}
            response = client.post("/samples", headers=headers)
            assert "idempotent-replayed" not in response.headers
        assert client.post("/samples", headers=headers).headers["idempotent-replayed"] == "true"
        assert client.post("/samples", headers=KEY).status_code == 401


def form(body: bytes = b"a cat", key: str = "a.jpg", boundary: str = "x") -> tuple[bytes, dict[str, str]]:
    """A form with a file, and the headers with which it is sent."""
    fields = (('name="key"', key.encode()), ('name="file"; filename="a.jpg"', body))
    parts = (
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + value + b"\r\n"
        for name, value in fields
    )
    content = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return content, {**KEY, "content-type": f"multipart/form-data; boundary={boundary}"}


def post_form(client: Client | httpx.Client, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return client.post("/uploads", content=content, headers=headers)


def test_a_form_that_is_sent_again_is_stored_once(machine: Machine, client: Client) -> None:
    first = post_form(client, *form())
    machine.ingest.put("a.jpg", b"another cat")  # would be lost if the form was stored again
    again = post_form(client, *form(boundary="another"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"another cat"}


@pytest.mark.parametrize("other", [{"body": b"a dog"}, {"key": "b.jpg"}])
def test_a_key_with_another_form_is_refused(machine: Machine, client: Client, other: Any) -> None:
    post_form(client, *form())
    response = post_form(client, *form(**other))
    assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")
    assert client.post("/samples", headers=KEY).json()["code"] == "idempotency-key-reused"
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"a cat"}


def test_a_form_that_still_arrives_holds_its_key(
    machine: Machine, address: tuple[str, int], live: httpx.Client, tmp_path: Path
) -> None:
    content, headers = form(bytes(200_000))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    begin = f"POST /uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n{head}\r\n"
    with socket.create_connection(address) as slow:
        slow.sendall(begin.encode() + content[:100_000])
        wait_for(lambda: list(tmp_path.glob("uploads/.image-processor/tmp/*")), "the beginning of the file")
        for second in (post_form(live, content, headers), live.post("/samples", headers=KEY)):
            assert (second.status_code, second.json()["code"]) == (409, "idempotency-key-in-use")
        slow.sendall(content[100_000:])
        answer = slow.recv(4096)
        while not answer.endswith(b"}"):  # until then the response may not be stored
            answer += slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 201")
    assert post_form(live, content, headers).headers["idempotent-replayed"] == "true"
    assert machine.ingest.uploads.bodies() == {"a.jpg": bytes(200_000)}


@pytest.mark.parametrize("content", [b"--x\r\n", b"no form"])
def test_the_answer_to_a_form_that_is_none_is_not_stored(
    machine: Machine, client: Client, content: bytes
) -> None:
    assert post_form(client, content, form()[1]).status_code == 400
    response = post_form(client, *form())
    assert response.status_code == 201
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"a cat"}


def test_of_strangers_only_what_a_signed_form_allows_is_stored(machine: Machine) -> None:
    """Otherwise they would push out the responses that others rely on."""
    text, token = create_token(Scope.WRITE, "site")
    machine.settings = replace(machine.settings, tokens=(token,))
    no_file = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\na.jpg\r\n--x--\r\n'
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        bearer = {"authorization": f"Bearer {text}"}
        signed = client.post("/uploads", json={"key": "a.jpg"}, headers=bearer).json()
        for headers, is_stored in ((form()[1], False), (form()[1] | bearer, True)):
            responses = [post_form(client, no_file, headers) for _ in range(2)]
            assert [response.status_code for response in responses] == [400, 400]
            assert ("idempotent-replayed" in responses[1].headers) is is_stored
        files = {"file": ("a.jpg", b"a cat")}
        for is_again in (False, True):
            response = client.post("/uploads", data=signed["fields"], files=files, headers=KEY)
            assert response.status_code == 201
            assert ("idempotent-replayed" in response.headers) is is_again


def test_asking_for_a_signed_form_is_not_stored(client: Client) -> None:
    for _ in range(2):
        response = client.post("/uploads", json={"key": "a.jpg"}, headers=KEY)
        assert response.status_code == 200
        assert "idempotent-replayed" not in response.headers


def test_a_form_without_end_is_not_compared_for_ever(client: Client) -> None:
    content, headers = form()
    post_form(client, content, headers)

    async def endless() -> AsyncIterator[bytes]:
        yield content[:-20]
        while True:
            yield bytes(1_000_000)

    assert post_form(client, endless(), headers).status_code == 422  # type: ignore[arg-type]


def test_a_long_response_is_passed_on_and_not_stored(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_BODY_BYTES", 10)
    for _ in range(2):
        response = client.post("/samples", headers=KEY)
        assert response.json()["key"] == "sample.jpg"
        assert "idempotent-replayed" not in response.headers


def test_the_description_has_the_header(client: Client) -> None:
    schema = client.get("/openapi.json").json()
    described = {
        path
        for path, operations in schema["paths"].items()
        for operation in operations.values()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
    }
    assert described == {*idempotency.PATHS, idempotency.FORM_PATH}


@pytest.fixture
def responses(tmp_path: Path) -> Iterator[StoredResponses]:
    stored = StoredResponses(tmp_path / "responses.sqlite", lambda: NOW[0])
    yield stored
    stored.close()


NOW = [0.0]


@pytest.mark.parametrize("is_running", [False, True])
def test_an_empty_file_takes_the_place_of_a_damaged_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_running: bool
) -> None:
    """It holds nothing for longer than a day, so it stops neither a start nor requests."""
    file = tmp_path / "responses.sqlite"
    before = StoredResponses(file)
    before.put("a", stored())
    if not is_running:
        before.close()
    for part in tmp_path.iterdir():
        part.write_bytes(os.urandom(part.stat().st_size))
    responses = before if is_running else StoredResponses(file)
    responses.put("b", stored(2))
    assert (responses.find("a"), responses.find("b")) == (None, stored(2))
    assert caplog.text.count("is damaged, and an empty one takes its place") == 1
    responses.close()
    assert StoredResponses(file).find("b") == stored(2)


def test_a_response_of_another_version_is_none(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    responses = StoredResponses(file)
    responses.put("a", stored())
    with sqlite3.connect(file) as other:
        other.execute("UPDATE responses SET response = x'80'")
    assert responses.find("a") is None
    responses.put("a", stored(2))
    assert responses.find("a") == stored(2)


def test_others_on_the_machine_cannot_read_responses(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    StoredResponses(file).put("a", stored())
    assert {part.stat().st_mode & 0o777 for part in tmp_path.iterdir()} == {0o600}


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"idempotency\.sqlite: "):
        StoredResponses(tmp_path / "no-such-folder" / "responses.sqlite")


def test_a_response_expires_after_a_day(responses: StoredResponses) -> None:
    NOW[0] = 1000.0
    responses.put("a", stored(1))
    NOW[0] += stored_responses.LIFETIME_SECONDS - 1
    assert responses.find("a") == stored(1)
    NOW[0] += 2
    assert responses.find("a") is None
    responses.put("a", stored(2))
    assert responses.find("a") == stored(2)


def test_only_the_newest_responses_are_kept(
    responses: StoredResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_responses, "MAX_RESPONSES", 2)
    for number in range(4):
        responses.put(str(number), stored(number))
    assert [responses.find(str(number)) for number in range(4)] == [None, None, stored(2), stored(3)]
