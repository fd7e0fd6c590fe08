"""Requests that try to pass for others: by their path, their form, their key or their token."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace
from python_multipart.multipart import MultipartParser

from image_processor.api.access import ACCESS
from image_processor.api.form_digest import FormDigest
from support.waiting import wait_for

# Paths -----------------------------------------------------------------------------------------------

FIXED_ENDS = [(method, path) for method, path, _ in ACCESS if not path.endswith("}") and path != "/static"]


@pytest.mark.parametrize(("method", "path"), FIXED_ENDS)
def test_a_line_feed_at_its_end_makes_a_path_another_one(client: Client, method: str, path: str) -> None:
    url = re.sub(r"{\w+}", "no-such-thing", path)
    response = client.request(method, f"{url}%0A", json={})
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert response.json()["detail"] == f"there is nothing at {url + chr(10)!r}"


def test_a_line_feed_at_the_end_of_a_file_of_the_page_makes_it_another_one(client: Client) -> None:
    assert client.get("/static/licences.txt").status_code == 200
    assert client.get("/static/licences.txt%0A").status_code == 404


def test_a_key_may_end_with_a_line_feed(machine: Machine, client: Client) -> None:
    assert client.put("/uploads/a.jpg%0A", content=b"a").status_code == 201
    assert machine.ingest.uploads.bodies() == {"a.jpg\n": b"a"}


def test_no_way_of_writing_the_path_of_event_streams_passes_their_limit(
    machine: Machine, request: pytest.FixtureRequest
) -> None:
    machine.settings = replace(machine.settings, event_streams_per_client=2)
    address = request.getfixturevalue("address")
    with ExitStack() as stack:

        def follow(path: str) -> None:
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert connection.recv(12) in {b"HTTP/1.1 200", b"HTTP/1.1 404"}

        for _ in range(3):
            for path in ("/events", "/%65vents", "/events%0A", "/events?a"):
                follow(path)

        def running() -> int:
            cycles = [protocol.cycle for protocol in machine.server.server_state.connections]
            return sum(cycle is not None and not cycle.response_complete for cycle in cycles)

        wait_for(lambda: running() <= 2, "two streams")


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH"])
def test_a_header_with_another_method_lets_no_other_site_in(client: Client, method: str) -> None:
    """HEAD is safe elsewhere. Here it ends the request that is sending the upload's bytes."""
    headers = {"tus-resumable": "1.0.0", "x-http-method-override": method, "origin": "http://evil.example"}
    response = client.post("/resumable/" + 32 * "0", headers=headers)
    assert (response.status_code, response.headers["tus-resumable"]) == (403, "1.0.0")


# Idempotency-Key: two requests with one digest ------------------------------------------------------

KEY = {"idempotency-key": "a"}


def test_a_line_feed_in_the_path_is_none_before_the_body(machine: Machine, client: Client) -> None:
    machine.ingest.put("a.jpg", b"a")
    body = b'{"key": "a.jpg"}'
    headers = {**KEY, "content-type": "application/json"}
    assert client.post("/images", content=b"\n" + body, headers=headers).status_code == 200
    assert client.post("/images%0A", content=body, headers=headers).json()["code"] == "idempotency-key-reused"


def digest(*parts: tuple[dict[str, str], bytes], boundary: str = "x", step: int = 10_000) -> bytes | None:
    """The digest of a form with these headers and contents, whose bytes come ``step`` at a time."""
    body = b"".join(
        b"--%s\r\n" % boundary.encode()
        + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        + b"\r\n"
        + content
        + b"\r\n"
        for headers, content in parts
    )
    body += f"--{boundary}--\r\n".encode()
    form = FormDigest(f"multipart/form-data; boundary={boundary}")
    for start in range(0, len(body), step):
        form.add(body[start : start + step])
    return form.digest()


NAMED = {"Content-Disposition": 'form-data; name="file"'}
FORMS: dict[str, Any] = {
    "plain": [(NAMED, b"a")],
    "a letter of the name in the value": [({**NAMED, "X-A": "bc"}, b"a")],
    "a letter of the value in the name": [({**NAMED, "X-Ab": "c"}, b"a")],
    "two headers": [({**NAMED, "X": "a", "Y": "b"}, b"a")],
    "one header that looks like two": [({**NAMED, "X": "aYb"}, b"a")],
    "headers in another order": [({"X": "a", **NAMED, "Y": "b"}, b"a")],
    "no headers": [({}, b"a")],
    "a header as the content": [({}, b'Content-Disposition: form-data; name="file"\r\n\r\na')],
    "two parts": [(NAMED, b"a"), (NAMED, b"a")],
    "an empty part": [(NAMED, b"a"), (NAMED, b"")],
}


def test_two_forms_have_two_digests() -> None:
    digests = {name: digest(*parts) for name, parts in FORMS.items()}
    assert None not in digests.values()
    assert len(set(digests.values())) == len(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_neither_the_boundary_nor_the_pieces_of_a_form_matter(name: str) -> None:
    expected = digest(*FORMS[name])
    assert digest(*FORMS[name], boundary="another") == expected
    assert digest(*FORMS[name], step=1) == expected


def test_a_form_of_empty_parts_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred megabytes of them would take the event loop for twenty seconds."""
    parts = [(NAMED, b"")] * 5_000
    assert digest(*parts) is None
    assert digest((NAMED, bytes(1_000_000))) is not None
    read = []
    write = MultipartParser.write
    monkeypatch.setattr(MultipartParser, "write", lambda self, data: read.append(data) or write(self, data))
    digest(*parts, step=65_536)
    assert len(read) == 5


def test_names_of_headers_have_no_case() -> None:
    assert digest(({"x-a": "b"}, b"a")) == digest(({"X-A": "b"}, b"a"))
