"""The TypeScript client in a browser: a page of another origin uploads by a signed form, without a token, and
is told the progress."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import client_packages
import pytest
from client_site import SIGNING_KEY, Site, jpeg, site_of
from playwright.sync_api import Page, expect

from image_processor_client import Client, UrlBuilder
from support.chromium import chromium

WAIT = 60_000
"""Milliseconds until an expectation fails, enough for a busy machine."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page and the compiled client."""
    if not (client_packages.TYPESCRIPT / "node_modules").is_dir():
        message = "the tools of the TypeScript client are not installed: run `npm ci` in clients/typescript"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("pages") / "typescript"
    client_packages.compiled(folder)
    shutil.copy(Path(__file__).with_name("upload.html"), folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(pages: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose API pages of that origin may use."""
    with site_of(tmp_path_factory.mktemp("site"), IMAGE_PROCESSOR_API_ORIGINS=pages) as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with Client(site.address, token=site.token) as client:
        yield client


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


def test_a_page_uploads_by_a_form_and_shows_the_progress(
    pages: str, site: Site, client: Client, page: Page
) -> None:
    form = client.presign("from a page/ü.jpg")
    fields = {name: getattr(form, name) for name in ("id", "key", "url", "fields", "max_bytes")}

    def upload(body: bytes) -> dict[str, Any]:
        asked = {"url": site.address, "form": fields}
        page.goto("about:blank")
        page.goto(f"{pages}/upload.html#{quote(json.dumps(asked))}")
        page.set_input_files("input", {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": body})
        expect(page.locator("output")).not_to_be_empty(timeout=WAIT)
        told: dict[str, Any] = json.loads(page.locator("output").inner_text())
        return told

    told = upload(jpeg())
    assert (told["upload"]["id"], told["upload"]["bytes"]) == (form.id, len(jpeg()))
    sent, total = told["told"][-1]
    assert sent == total > len(jpeg())  # with the form around it
    assert told["signed"] == UrlBuilder(site.address, "k1:a-secret-of-the-browser").url("a.jpg", w=1)
    assert client.wait(form.id, timeout=60).original == "from a page/ü.jpg"
    assert upload(b"") == {"error": "Refused", "status": 422, "code": "refused"}
    fields["fields"] = {**form.fields, "key": "another.jpg"}
    assert upload(jpeg())["status"] == 403
    assert SIGNING_KEY not in page.content()
