"""docs/learn/browser-uploads.md: its commands, and both servers with the page in a browser."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect
from tutorial import Tutorial

from image_processor.domain.keys import image_id
from image_processor.standalone import BUCKET
from support.plain_http import NO_CERTIFICATES

RIGHT = '{"type": "image/png", "bytes": 5}'
JSON = {"content-type": "application/json"}


def test_visitors_upload_to_the_storage(
    tutorial: Callable[..., Tutorial], page: Page, picture: Callable[[str], None]
) -> None:
    followed = tutorial("browser-uploads")
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    followed.follow(until="ask()")
    upload(page, followed, "cat.jpg", "cat.jpg: ready")
    assert shown(page).startswith(f"{followed.address(8000)}/renditions/users/anna/")
    assert posted == [f"{followed.address(8080)}/upload-forms", f"{followed.address(8000)}/uploads"]
    picture("browser-uploads")
    store_photo_of_bella(followed)
    check(followed)

    followed.follow(until="rm -r")
    upload(page, followed, "cat.jpg", "cat.jpg: ready")
    assert shown(page).startswith(f"{followed.address(8000)}/renditions/users/anna/")
    upload(page, followed, "fake.jpg", "fake.jpg: expected")
    check(followed)
    followed.follow()


def upload(page: Page, tutorial: Tutorial, name: str, text: str) -> None:
    page.goto(tutorial.address(8080))
    page.set_input_files("#files", tutorial.example / name)
    expect(page.locator("#photos li")).to_contain_text(text)


def shown(page: Page) -> str:
    """The address of the rendition that the page shows."""
    page.wait_for_function("document.querySelector('#photos img').naturalWidth > 0")
    address: str = page.evaluate("document.querySelector('#photos img').currentSrc")
    return address


def store_photo_of_bella(tutorial: Tutorial) -> None:
    address = f"{tutorial.address(8000)}/uploads/users/bella/cat.jpg"
    tutorial.run(f'curl -s -H "authorization: Bearer $IMGP_TOKEN" -T cat.jpg {address}')


def check(tutorial: Tutorial) -> None:
    """The server signs forms for its own page only, and shows a visitor only own photos."""
    with httpx.Client(base_url=tutorial.address(8080), verify=NO_CERTIFICATES) as client:

        def post(content: str, headers: dict[str, str] = JSON) -> int:
            return client.post("/upload-forms", content=content, headers=headers).status_code

        assert post(RIGHT) == 200
        assert post(RIGHT, {**JSON, "sec-fetch-site": "cross-site"}) == 403
        assert post(RIGHT, {"content-type": "text/plain"}) == 403
        assert post("x") == post(f"[{RIGHT:2000}]") == post("3") == 400
        assert post('{"type": "toString", "bytes": 5}') == post('{"type": ["image/png"], "bytes": 5}') == 415
        assert post('{"type": "image/png", "bytes": true}') == post('{"type": "image/png"}') == 413
        assert client.get(f"/photos/{image_id(BUCKET, 'users/bella/cat.jpg')}").status_code == 404
        assert client.get("/photos/aaaa").status_code == client.get("/server.py").status_code == 404
        policy = client.get("/").headers["content-security-policy"]
    assert f"connect-src 'self' {tutorial.address(8000)}" in policy
