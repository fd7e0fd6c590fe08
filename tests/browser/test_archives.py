"""Archives that the page itself makes, on AWS: of files of the CDN and the bucket, with those named that it
could not read."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx
import pytest
import studio_page
from login_pages import API_PATHS, TYPES
from playwright.sync_api import Browser, Page, expect
from serving import Site
from test_library import png

from support.plain_http import NO_CERTIFICATES
from support.scripted_http import Reply, Seen, scripted
from support.studio_policy import studio_policy

KEY = "the-api-key"
NO_PICKER = "window.showSaveFilePicker = undefined"
PICKER = """window.showSaveFilePicker = async ({ suggestedName }) =>
    (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true })"""
"""Nobody can click in the browser's own window: the page's private folder stands in for the disk."""
SAVED = """async () => {
    const folder = await navigator.storage.getDirectory();
    const file = await folder.getFileHandle("images.zip").then((handle) => handle.getFile(), () => null);
    return file && btoa(String.fromCharCode(...new Uint8Array(await file.arrayBuffer())));
}"""


@dataclass
class Aws:
    """The studio's distribution with API Gateway behind it, and at other addresses the CDN and the bucket."""

    site: Site
    folder: Path
    home: str = ""
    cdn: str = ""
    bucket: str = ""
    faults: dict[str, list[Reply]] = field(default_factory=dict)
    """What is answered instead of a file whose address has this part: in order, the last again and again."""
    rewrite: dict[str, str] = field(default_factory=dict)
    """Patterns in what the API answers, and what stands in their place."""
    is_shared: bool = True
    """Whether scripts of the page may read renditions (RenditionOrigin)."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Files are sent while it is set."""

    def respond(self, seen: Seen) -> Reply:
        path = urlsplit(seen.target).path
        if path.startswith(API_PATHS):
            return self._api(seen)
        file = self.folder / (path.lstrip("/") or "index.html")
        if not file.is_file():
            return Reply(404)
        policy = studio_policy(self.bucket, self.cdn)
        headers = {"content-type": TYPES[file.suffix], "content-security-policy": policy}
        return Reply(body=file.read_bytes(), headers=headers)

    def _api(self, seen: Seen) -> Reply:
        if seen.headers.get("x-api-key") != KEY:
            return Reply(403, b'{"detail": "Forbidden"}', {"content-type": "application/json"})
        if found := re.fullmatch(r"/images/(\w+)/download", seen.target):
            return Reply(body=json.dumps({"url": f"{self.bucket}/images/{found[1]}/original"}).encode())
        answer = _get(self.site.url + seen.target)
        text = answer.text.replace('"/renditions/', f'"{self.cdn}/renditions/')
        for pattern, put in self.rewrite.items():
            text = re.sub(pattern, put, text)
        return Reply(answer.status_code, text.encode(), {"content-type": answer.headers["content-type"]})

    def store(self, seen: Seen) -> Reply:
        self.gate.wait()
        headers = {"access-control-allow-origin": self.home} if self.is_shared else {}
        for part, replies in self.faults.items():
            if part in seen.target:
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                return Reply(reply.status, reply.body, headers, reply.sent)
        answer = _get(self.site.url + seen.target)
        return Reply(answer.status_code, answer.content, headers)


def _get(url: str) -> httpx.Response:
    return httpx.get(url, verify=NO_CERTIFICATES)


@pytest.fixture
def aws(site: Site, tmp_path: Path) -> Iterator[Aws]:
    studio_page.write(tmp_path, "API_KEY", can_delete=True)
    found = Aws(site, tmp_path)
    found.gate.set()
    with scripted(Reply()) as front, scripted(Reply()) as cdn, scripted(Reply()) as bucket:
        found.home, found.cdn, found.bucket = front.address, cdn.address, bucket.address
        front.respond, cdn.respond, bucket.respond = found.respond, found.store, found.store
        yield found
        found.gate.set()


@pytest.fixture
def page(browser: Browser, aws: Aws) -> Iterator[Page]:
    context = browser.new_context(base_url=aws.home)
    context.add_init_script(NO_PICKER)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/")
    page.get_by_label("Token").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    yield page
    context.close()
    expected = re.compile(r"status of (400|403|404|503)|net::ERR_|blocked by CORS policy")
    assert [error for error in errors if not expected.search(error)] == []


def stored_renditions(site: Site) -> dict[str, bytes]:
    images = site.api.get("/images").json()["images"]
    made = [rendition for image in images for rendition in image["renditions"]]
    return {rendition["key"]: site.api.get(rendition["url"]).content for rendition in made}


def files_in(archive: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def select_all(page: Page, count: int) -> None:
    expect(page.locator(".card")).to_have_count(count)
    page.locator(".card .open").first.focus()
    page.keyboard.press("Control+a")
    expect(page.locator("#selection")).to_contain_text(f"{count}\u00a0image")


def download(page: Page, content: str) -> None:
    page.locator("#selection").get_by_role("button", name=f"Download {content}").click()


def saved(page: Page) -> bytes | None:
    found: str | None = page.evaluate(SAVED)
    return None if found is None else base64.b64decode(found)


@pytest.mark.parametrize("width", [390, 1440])
def test_the_files_of_selected_images_are_in_one_archive(page: Page, site: Site, width: int) -> None:
    bodies = {"a.png": png(60, 40), "in/b.png": png(30, 20, (90, 0, 0)), "words.txt": b"words"}
    site.put_all(bodies)
    page.set_viewport_size({"width": width, "height": 800})
    page.reload()
    select_all(page, 3)
    with page.expect_download() as renditions:
        download(page, "renditions")
    expect(page.locator("#toast")).to_contain_text(re.compile(r"images\.zip has \d+\s*files\."))
    assert files_in(Path(renditions.value.path()).read_bytes()) == stored_renditions(site)
    with page.expect_download() as originals:
        download(page, "originals")
    assert originals.value.suggested_filename == "images.zip"
    assert files_in(Path(originals.value.path()).read_bytes()) == bodies
    expect(page.locator("#archive")).to_have_count(0)


def test_an_archive_is_written_to_the_disk_as_it_comes(page: Page, site: Site) -> None:
    site.put_all({f"{number}.png": png(60, 40, (number, 0, 90)) for number in range(3)})
    page.add_init_script(PICKER)
    page.reload()
    select_all(page, 3)
    download(page, "renditions")
    expect(page.locator("#toast")).to_contain_text("images.zip has")
    archive = saved(page)
    assert archive is not None
    assert files_in(archive) == stored_renditions(site)


def box(page: Page, selector: str) -> tuple[float, float, float, float]:
    found = page.locator(selector).bounding_box()
    assert found is not None
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def expect_apart(page: Page, one: str, other: str) -> None:
    (left, top, right, bottom), (x, y, end, low) = box(page, one), box(page, other)
    assert right <= x or end <= left or bottom <= y or low <= top, (one, other)


@pytest.mark.parametrize("width", [390, 1440])
def test_files_that_cannot_be_read_are_named(page: Page, aws: Aws, site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    site.put_all({f"{number}.png": png(60, 40, (number, 0, 90)) for number in range(3)})
    expected = stored_renditions(site)
    gone, busy, cut = (next(key for key in expected if key.startswith(f"{name}.png")) for name in range(3))
    aws.faults = {
        gone: [Reply(404)],
        busy: [Reply(503), Reply(503), Reply(body=expected[busy])],
        cut: [Reply(body=expected[cut], sent=9), Reply(body=expected[cut])],
    }
    page.reload()
    select_all(page, 3)
    with page.expect_download() as found:
        download(page, "renditions")
    told = f"1 of {len(expected)}\u00a0files could not be read"
    expect(page.locator("#toast")).to_contain_text(f"{told}: {gone}.")
    tray = page.get_by_role("complementary", name="The ZIP file that you download")
    expect(tray).to_contain_text(told)
    expect(tray.get_by_role("listitem")).to_have_text(f"{gone} It does not exist any more.")
    expect_apart(page, ".toast", "#archive")
    expect_apart(page, "#selection", "#archive")
    expect_apart(page, ".state", "#sign-out")
    del expected[gone]
    assert files_in(Path(found.value.path()).read_bytes()) == expected
    tray.get_by_role("button", name="Dismiss").click()
    expect(tray).to_have_count(0)


def test_an_archive_is_cancelled(page: Page, aws: Aws, site: Site) -> None:
    site.put_all({f"{number}.png": png(60, 40, (number, 0, 90)) for number in range(3)})
    page.add_init_script(PICKER)
    page.reload()
    select_all(page, 3)
    aws.gate.clear()
    download(page, "renditions")
    expect(page.locator("#archive")).to_contain_text(re.compile(r"0 of \d+\s*files"))
    expect(page.locator("#selection").get_by_role("button", name="Download originals")).to_be_disabled()
    page.locator("#archive").get_by_role("button", name="Cancel").click()
    expect(page.locator("#toast")).to_contain_text("You stopped images.zip. Nothing of it is saved.")
    expect(page.locator("#archive")).to_have_count(0)
    assert saved(page) is None
    expect(page.locator("#selection").get_by_role("button", name="Download originals")).to_be_enabled()


def test_an_archive_that_the_browser_cannot_hold_is_refused_before_it_is_read(
    page: Page, aws: Aws, site: Site
) -> None:
    site.put("a.png", png(60, 40))
    aws.rewrite = {r'"bytes":\d+': '"bytes":80000000'}
    page.reload()
    select_all(page, 1)
    download(page, "renditions")
    expect(page.locator("#toast")).to_contain_text(
        re.compile(r"can save an archive of 500 MB, and these files have \d+ MB or more\. Select fewer")
    )


def test_a_cdn_whose_files_no_page_may_read_ends_the_archive(page: Page, aws: Aws, site: Site) -> None:
    site.put("a.png", png(60, 40))
    aws.is_shared = False
    page.reload()
    select_all(page, 1)
    download(page, "renditions")
    expect(page.locator("#toast")).to_contain_text(
        re.compile(r"No archive: not one of \d files could be read\. .* lets no page of this address")
    )
    expect(page.locator("#archive")).to_have_count(0)
