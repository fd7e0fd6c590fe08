"""Signed URLs of the Python client are the server's, also for hostile keys; wrong parameters are said."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import generate_clients
import pytest

from image_processor.domain.transformation.values import quote as core_quote
from image_processor_client import SigningKey, UrlBuilder, image_id, quote
from image_processor_client.urls import quote_key

VECTORS = json.loads(generate_clients.VECTORS.read_text("utf-8"))
SECRET = "k1:a-secret-for-these-tests"
URLS = UrlBuilder("https://img.example/", SECRET)


@pytest.mark.parametrize("path", generate_clients.TEXTS, ids=lambda path: path.name)
def test_what_is_generated_is_what_the_server_says(path: Path) -> None:
    assert path.read_text("utf-8") == generate_clients.TEXTS[path](), "run `make clients` and commit"


@pytest.mark.parametrize("vector", VECTORS["urls"], ids=lambda vector: vector["string_to_sign"])
def test_a_signed_url_is_the_servers(vector: dict[str, Any]) -> None:
    urls = UrlBuilder(vector["base"], vector["signing_key"])
    assert urls.url(vector["key"], expires=vector["expires"], **vector["parameters"]) == vector["url"]


@pytest.mark.parametrize("vector", VECTORS["ids"], ids=lambda vector: vector["id"])
def test_an_id_is_the_servers(vector: dict[str, str]) -> None:
    assert image_id(vector["bucket"], vector["key"]) == vector["id"]


def test_a_text_is_quoted_as_by_the_server() -> None:
    for text in ("Grüße, Welt!", "a.b-c_d", "~;:=", "\N{GRINNING FACE}"):
        assert quote(text) == core_quote(text)


def test_a_transformation_is_text_or_parameters() -> None:
    by_text = URLS.url("cat.jpg", "w=640,max-bytes=9000,fp=0.5:0.25")
    assert by_text == URLS.url("cat.jpg", fp=(0.5, 0.25), max_bytes=9000, width=640)
    assert by_text.startswith("https://img.example/cat.jpg?w=640&fp=0.5:0.25&max-bytes=9000&kid=k1&s=")


def test_without_a_key_a_url_is_not_signed() -> None:
    public = UrlBuilder("/renditions")
    assert public.url("a b.jpg", preset="small", fm="auto") == "/renditions/a%20b.jpg?preset=small&fm=auto"
    assert URLS.url("cat.jpg", w=1, signed=False) == "https://img.example/cat.jpg?w=1"
    for options in ({"signed": True}, {"expires": 5}):
        with pytest.raises(ValueError, match="expected a signing key"):
            public.url("cat.jpg", "w=1", **options)


def test_an_end_is_a_time_or_a_duration() -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert "&expires=1893499200&" in URLS.url("cat.jpg", w=1, expires=noon)
    soon = URLS.url("cat.jpg", w=1, expires=timedelta(hours=1))
    seconds = int(soon.partition("expires=")[2].partition("&")[0])
    assert 3000 < seconds - datetime.now(UTC).timestamp() <= 3600
    with pytest.raises(ValueError, match="expected a time with its zone, got 2030-01-01T12:00:00"):
        URLS.url("cat.jpg", w=1, expires=noon.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("transformation", "message"),
    [
        ("", "expected parameters such as w=640, got none"),
        ("w", "expected NAME=VALUE such as w=640, got 'w'"),
        ("widht=3", "such as width.*got 'widht'"),
        ("kid=a", "expected the name of a parameter.*got 'kid'"),
        ("w=1,width=2", "expected one value for w, got '1' and '2'"),
        ("w=1&x=2", "expected letters, digits.*for w, got '1&x=2'"),
        ("auto=enhance", "expected format or compress for auto, got 'enhance'"),
    ],
)
def test_a_wrong_transformation_is_said(transformation: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        URLS.url("cat.jpg", transformation)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "1-1024 bytes of UTF-8, got 0"),
        ("ä" * 513, "1-1024 bytes of UTF-8, got 1026"),
        ("\ud800", "expected a key of valid Unicode"),
    ],
)
def test_a_key_that_no_store_has_is_said(key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quote_key(key)


@pytest.mark.parametrize("text", ["", "no-colon", "a:short", "a b:0123456789abcdef"])
def test_a_wrong_signing_key_is_said_without_its_secret(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected ID:SECRET.*, got something else"):
        SigningKey.parse(text)


def test_the_first_key_signs_and_no_secret_is_shown() -> None:
    key = SigningKey.parse(f"{SECRET}, k0:another-secret-for-tests")
    assert key.kid == "k1"
    assert "secret-for" not in repr(UrlBuilder("/renditions", key))


@pytest.mark.parametrize("base", ["img.example", "https://img.example/?x", "javascript:alert(1)"])
def test_a_wrong_base_is_said(base: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL such as https://img.example, or a path"):
        UrlBuilder(base)


def test_the_client_needs_nothing_of_the_server() -> None:
    program = (
        "import sys, image_processor_client\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('image_processor', 'pyvips', '_libvips', 'django')])"
    )
    source = generate_clients.PYTHON.parent
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(source)}, capture_output=True, check=True
    )
    assert done.stdout == b"[]\n"
