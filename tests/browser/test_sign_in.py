"""The page of a server that asks for tokens: signing in and out, and what readers see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from serving import Site, serving
from test_accessibility import axe
from test_library import png

from image_processor.config.tokens import Scope, create_token
from support.chromium import violations

MADE = {scope: create_token(scope, f"{scope}s") for scope in Scope}
TEXTS = {scope: text for scope, (text, _) in MADE.items()}
BELOW = "/tools/images"
__all__ = ["axe"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    tokens = ",".join(str(token) for _, token in MADE.values())
    with serving(tmp_path_factory.mktemp("server") / "data", TOKENS=tokens) as server:
        server.api.headers["authorization"] = f"Bearer {TEXTS[Scope.ADMIN]}"
        yield server


def sign_in(page: Page, scope: Scope) -> None:
    page.get_by_label("Token").fill(TEXTS[scope])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_stranger_sees_the_sign_in_alone(page: Page, site: Site, axe: str) -> None:
    site.put("secret.png", png(30, 20, (200, 0, 0, 255)))
    expect(page.get_by_label("Token")).to_be_focused()
    assert "secret" not in page.content()
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(axe)
        assert violations(page) == []
    page.get_by_label("Token").fill("imgp_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This server does not know that token.")
    assert page.context.cookies() == []


def test_somebody_who_may_write_signs_in_and_out(page: Page, site: Site) -> None:
    id_ = site.put("mine.png", png(30, 20, (200, 0, 0, 255)))
    page.goto(f"{page.url}#{id_}")
    sign_in(page, Scope.WRITE)
    expect(page.locator("#details #delete")).to_be_visible()  # the address is kept
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)
    assert page.evaluate("document.cookie + JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
    assert TEXTS[Scope.WRITE] not in page.content()
    page.keyboard.press("Escape")
    site.put("added.png", png(40, 20, (0, 0, 200, 255)))  # events need the cookie too
    expect(page.locator('.card[data-key="added.png"]')).to_have_attribute("data-status", "processed")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []
    assert page.request.get("/images").status == 401


def test_a_reader_sees_images_and_no_way_to_change_them(page: Page, site: Site) -> None:
    id_ = site.put("one.png", png(30, 20, (200, 0, 0, 255)))
    site.api.put("/uploads/words.png", content=b"words").raise_for_status()
    sign_in(page, Scope.READ)
    refused = page.locator('.card[data-key="words.png"]')
    expect(refused).to_have_attribute("data-status", "refused")
    expect(page.locator('.card[data-key="one.png"] .picture.loaded')).to_be_visible()
    assert refused.get_by_role("button").count() == 0
    assert page.get_by_role("button", name="Add images").count() == 0
    assert page.locator("#files, #folder, #dropping").count() == 0
    page.locator(f'a[href="#{id_}"]').click()
    expect(page.locator("#details")).to_be_visible()
    assert page.locator("#delete, #reprocess").count() == 0


def test_signing_out_in_one_window_ends_the_others(page: Page, site: Site) -> None:
    sign_in(page, Scope.READ)
    other = page.context.new_page()
    other.goto("/")
    expect(other.get_by_role("button", name="Sign out")).to_be_visible()
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_label("Token")).to_be_visible()
    site.put("secret.png", png())  # ends the stream of the page's events
    expect(page.get_by_label("Token")).to_be_visible()
    assert "secret" not in page.content()


class StrippingProxy(ThreadingHTTPServer):
    """A proxy that passes what is below BELOW on, and keeps the name under which it was asked."""

    target: Site


class ProxyHandler(BaseHTTPRequestHandler):
    server: StrippingProxy

    def do_GET(self) -> None:
        if not self.path.startswith(BELOW):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = self.server.target.url + self.path.removeprefix(BELOW)
        with httpx.stream(
            self.command, url, headers=dict(self.headers), content=body, timeout=None
        ) as answer:
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for chunk in answer.iter_raw():
                self.wfile.write(chunk)
                self.wfile.flush()

    do_POST = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        pass


def test_the_cookie_is_for_the_path_of_the_page_alone(browser: Browser, site: Site) -> None:
    with StrippingProxy(("127.0.0.1", 0), ProxyHandler) as proxy:
        proxy.target = site
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        page = browser.new_page()
        page.goto(f"{address}{BELOW}/")
        sign_in(page, Scope.READ)
        (cookie,) = page.context.cookies()
        assert cookie["path"] == BELOW
        expect(page.locator("#empty")).to_be_visible()  # so the listing was allowed
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert page.context.cookies() == []
        page.context.close()
        proxy.shutdown()
