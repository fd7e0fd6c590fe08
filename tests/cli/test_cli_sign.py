"""`sign` prints URLs that the server accepts, and reports errors in others."""

from __future__ import annotations

import time

import pytest
from typer.testing import CliRunner, Result

from image_processor.bootstrap.commands import Commands
from image_processor.cli.commands import app
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.errors import Invalid, InvalidRequest, InvalidSettings

SECRETS = {"new": b"a secret of the new", "old": b"a secret of the old"}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ",".join(f"{kid}:{secret.decode()}" for kid, secret in SECRETS.items()).replace(" ", "_")
    monkeypatch.setenv("IMAGE_PROCESSOR_SIGNING_KEYS", text)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sign", *arguments], obj=Commands())


def opened(path_and_query: str, now: float) -> str:
    """The id of the key that opens it."""
    path, _, query = path_and_query.partition("?")
    address = parse_url(path, query)
    Keyring({kid: secret.replace(b" ", b"_") for kid, secret in SECRETS.items()}).verify(address, now)
    assert address.signature
    return str(address.signature.kid)


@pytest.mark.parametrize(
    ("url", "front"),
    [
        ("photos/a%20cat.jpg?w=640&fm=auto", ""),
        ("photos/a%20cat.jpg", ""),
        ("/renditions/photos/cat.jpg?blur=3", "/renditions/"),
        ("http://localhost:8000/renditions/photos/cat.jpg?blur=3", "http://localhost:8000/renditions/"),
        ("https://cdn.example/photos/cat.jpg/~w=64,fm=webp.webp", "https://cdn.example/"),
    ],
)
def test_the_printed_url_is_valid(url: str, front: str) -> None:
    done = run(url)
    assert done.exit_code == 0
    signed = done.stdout.strip()
    assert signed.startswith(url)
    assert opened(signed.removeprefix(front), now=time.time()) == "new"


def test_a_public_url_may_have_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_PUBLIC_URL", "https://shop.example/images")
    signed = run("https://shop.example/images/renditions/cat.jpg?w=5").stdout.strip()
    assert opened(signed.removeprefix("https://shop.example/images/"), time.time()) == "new"


@pytest.mark.parametrize(("last", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)])
def test_the_signature_expires_after_the_given_time(last: str, seconds: int) -> None:
    signed = run("cat.jpg?w=5", "--for", last).stdout.strip()
    end = int(dict(part.split("=", 1) for part in signed.partition("?")[2].split("&"))["expires"])
    assert abs(end - time.time() - seconds) < 60


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        (["cat.jpg?w=0&blurr=1"], InvalidRequest, "got 'blurr'; expected a whole number"),
        (["cat.jpg?w=0&h=x"], InvalidRequest, "for w, got 0; expected"),
        (["cat.jpg?dpr=9&w=9000"], Invalid, "for dpr, got 81000 pixels"),
        (["cat.jpg?w=5&s=x&kid=new"], Invalid, "for URL, got a signed one"),
        (["cat.jpg?w=5", "--for", "soon"], Invalid, "expected a duration such as 90s"),
        (["cat.jpg?preset=none"], InvalidRequest, "expected one of responsive, thumbnail for preset"),
    ],
)
def test_an_invalid_url_is_not_signed(arguments: list[str], error: type[Exception], expected: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, error)
    assert expected in str(done.exception)
    assert done.stdout == ""


def test_a_declared_rendition_needs_no_signature() -> None:
    assert "needs no signature" in run("cat.jpg?w=640&fm=jpeg").stderr
    assert "The built-in recipe decides. For another one: --recipe FILE" in run("cat.jpg?w=1").stderr
    assert "needs no signature" not in run("cat.jpg?w=641&fm=jpeg").stderr


def test_a_missing_key_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_PROCESSOR_SIGNING_KEYS")
    done = run("cat.jpg?w=5")
    assert isinstance(done.exception, InvalidSettings)
    assert "IMAGE_PROCESSOR_SIGNING_KEYS" in str(done.exception)
