"""The studio of a deployed stack: its page from its bucket, its uploads to S3, and the library of the API.

CloudFront is not emulated: a server on this machine passes requests on as the template's distribution does,
and refuses wrong keys as API Gateway does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zipfile import ZipFile

import pytest
import stack as stacks
import studio_page
from aws_cli import Aws
from pictures import picture
from playwright.sync_api import Page, Route, expect

from support.aws_emulation.deployed import ARCHITECTURE, Deployed
from support.aws_emulation.server import REGION, EmulatedAws
from support.aws_emulation.stacks import deploy
from support.chromium import chromium
from support.waiting import wait_for

API_PATHS = ("/images", "/uploads", "/folders", "/recipe", "/health")
"""The path patterns of the distribution's behaviours, which tests/deployment compares with the routes."""
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
SECONDS = 60_000


class Front(ThreadingHTTPServer):
    """What the distribution does. ``system`` and ``key`` are set when the stack is there."""

    system: Deployed
    key: str


class Handler(BaseHTTPRequestHandler):
    server: Front

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(API_PATHS):
            self._pass_on()
            return
        name = path.lstrip("/") or "index.html"
        found = self.server.system.s3.get_object(
            Bucket=self.server.system.outputs["StudioBucketName"], Key=name
        )
        assert found["CacheControl"] == "no-cache"
        assert found["ContentType"].partition(";")[0] == TYPES[name.rpartition(".")[2]], found["ContentType"]
        self._answer(200, found["ContentType"], found["Body"].read())

    def do_POST(self) -> None:
        self._pass_on()

    do_DELETE = do_POST  # noqa: N815 - the name that http.server calls

    def _pass_on(self) -> None:
        if self.headers.get("x-api-key") != self.server.key:
            self._answer(403, "application/problem+json", b'{"detail": "Forbidden", "code": "forbidden"}')
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        sent = {name: self.headers[name] for name in ("x-api-key", "content-type") if name in self.headers}
        response = self.server.system.api(self.command, self.path, headers=sent, content=body)
        self._answer(response.status_code, response.headers.get("content-type", ""), response.content)

    def _answer(self, status: int, type_: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", type_)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def front(aws: EmulatedAws, template: str, owner: Mapping[str, str]) -> Iterator[Front]:
    """A stack with a studio, and the server before it. deploy.sh would package all functions again; what it
    does after that, which tests/deployment shows, is done here."""
    parameters = {
        "Architecture": ARCHITECTURE,
        "EnableStudio": "true",
        "ApiAuthorization": "API_KEY",
        "EnableDelete": "true",
        "EnableDashboard": "false",
    }
    with Front(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as environment:
        origin = {"UploadOrigin": f"http://127.0.0.1:{server.server_port}"}
        server.system = Deployed(deploy(aws, "studio", template, parameters | origin))
        for name, value in owner.items():
            environment.setenv(name, value)
        owners_aws = Aws(REGION)
        deployed = stacks.find(owners_aws, "studio")
        assert deployed is not None
        assert studio_page.upload(owners_aws, deployed, parameters)
        client = aws.client("apigateway")
        server.key = client.get_api_key(apiKey=server.system.outputs["ApiKeyId"], includeValue=True)["value"]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def page(front: Front) -> Iterator[Page]:
    expect.set_options(timeout=SECONDS)
    with chromium() as browser:
        page = browser.new_page(base_url=f"http://127.0.0.1:{front.server_port}")
        page.add_init_script("window.showSaveFilePicker = undefined")  # nobody could use it
        page.route(f"{front.system.outputs['CdnUrl']}/**", lambda route: show_stored(front.system, route))
        page.goto("/")
        yield page


def show_stored(system: Deployed, route: Route) -> None:
    """What the CDN does for a stored rendition, with the template's RenditionOrigin."""
    found = system.rendition(unquote(urlsplit(route.request.url).path.lstrip("/")))
    shared = {"access-control-allow-origin": "*"}
    route.fulfill(body=found["Body"], content_type=found["ContentType"], headers=shared)


def sign_in(page: Page, front: Front) -> None:
    page.get_by_label("Token").fill(front.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def expect_keys(page: Page, *keys: str) -> None:
    """The cards are those of ``keys``, in any order."""
    expect(page.locator(".card")).to_have_count(len(keys))
    for key in keys:
        expect(page.locator(f'.card[data-key="{key}"]')).to_be_visible()


def is_stored(front: Front, key: str) -> bool:
    found = front.system.s3.list_objects_v2(Bucket=front.system.uploads, Prefix=key)
    return any(row["Key"] == key for row in found.get("Contents", ()))


def downloaded(page: Page, content: str) -> dict[str, bytes]:
    """The files of the selected images, in the archive that the page makes."""
    with page.expect_download() as download:
        page.locator("#selection").get_by_role("button", name=f"Download {content}").click()
    with ZipFile(download.value.path()) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_files_are_uploaded_by_signed_forms_and_shown_with_their_renditions(page: Page, front: Front) -> None:
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, front)
    body = picture(300, 200)
    for key in ("pier.png", "pier-2.png"):  # the name is taken the second time
        page.locator("#files").set_input_files({"name": "pier.png", "mimeType": "image/png", "buffer": body})
        card = page.locator(f'.card[data-key="{key}"]')
        expect(card).to_have_attribute("data-status", "processed")
        expect(card.locator(".picture.loaded")).to_be_visible()
        assert front.system.s3.get_object(Bucket=front.system.uploads, Key=key)["Body"].read() == body
    page.reload()  # the key is kept for this tab
    expect(page.locator(".card .picture.loaded")).to_have_count(2)
    page.locator('.card[data-key="pier.png"] a.open').click()
    expect(page.locator("#details .renditions tbody tr").first).to_be_visible()
    assert page.get_by_role("button", name="Try transformations").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "pier.png"
    assert Path(download.value.path()).read_bytes() == body
    expect(page.locator("#delete")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.evaluate("sessionStorage.length + document.cookie.length") == 0


def test_the_library_is_searched_filtered_and_images_are_deleted(page: Page, front: Front) -> None:
    sign_in(page, front)
    bodies = {"harbour.png": picture(300, 200), "lake.png": picture(200, 300), "words.png": b"words"}
    chosen = [{"name": name, "mimeType": "image/png", "buffer": body} for name, body in bodies.items()]
    page.locator("#files").set_input_files(chosen)
    for key, status in zip(bodies, ("processed", "processed", "refused"), strict=True):
        expect(page.locator(f'.card[data-key="{key}"]')).to_have_attribute("data-status", status)
    page.get_by_placeholder("Search by name").fill("ARBO")
    expect_keys(page, "harbour.png")
    page.reload()  # the search is in the address
    expect_keys(page, "harbour.png")
    page.get_by_role("button", name="Clear").click()
    page.locator(".choices").get_by_text("Refused").click()
    expect_keys(page, "words.png")
    expect(page.locator(".card .reason")).to_have_text("This is not an image.")
    page.get_by_placeholder("Search by name").fill("lake")
    expect(page.locator("#nothing")).to_contain_text("No image matches.")
    page.locator(".choices").get_by_text("Ready").click()
    expect_keys(page, "lake.png")
    page.get_by_label("Added").select_option("Last 24 hours")
    expect_keys(page, "lake.png")
    assert "date=day" in page.url
    # What its index cannot do is not offered.
    assert page.get_by_label("Order").count() == page.get_by_label("Format").count() == 0
    page.get_by_role("checkbox", name="lake.png").check()
    assert downloaded(page, "originals") == {"lake.png": bodies["lake.png"]}
    made = {key: front.system.rendition(key)["Body"] for key in front.system.renditions("lake.png")}
    assert downloaded(page, "renditions") == made

    page.locator("#selection").get_by_role("button", name="Delete").click()
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect_keys(page, "lake.png")
    assert is_stored(front, "lake.png")
    page.locator(".card a.open").click()
    page.locator("#delete").click()
    expect(page.locator("#nothing")).to_be_visible()
    page.goto("about:blank")  # what cannot be undone any more is done
    wait_for(lambda: not is_stored(front, "lake.png"), "the deletion")
    assert is_stored(front, "harbour.png")
