"""Host names, cross-site requests, security headers and limits of request bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api.middleware import MAX_BODY_BYTES, OriginGuard

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    ("host", "allowed", "name", "status"),
    [
        ("127.0.0.1", (), "localhost", 200),
        ("127.0.0.1", (), "LOCALHOST:8000", 200),
        ("127.0.0.1", (), "127.0.0.1:8000", 200),
        ("127.0.0.1", (), "[::1]:8000", 200),
        ("127.0.0.1", (), "evil.example", 421),
        ("127.0.0.1", (), "localhost.evil.example", 421),
        ("127.0.0.1", (), "evil.example:80@localhost", 421),
        ("127.0.0.1", (), "localhost/evil.example", 421),
        ("127.0.0.1", (), "localhost:port", 421),
        ("127.0.0.1", (), "[::1]evil.example", 421),
        ("127.0.0.1", (), "192.168.1.5", 421),
        ("127.0.0.1", (), "", 421),
        ("127.0.0.1", (), "[::1", 421),
        ("127.0.0.1", ("pictures.example",), "Pictures.Example", 200),
        ("192.168.1.5", (), "192.168.1.5:8000", 200),
        ("192.168.1.5", (), "192.168.1.6:8000", 421),
        ("0.0.0.0", (), "192.168.1.5", 200),
        ("::", (), "[fe80::1]:8000", 200),
        ("0.0.0.0", (), "evil.example", 421),
    ],
)
def test_only_host_names_of_this_server_are_accepted(
    machine: Machine, host: str, allowed: tuple[str, ...], name: str, status: int
) -> None:
    machine.settings = replace(machine.settings, host=host, allowed_hosts=allowed)
    with asyncio.Runner() as runner:
        response = Client(machine.app(), runner).get("/health", headers={"host": name})
    assert response.status_code == status
    if status == 421:
        assert response.json()["code"] == "unknown-host"
        assert "IMAGE_PROCESSOR_ALLOWED_HOSTS" in response.json()["fix"]


OURS = {"host": "localhost:8000", "origin": "http://localhost:8000"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        (OURS, 201),
        ({**OURS, "sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({**OURS, "sec-fetch-site": "cross-site"}, 403),
        ({**OURS, "origin": "http://localhost:3000"}, 403),
        ({**OURS, "origin": "http://evil.example"}, 403),
        ({**OURS, "origin": "null"}, 403),
        ({**OURS, "origin": ""}, 403),
        ({**OURS, "origin": "http://["}, 403),
    ],
)
def test_a_page_of_another_site_cannot_write(
    machine: Machine, client: Client, headers: dict[str, str], status: int
) -> None:
    response = client.put("/uploads/a", content=b"a", headers=headers)
    assert response.status_code == status
    assert set(machine.ingest.uploads.bodies()) == ({"a"} if status == 201 else set())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_every_unsafe_method_is_checked(client: Client, method: str) -> None:
    response = client.request(method, "/samples", headers={"sec-fetch-site": "cross-site"})
    assert (response.status_code, response.json()["code"]) == (403, "cross-site")


def test_a_page_may_be_opened_from_anywhere(client: Client) -> None:
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/static/studio.js", "/images?limit=0"])
def test_every_response_has_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path, headers={"origin": "http://evil.example"}).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] in {"no-cache", "no-store"}
    assert not [name for name in headers if name.startswith("access-control-")]


def test_other_bodies_than_uploads_are_limited(client: Client) -> None:
    fits = client.post("/images", content=b"[" + b" " * (MAX_BODY_BYTES - 2) + b"]")
    assert fits.status_code == 415
    response = client.post("/images", content=b"[" + b" " * (MAX_BODY_BYTES - 1) + b"]")
    assert (response.status_code, response.json()["code"]) == (413, "content-too-large")


def test_other_bodies_than_uploads_need_a_length(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:  # httpx sends an iterator without a length
        yield b"{}"

    response = client.post("/images", content=chunks())
    assert (response.status_code, response.json()["code"]) == (411, "length-required")


@pytest.mark.parametrize("path", ["/images/x/focus", "/nothing", "/uploads"])
def test_only_uploads_are_exempt_from_the_limits_of_bodies(client: Client, path: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    json = {"content-type": "application/json"}
    large = client.put(path, content=b" " * (MAX_BODY_BYTES + 1), headers=json)
    assert (large.status_code, large.json()["code"]) == (413, "content-too-large")
    endless = client.put(path, content=chunks(), headers=json)
    assert (endless.status_code, endless.json()["code"]) == (411, "length-required")


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nothing", 404, "there is nothing at /nothing"),
        ("GET", "/static/nothing.js", 404, "there is nothing at /static/nothing.js"),
        ("GET", "/static/../app.py", 404, ""),
        ("GET", "/static/%2e%2e/http_api/app.py", 404, ""),
        ("PATCH", "/images", 405, "expected GET, HEAD, POST at /images, got PATCH"),
        ("POST", "/renditions/a", 405, "expected GET, HEAD, OPTIONS at /renditions/a, got POST"),
        ("GET", "/images/", 404, ""),
    ],
)
def test_unknown_paths_and_methods(client: Client, method: str, path: str, status: int, detail: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert detail in response.json()["detail"]
    if status == 405:
        assert f"expected {response.headers['allow']} at" in detail
    else:
        assert "openapi.json" in response.json()["fix"]


def test_an_error_in_the_middleware_is_a_problem_document_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OriginGuard, "_rejection", lambda *_: 1 / 0)
    response = client.get("/health")
    assert (response.status_code, response.json()["code"]) == (500, "internal-server-error")
    assert response.headers["content-security-policy"] == POLICY


def test_a_path_cannot_add_lines_to_the_log_of_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OriginGuard, "_rejection", lambda *_: 1 / 0)
    assert client.get("/a%0Aforged").status_code == 500
    (message,) = [r.getMessage() for r in caplog.records if "unexpected error" in r.getMessage()]
    assert "forged" in message
    assert "\n" not in message
