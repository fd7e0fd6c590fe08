"""Uploads by multipart/form-data: as browsers and curl -F send them, and with signed forms."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from http_machine import Client, Machine
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.api.multipart import MAX_FIELD_BYTES, MAX_OUTSIDE_BYTES, FormFile
from image_processor.api.upload_forms import VALIDITY_SECONDS, UploadForms
from image_processor.config.tokens import Scope, create_token
from image_processor.domain.errors import Invalid, SignatureExpired, SignatureMismatch
from image_processor.domain.keys import image_id

LIMIT = 1_000_000
FORM = "multipart/form-data; boundary=x"
TOKENS = {scope: create_token(scope, scope.value) for scope in Scope}


def part(body: bytes | str, name: str, file_name: str | None = None) -> bytes:
    file = "" if file_name is None else f'; filename="{file_name}"'
    data = body.encode() if isinstance(body, str) else body
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x--\r\n"


def post(client: Client, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.request("POST", "/uploads", content=body, headers={"content-type": FORM, **(headers or {})})


def stored(machine: Machine) -> dict[str, bytes]:
    return {entry.key: machine.ingest.uploads.get(entry.key).body for entry in machine.ingest.uploads.list()}


# ---------------------------------------------------------------------- PUT
def test_the_file_of_a_form_is_stored_and_not_its_envelope(machine: Machine, client: Client) -> None:
    body = form(part(b"a cat", "file", "other-name.jpg"))
    response = client.put("/uploads/cat.jpg", content=body, headers={"content-type": FORM})
    assert (response.status_code, response.json()["bytes"]) == (201, 5)
    assert stored(machine) == {"cat.jpg": b"a cat"}


# ---------------------------------------------------------------------- POST
@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "cat.jpg"),
        ({"key": "photos/tom.jpg"}, "photos/tom.jpg"),
        ({"key": "photos/${filename}"}, "photos/cat.jpg"),
        ({"other": "field"}, "cat.jpg"),
    ],
)
def test_a_form_names_the_key_or_its_file_does(
    machine: Machine, client: Client, fields: dict[str, str], key: str
) -> None:
    parts = [part(value, name) for name, value in fields.items()]
    response = post(client, form(*parts, part(b"a cat", "file", "cat.jpg")))
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/images/{image_id('uploads', key)}"
    assert stored(machine) == {key: b"a cat"}


@pytest.mark.parametrize("name", ["C:\\\\photos\\\\cat.jpg", "../../cat.jpg", "/etc/cat.jpg"])
def test_only_the_last_part_of_a_file_name_counts(machine: Machine, client: Client, name: str) -> None:
    assert post(client, form(part(b"a cat", "file", name))).status_code == 201
    assert stored(machine) == {"cat.jpg": b"a cat"}


WHOLE = form(part(b"a cat", "file", "cat.jpg"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (form(part("photos/x.jpg", "key")), "a form with a file"),
        (form(part(b"a", "file", "a.jpg"), part(b"b", "file", "b.jpg")), "one file"),
        (form(part(b"a", "file", "a.jpg"), part("b.jpg", "key")), "the field key before the file"),
        (WHOLE[:-8], "a whole form"),
        (WHOLE[:-20], "a whole form"),
        (b"no form at all", "a form as RFC 7578 has it"),
        (form(part("x" * 2 * MAX_FIELD_BYTES, "long"), part(b"a", "file", "a.jpg")), "bytes of fields"),
        (form(part(b"a", "file", "a.jpg"), part("x" * 2 * MAX_FIELD_BYTES, "long")), "bytes of fields"),
    ],
)
def test_a_form_that_is_not_right_stores_nothing(
    machine: Machine, client: Client, body: bytes, expected: str
) -> None:
    response = post(client, body)
    assert response.status_code == 400
    assert expected in response.json()["problems"][0]["expected"]
    assert stored(machine) == {}


def test_a_form_without_a_boundary_is_400(machine: Machine, client: Client) -> None:
    response = post(client, WHOLE, {"content-type": "multipart/form-data"})
    assert response.status_code == 400
    assert "boundary" in response.json()["problems"][0]["expected"]
    assert stored(machine) == {}


@pytest.mark.parametrize("boundary", ["", '""', "x" * 257, '"' + "x" * 257 + '"'])
def test_a_boundary_that_is_none_is_400(machine: Machine, client: Client, boundary: str) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    for response in (
        client.post("/uploads", content=b"--x--", headers=headers),
        client.put("/uploads/a.jpg", content=b"--x--", headers=headers),
    ):
        assert response.status_code == 400
        assert "a boundary of 1-256 bytes" in response.json()["problems"][0]["expected"]
    assert machine.ingest.uploads.bodies() == {}


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        (b"", "the body", "JSON"),
        (b"{", "the body", "JSON"),
        (b"\xff", "the body", "JSON"),
        (b"[]", "the body", "a JSON object"),
        (b"1", "the body", "a JSON object"),
        (b"{}", "key", "a key: 1-1024 bytes of UTF-8 text"),
        (b'{"key": 1}', "key", "a key: 1-1024 bytes of UTF-8 text"),
        (b'{"key": "a.jpg", "name": "b"}', "name", "a name that exists here"),
    ],
)
def test_a_body_that_asks_for_no_form_is_400(client: Client, body: bytes, name: str, expected: str) -> None:
    response = client.post("/uploads", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    (problem,) = response.json()["problems"]
    assert (problem["name"], problem["expected"]) == (name, expected)


def test_an_illegal_key_is_refused(machine: Machine, client: Client) -> None:
    response = post(client, form(part("x" * 2000, "key"), part(b"a", "file", "a.jpg")))
    assert (response.status_code, stored(machine)) == (400, {})


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 201), (LIMIT + 1, 413)])
def test_the_limit_is_of_the_file(machine: Machine, live: httpx.Client, size: int, status: int) -> None:
    files = {"file": ("large.jpg", b"x" * size)}
    assert live.post("/uploads", files=files).status_code == status
    assert {key: len(body) for key, body in stored(machine).items()} == (
        {"large.jpg": size} if status == 201 else {}
    )


def test_an_empty_file_is_refused(machine: Machine, client: Client) -> None:
    assert post(client, form(part(b"", "file", "a.jpg"))).status_code == 422
    assert stored(machine) == {}


def test_another_sites_form_is_refused(machine: Machine, client: Client) -> None:
    assert post(client, WHOLE, {"origin": "https://evil.example"}).status_code == 403
    assert stored(machine) == {}


def test_conditions_hold_for_forms(machine: Machine, client: Client) -> None:
    assert post(client, WHOLE, {"if-none-match": "*"}).status_code == 201
    assert post(client, WHOLE.replace(b"cat\r", b"dog\r"), {"if-none-match": "*"}).status_code == 412
    assert stored(machine) == {"cat.jpg": b"a cat"}


class Parts:
    """A body in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def next(self) -> bytes:
        return next(self._pieces, b"")


def read(pieces: list[bytes]) -> tuple[dict[str, str], str | None, bytes]:
    async def run() -> tuple[dict[str, str], str | None, bytes]:
        file = FormFile(Parts(pieces), FORM)
        await file.open()
        body = b""
        while chunk := await file.next():
            body += chunk
        return file.fields, file.file_name, body

    coroutine = run()
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: tuple[dict[str, str], str | None, bytes] = ended.value
        return result
    raise AssertionError("it waited")


@settings(max_examples=60)
@given(
    st.binary(max_size=200),
    st.text(max_size=20).filter(lambda text: "\r" not in text and "\n" not in text),
    st.lists(st.integers(1, 400), max_size=6),
)
def test_a_form_reads_alike_however_it_is_cut(body: bytes, value: str, cuts: list[int]) -> None:
    if b"\r\n--x" in b"\r\n" + body:
        return
    whole = form(part(value, "a"), part(body, "file", "cat.jpg"))
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(places)]
    assert read(pieces) == ({"a": value}, "cat.jpg", body)


@settings(max_examples=60)
@given(st.integers(0, len(WHOLE) - 3))
def test_a_cut_form_is_never_taken_for_a_whole_one(length: int) -> None:
    with pytest.raises(Invalid):
        read([WHOLE[:length]])


@pytest.mark.parametrize(
    ("first", "repeated"),
    [
        (b"", b"\r\n" * 2048),
        (b"", b"--x\r\n\r\n\r\n" * 400),
        (b"--x\r\n\r\n\r\n--x", b" " * 4096),
        (part(b"a cat", "file", "cat.jpg"), b"--x\r\n\r\n\r\n" * 400),
    ],
)
def test_a_form_does_not_go_on_beside_its_file(first: bytes, repeated: bytes) -> None:
    """Who sends it may not have shown a token or a signature yet."""
    pieces = [first, *[repeated] * (2 * MAX_OUTSIDE_BYTES // len(repeated))]
    with pytest.raises(Invalid, match=f"at most {MAX_OUTSIDE_BYTES} bytes in addition to the file"):
        read([piece for piece in pieces if piece])


def test_curl_sends_a_form(machine: Machine, live: httpx.Client, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("CURL WAS NOT TESTED: apt-get install curl")
    file = tmp_path / "cat.jpg"
    file.write_bytes(b"a cat" * 1000)
    command = [curl, "-sf", "-F", "key=photos/${filename}", "-F", f"file=@{file}", f"{live.base_url}/uploads"]
    subprocess.run(command, check=True, env={**os.environ, "NO_PROXY": "*"})
    assert stored(machine) == {"photos/cat.jpg": b"a cat" * 1000}


# ---------------------------------------------------------------------- Prefer
def test_an_upload_that_prefers_to_wait_says_how_it_ended(machine: Machine, client: Client) -> None:
    headers = {"prefer": "wait=30"}
    assert client.put("/uploads/a.jpg", content=b"a", headers=headers).json()["status"] == "processed"
    machine.gate.clear()
    headers = {"prefer": "wait=0"}
    assert client.put("/uploads/b.jpg", content=b"b", headers=headers).json()["status"] == "queued"
    machine.gate.set()


# ---------------------------------------------------------------------- signed forms
@pytest.fixture
def secured(machine: Machine) -> Machine:
    machine.settings = replace(machine.settings, tokens=tuple(token for _, token in TOKENS.values()))
    return machine


def bearer(scope: Scope) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[scope][0]}"}


def ask_for_form(client: Client, key: str, headers: dict[str, str]) -> httpx.Response:
    return client.request("POST", "/uploads", json={"key": key}, headers=headers)


def test_a_signed_form_uploads_its_key_without_a_token(secured: Machine, client: Client) -> None:
    signed = ask_for_form(client, "a.jpg", bearer(Scope.WRITE))
    assert signed.status_code == 200, signed.text
    assert signed.json()["url"] == "/uploads"
    fields = [part(value, name) for name, value in signed.json()["fields"].items()]
    assert post(client, form(*fields, part(b"a cat", "file", "b.jpg"))).status_code == 201
    assert stored(secured) == {"a.jpg": b"a cat"}


def test_a_changed_form_is_forbidden(secured: Machine, client: Client) -> None:
    fields = ask_for_form(client, "a.jpg", bearer(Scope.WRITE)).json()["fields"]
    for name in fields:
        changed = {**fields, name: fields[name][:-1] + ("0" if fields[name][-1] != "0" else "1")}
        parts = [part(value, name) for name, value in changed.items()]
        assert post(client, form(*parts, part(b"a", "file", "a.jpg"))).status_code == 403, name
    assert stored(secured) == {}


def test_only_who_may_upload_gets_a_form_or_uploads_one(secured: Machine, client: Client) -> None:
    assert ask_for_form(client, "a.jpg", {}).status_code == 401
    assert ask_for_form(client, "a.jpg", bearer(Scope.READ)).status_code == 403
    assert post(client, WHOLE).status_code == 401
    assert post(client, WHOLE, bearer(Scope.READ)).status_code == 403
    assert stored(secured) == {}
    assert post(client, WHOLE, bearer(Scope.WRITE)).status_code == 201


def test_a_key_that_is_not_fixed_is_not_signed(client: Client) -> None:
    response = ask_for_form(client, "photos/${filename}", {})
    assert response.status_code == 400
    assert response.json()["problems"][0]["expected"] == "a key without ${filename}"


def test_a_form_expires() -> None:
    now = [1000.0]
    forms = UploadForms(lambda: now[0])
    fields, expires = forms.sign("a.jpg")
    assert expires == 1000 + VALIDITY_SECONDS
    now[0] = expires - 1
    forms.verify(fields, "a.jpg")
    now[0] = expires
    with pytest.raises(SignatureExpired):
        forms.verify(fields, "a.jpg")


def test_a_form_of_another_server_is_not_valid() -> None:
    fields, _ = UploadForms().sign("a.jpg")
    with pytest.raises(SignatureMismatch):
        UploadForms().verify(fields, "a.jpg")
