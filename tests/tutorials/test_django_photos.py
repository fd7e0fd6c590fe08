"""docs/learn/django-photos.md: its commands, its own tests, and an upload in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from tutorial import ROOT, Tutorial


def test_a_user_uploads_and_everybody_sees(
    tutorial: Callable[..., Tutorial],
    page: Page,
    picture: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "clients" / "python" / "src"))
    followed = tutorial("django-photos")
    followed.follow(until="shell -c")
    password = followed.run("echo $DJANGO_SUPERUSER_PASSWORD").strip()
    (followed.example / "fake.jpg").write_text("not an image")

    page.goto(f"{followed.address(8080)}/upload/")
    page.get_by_label("Username").fill("anna")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    upload(page, followed, "fake.jpg", "A fake")
    expect(page.locator(".errorlist")).to_contain_text("not-an-image")
    upload(page, followed, "cat.jpg", "A cat")
    expect(page.get_by_text("A cat, by anna")).to_be_visible()
    page.wait_for_function("document.querySelector('img').naturalWidth > 0")
    shown = page.evaluate("document.querySelector('img').currentSrc")
    assert shown.startswith(f"{followed.address(8000)}/renditions/photos/20")
    assert "&s=" in shown
    picture("django-photos")

    shown = followed.run(
        "python manage.py shell -c 'from photos.models import *; print(Photo.objects.count())'"
    )
    assert shown.split()[-1] == "1"
    followed.follow()


def upload(page: Page, tutorial: Tutorial, name: str, title: str) -> None:
    page.get_by_label("Image").set_input_files(tutorial.example / name)
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Upload").click()
