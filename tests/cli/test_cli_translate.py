"""`translate` shows what URLs of other products mean here, and the share of a log that works."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from image_processor.bootstrap.commands import Commands
from image_processor.cli.commands import app
from image_processor.domain.errors import Invalid


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["translate", *arguments], obj=Commands())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://img.example/unsafe/300x200/filters:format(webp)/a%20b.jpg",
            "thumbor: a%20b.jpg?w=300&h=200&enlarge=1&fm=webp",
        ),
        # Signatures are not verified.
        (
            "/8ammJH8D-7tXy6kU3lTvoXlhu4o=/fit-in/300x200/filters:format(png)/a.jpg",
            "thumbor: a.jpg?w=300&h=200&fit=inside&fm=png",
        ),
        (
            "/AfrOrF3gWeDA6VOlDG4TzxMv39O7MXnF4CXpKUwGqRM/rs:fill:300:400/plain/a.jpg@webp",
            "imgproxy: a.jpg?w=300&h=400&fm=webp",
        ),
        (
            "https://res.cloudinary.com/demo/image/upload/s--AAAAAAAA--/c_fill,h_200,w_300/f_webp/v1/a.jpg",
            "cloudinary: a.jpg?w=300&h=200&enlarge=1&fm=webp",
        ),
        (
            "https://shop.example/_next/image?url=%2Fphotos%2Fa.jpg&w=640&q=70",
            "next: photos/a.jpg?w=640&q=70&fm=auto",
        ),
        ("/_vercel/image?url=%2Fa.jpg&w=640&q=70", "vercel: a.jpg?w=640&q=70&fm=auto"),
        (
            "/.netlify/images?url=/a.jpg&fit=cover&w=50&h=40&position=left&fm=webp",
            "netlify: a.jpg?w=50&h=40&g=west&fm=webp",
        ),
        ("/_next/image?url=%2Fa.jpg&w=640&q=75", "next: a.jpg?w=640&q=75&fm=auto\n"),
        ("/cdn-cgi/image/w=80,f=webp/a.jpg", "cloudflare: a.jpg?w=80&fm=webp"),
        ("/300x200/filters:format(webp)/a.jpg", "dit: a.jpg?w=300&h=200&enlarge=1&fm=webp"),
        (
            "https://x.imgix.net/a.jpg?w=300&h=200&fit=max&fm=webp&ixlib=js-3&s=0123456789abcdef0123456789abcdef",
            "imgix: a.jpg?w=300&h=200&fit=inside&fm=webp",
        ),
        ("/unsafe/fit-in/300x300/filters:equalize()/a.jpg", "(depends on the original)"),
    ],
)
def test_a_url_is_shown_as_ours(url: str, shown: str) -> None:
    done = run(url)
    assert done.exit_code == 0, done.output
    assert shown in done.output


def test_a_refused_url_says_why() -> None:
    done = run("/unsafe/filters:curve(1)/a.jpg", "/unsafe/10x/a.jpg")
    assert done.exit_code == 1
    assert "refused: expected one of autojpg, " in done.output
    assert "thumbor: a.jpg?w=10" in done.output


def test_what_is_no_url_is_named() -> None:
    assert "refused: expected a URL or a path" in run("http://[/a.jpg").output
    assert "refused: expected a URL of thumbor, dit, imgproxy" in run("/favicon.ico").output


def test_what_depends_on_the_original_takes_its_size() -> None:
    done = run("/unsafe/fit-in/100x100/filters:fill(red)/a.jpg", "--size", "400x200")
    assert "then=canvas:100:100:0:25:ff0000" in done.output


def test_a_log_gives_the_share_that_works(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(
        '1.2.3.4 - - [29/Nov/2026:21:00:00 +0000] "GET /unsafe/300x200/a.jpg HTTP/1.1" 200 1\n'
        '1.2.3.4 - - [29/Nov/2026:21:00:00 +0000] "GET /unsafe/filters:curve(1)/a.jpg HTTP/1.1" 200 1\n'
        "https://img.example/insecure/rs:fit:10:10/plain/a.jpg\n"
        "/favicon.ico\n"
        "not a request\n"
    )
    done = run("--log", str(log))
    assert done.exit_code == 0
    first, *reasons = done.output.splitlines()
    assert first == "2 of 4 URLs work (50.0 %)"
    assert len(reasons) == 2
    assert all(line.startswith("       1  refused: expected") for line in reasons)


@pytest.mark.parametrize("arguments", [(), ("/unsafe/a.jpg", "--size", "big")])
def test_wrong_arguments_are_named(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, Invalid)
