"""Pages of other sites: none may use the API by default; those of a setting may, with a token."""

from __future__ import annotations

import asyncio

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api.sessions import COOKIE
from image_processor.config.settings import Settings, from_environment
from image_processor.config.tokens import Scope, create_token
from image_processor.domain.errors import InvalidSettings

SITE = "https://shop.example"
OTHER = "https://evil.example"
TEXT, TOKEN = create_token(Scope.WRITE, "site")
BEARER = {"authorization": f"Bearer {TEXT}"}
PREFLIGHT = {
    "access-control-request-method": "PUT",
    "access-control-request-headers": "authorization,content-type",
}
PAGE = {"origin": SITE, "sec-fetch-site": "cross-site"}


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.settings = replace(machine.settings, api_origins=(SITE,), tokens=(TOKEN,))
    return machine


def test_a_preflight_of_the_site_is_answered_without_a_token(client: Client) -> None:
    response = client.request("OPTIONS", "/uploads/a.jpg", headers={**PREFLIGHT, "origin": SITE})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == SITE
    assert "PUT" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in response.headers


def test_a_preflight_of_another_site_is_refused(client: Client) -> None:
    response = client.request("OPTIONS", "/uploads/a.jpg", headers={**PREFLIGHT, "origin": OTHER})
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


def test_a_page_of_the_site_uploads_and_reads_with_a_token(client: Client) -> None:
    put = client.put("/uploads/a.jpg", content=b"a cat", headers={**PAGE, **BEARER})
    assert put.status_code == 201
    assert put.headers["access-control-allow-origin"] == SITE
    assert "etag" in put.headers["access-control-expose-headers"].lower()
    listed = client.get("/images", headers={**PAGE, **BEARER})
    assert (listed.status_code, listed.headers["access-control-allow-origin"]) == (200, SITE)


def test_errors_can_be_read_by_the_site_too(client: Client) -> None:
    response = client.get("/images", headers=PAGE)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, SITE)


def test_other_sites_may_not_write_even_with_a_token(client: Client) -> None:
    headers = {"origin": OTHER, "sec-fetch-site": "cross-site", **BEARER}
    assert client.put("/uploads/a.jpg", content=b"a cat", headers=headers).status_code == 403


def test_the_cookie_of_the_studio_is_not_for_the_site(client: Client) -> None:
    own = {"origin": "http://localhost:8000", "host": "localhost:8000", "sec-fetch-site": "same-origin"}
    opened = client.request("POST", "/session", json={"token": TEXT}, headers=own)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(COOKIE)
    response = client.put("/uploads/a.jpg", content=b"a cat", headers={**PAGE, "cookie": cookie})
    assert response.status_code == 401


def test_renditions_keep_their_own_setting(client: Client) -> None:
    response = client.get("/renditions/a.jpg/none", headers={"origin": SITE})
    assert "access-control-allow-origin" not in response.headers


def test_urls_of_dialects_are_of_renditions_too(machine: Machine) -> None:
    """A hit, which is answered before the middleware, has the same headers as the response before it."""
    machine.settings = replace(machine.settings, dialects=("imgix",), allow_unsigned=True)
    machine.ingest.put("a.jpg", b"cat")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for path in ("/a.jpg?w=10&fm=webp", "/a.jpg", "/images/none"):
            response = client.get(path, headers={**PAGE, **BEARER})
            is_of_api = path.startswith("/images")
            assert ("access-control-allow-origin" in response.headers) is is_of_api, path
        preflight = client.options("/a.jpg", headers={**PREFLIGHT, "origin": SITE})
        assert "access-control-allow-origin" not in preflight.headers


def test_a_repeated_response_is_for_nobody_elses_pages(client: Client) -> None:
    key = {"idempotency-key": "a", **BEARER}
    first = client.post("/samples", headers={**PAGE, **key})
    assert first.headers["access-control-allow-origin"] == SITE
    again = client.post("/samples", headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert "access-control-allow-origin" not in again.headers


def test_origins_are_read_from_the_settings() -> None:
    read = from_environment({"IMAGE_PROCESSOR_API_ORIGINS": f"{SITE}, http://localhost:3000"})
    assert read.api_origins == (SITE, "http://localhost:3000")
    assert Settings().api_origins == ()


@pytest.mark.parametrize("text", ["*", "shop.example", "https://shop.example/path", "null"])
def test_anything_but_an_origin_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="API_ORIGINS"):
        from_environment({"IMAGE_PROCESSOR_API_ORIGINS": text})
