"""The function `deliver` under abuse: altered URLs, stored names that do not exist, long lists of errors."""

from __future__ import annotations

import json
from random import Random

import pytest

from image_processor.aws_lambda.deliver_function import open_deliver
from image_processor.bootstrap.aws import AwsContext
from image_processor.config.settings import Settings
from image_processor.domain.keys import rendition_prefix
from support.altered_urls import RING, altered, get_of, signed_urls
from support.ingest import BUCKET, RECIPE, IngestFixture, fake_render

KEYS = tuple((kid, secret.decode()) for kid, secret in RING.secrets.items())
SEED = 41


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"cat")
    return ingest


def asker(ingest, **settings):
    cloud = AwsContext(
        Settings(signing_keys=KEYS, **settings),
        *(BUCKET, RECIPE, ingest.uploads, ingest.processed, ingest.catalog, ingest.processor().process),
        sign_post=None,
        sign_get=None,
        process_isolated=None,
        render=fake_render,
    )
    deliver = open_deliver(cloud)

    def ask(path, query="", **headers):
        event = {"rawPath": f"/{path}", "rawQueryString": query, "headers": headers}
        answer = deliver({**event, "requestContext": {"http": {"method": "GET"}}}, None)
        return answer["statusCode"], answer["headers"], answer.get("body", "")

    return ask


def test_every_altered_url_is_403_and_no_store_is_touched(ingest, monkeypatch, capsys):
    ask, random, tried = asker(ingest), Random(SEED), 0
    for store in (ingest.uploads, ingest.processed, ingest.catalog):
        for name in ("head", "get", "read", "put", "list", "acquire"):
            monkeypatch.setattr(store, name, None, raising=False)
    for url in signed_urls(100, SEED):
        for changed in altered(url, random, 1):
            get = get_of(changed)
            status, headers, body = ask(get.path, get.query)
            # What is left of the signature is not part of the CDN's cache key.
            ages = {"no-store"} if get.query else {"no-store", "max-age=300"}
            assert status == 403, changed
            assert headers["cache-control"] in ages, changed
            assert json.loads(body)["fix"]
            tried += 1
    capsys.readouterr()
    assert tried > 5000


@pytest.mark.parametrize(
    "path", ["w=10,fm=webp.webp", "/w=10,fm=webp.webp", rendition_prefix("a" * 800) + "w=10,fm=webp.webp"]
)
def test_a_stored_name_of_no_original_is_not_a_server_error(ingest, path):
    assert asker(ingest)(path)[0] in {403, 404}


def test_a_short_url_with_many_errors_has_a_short_response(ingest):
    ask = asker(ingest)
    for query in (
        "&".join(f"abc{number}=1" for number in range(900)),
        "&".join(["over=image:a;gxx:1"] * 400),
    ):
        status, _, body = ask("cat.jpg", query)
        assert (status, len(json.loads(body)["problems"])) == (400, 20)
        assert len(body) < len(query)


def test_the_fallback_replaces_an_unsigned_rendition(ingest):
    ingest.put("sorry.png", b"sorry")
    ask = asker(ingest, fallback="sorry.png", allow_unsigned=True)
    for query in ("w=11&fm=webp", "w=11&fm=auto", "w=11"):
        status, headers, _ = ask("none.jpg", query, accept="image/webp")
        assert (status, headers["cache-control"]) == (404, "max-age=60")
        assert headers["content-type"] in {"image/webp", "image/jpeg"}


def test_a_fallback_ignores_conditional_headers(ingest):
    ingest.put("sorry.png", b"sorry")
    ask = asker(ingest, fallback="sorry.png")
    status, headers, body = ask("none.jpg/w=10,fm=webp.webp")
    conditions = {"if-none-match": headers["etag"], "range": "bytes=0-3"}
    for name, value in [*conditions.items(), ("if-match", '"other"')]:
        again = ask("none.jpg/w=10,fm=webp.webp", **{name: value})
        assert (again[0], again[2], "content-range" in again[1]) == (404, body, False)
    assert status == 404


def test_without_the_fallback_the_first_error_is_returned(ingest):
    ingest.put("bad.jpg", b"bad")
    status, _, body = asker(ingest, fallback="none.png")("bad.jpg/w=10,fm=webp.webp")
    assert (status, json.loads(body)["reason"]) == (415, "not-an-image")
