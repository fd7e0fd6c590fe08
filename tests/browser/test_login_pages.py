"""Signing in to the studio on AWS at the login pages of a user pool: a real exchange of codes with PKCE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from login_pages import CLIENT, LoginPages, hosted
from playwright.sync_api import Browser, Page, expect
from serving import Site
from test_accessibility import axe
from test_library import card, png

from support.chromium import violations
from support.waiting import wait_for

__all__ = ["axe"]

SIGN_OUT = "Sign out"


@contextmanager
def window(browser: Browser, home: str, **options: object) -> Iterator[Page]:
    """A page that logs no error but refused requests."""
    context = browser.new_context(base_url=home, ignore_https_errors=True, **options)  # type: ignore[arg-type]
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    expected = re.compile(r"status of (400|401|404)|Failed to fetch|net::ERR_FAILED")
    assert [error for error in errors if not expected.search(error)] == []


@pytest.fixture
def pages(site: Site, tmp_path: Path) -> Iterator[LoginPages]:
    with hosted(site, tmp_path) as (pages, _):
        yield pages


@pytest.fixture
def page(browser: Browser, pages: LoginPages) -> Iterator[Page]:
    with window(browser, pages.home) as opened:
        opened.goto("/")
        yield opened


def sign_in(page: Page, pages: LoginPages) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{pages.address}/**")
    page.get_by_label("Name").fill("ada")
    page.get_by_role("button", name="Continue").click()


def stored(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate("({ ...sessionStorage, ...localStorage })")
    return found


def test_a_user_signs_in_and_is_where_they_were(page: Page, pages: LoginPages, site: Site) -> None:
    id_ = site.put("a.png", png(30, 20))
    site.put("b.jpg", b"words")
    page.goto(f"/?search=a.png#{id_}")
    sign_in(page, pages)
    expect(page.locator("#details-name")).to_have_text("a.png")
    expect(card(page, "a.png")).to_have_attribute("data-status", "processed")
    expect(page.locator(".card")).to_have_count(1)
    assert page.url == f"{pages.home}?search=a.png#{id_}"
    assert pages.grants == ["authorization_code"]
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    assert not [name for name, value in stored(page).items() if "verifier" in value], "it is used up"
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=SIGN_OUT)).to_have_attribute(
        "title", "Signed in as ada, who may write"
    )
    page.reload()  # the tab stays signed in
    expect(card(page, "a.png")).to_be_visible()
    assert pages.grants == ["authorization_code"]


def test_a_token_is_renewed_before_it_ends(page: Page, pages: LoginPages, site: Site) -> None:
    site.put("a.png", png())
    pages.lifetime = 30  # the page renews it a minute before
    sign_in(page, pages)
    expect(card(page, "a.png")).to_be_visible()
    wait_for(lambda: pages.grants[1:], "a renewal")
    first = next(iter(pages.live))
    assert first not in stored(page).values()
    pages.lifetime = 3600
    pages.live.pop(first)
    page.reload()
    expect(card(page, "a.png")).to_be_visible()
    assert set(pages.grants[1:]) == {"refresh_token"}


def test_a_user_who_is_no_longer_let_in_is_asked_to_sign_in(
    page: Page, pages: LoginPages, site: Site
) -> None:
    site.put("a.png", png())
    pages.lifetime = 30
    sign_in(page, pages)
    expect(card(page, "a.png")).to_be_visible()
    pages.refresh.clear()
    pages.live.clear()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert stored(page) == {}
    assert page.locator(".card").count() == 0
    pages.lifetime = 3600
    sign_in(page, pages)
    expect(card(page, "a.png")).to_be_visible()


def test_signing_out_ends_the_session_of_the_login_pages(page: Page, pages: LoginPages) -> None:
    sign_in(page, pages)
    page.get_by_role("button", name=SIGN_OUT).click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert pages.logouts == [{"client_id": CLIENT, "logout_uri": pages.home}]
    assert pages.refresh == {}, "revoked"
    assert stored(page) == {}


def test_what_the_login_pages_say_against_it_is_shown(page: Page, pages: LoginPages, axe: str) -> None:
    pages.refusal = "Your account is disabled"
    sign_in(page, pages)
    expect(page.get_by_role("alert")).to_have_text("Signing in failed: Your account is disabled.")
    assert page.url == pages.home
    assert stored(page) == {}
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(axe)
        assert violations(page) == []
    pages.refusal = ""
    sign_in(page, pages)
    expect(page.get_by_role("button", name=SIGN_OUT)).to_be_visible()


def test_a_code_that_the_page_has_not_asked_for_is_not_used(page: Page, pages: LoginPages) -> None:
    page.goto("/?code=stolen&state=guessed")
    expect(page.get_by_role("alert")).to_have_text("This sign-in was begun in another tab. Sign in here.")
    assert page.url == pages.home
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{pages.address}/**")
    page.goto(f"{pages.home}?code=stolen&state=guessed")  # in a tab that has begun a sign-in
    expect(page.get_by_role("alert")).to_contain_text("Signing in failed")
    assert pages.grants == []


def test_a_stolen_code_is_worth_nothing_without_the_verifier(
    browser: Browser, page: Page, pages: LoginPages
) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{pages.address}/**")
    landed = page.request.post(page.url, form={"name": "ada"}, max_redirects=0).headers["location"]
    with window(browser, pages.home) as thief:
        thief.goto("/")
        thief.get_by_role("button", name="Sign in").click()
        thief.wait_for_url(f"{pages.address}/**")
        own = re.findall("state=([^&]+)", thief.url)[0]
        thief.goto(re.sub("state=[^&]+", f"state={own}", landed))
        expect(thief.get_by_role("alert")).to_have_text("Signing in failed: invalid_grant.")
    assert pages.live == {}


def test_a_reader_sees_no_way_to_change_images(page: Page, pages: LoginPages, site: Site) -> None:
    site.put("a.png", png())
    pages.scopes = "images/read"
    sign_in(page, pages)
    expect(card(page, "a.png")).to_be_visible()
    assert page.get_by_role("button", name="Add images").count() == 0
    card(page, "a.png").locator("a").click()
    expect(page.locator("#details")).to_be_visible()
    assert page.locator("#delete, #reprocess").count() == 0


def test_without_scopes_the_api_gets_the_id_token(browser: Browser, site: Site, tmp_path: Path) -> None:
    site.put("a.png", png())
    with hosted(site, tmp_path, resource="") as (pages, _), window(browser, pages.home) as page:
        page.goto("/")
        sign_in(page, pages)
        expect(card(page, "a.png")).to_be_visible()
        expect(page.get_by_role("button", name="Add images")).to_be_visible()
