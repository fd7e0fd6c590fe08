"""CloudFront forgets what begins so: one signed call, spelled as CloudFront wants it."""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from domain_strategies import KEYS
from hypothesis import given

from image_processor.aws import client as client_module
from image_processor.aws.endpoints import global_endpoint
from image_processor.aws.invalidation import Invalidations, paths_of
from image_processor.domain.errors import Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.ingest.invalidation import invalidation_prefix
from support import aws
from support.scripted_http import Reply, Script, scripted

NAMESPACE = "{http://cloudfront.amazonaws.com/doc/2020-05-31/}"
DONE = Reply(201, b"<Invalidation><Id>I1</Id><Status>InProgress</Status></Invalidation>")


def failure(code: str, status: int = 400) -> Reply:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"
    return Reply(status, body.encode())


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0)


def invalidations(script: Script) -> Invalidations:
    return Invalidations("E2EXAMPLE", endpoint=script.address, credentials=aws.credentials)


def test_one_call_says_what_to_forget() -> None:
    with scripted(DONE) as script:
        invalidations(script).forget("a & b/cät.jpg", "change-1")
    (seen,) = script.seen
    assert (seen.method, seen.target) == ("POST", "/2020-05-31/distribution/E2EXAMPLE/invalidation")
    # One address for the whole world, whose signatures name one region.
    assert re.search(
        r"Credential=test/\d{8}/us-east-1/cloudfront/aws4_request", seen.headers["authorization"]
    )
    batch = ET.fromstring(seen.body)
    assert batch.tag == NAMESPACE + "InvalidationBatch"
    assert batch.findtext(NAMESPACE + "CallerReference") == "change-1"
    paths = [path.text for path in batch.iter(NAMESPACE + "Path")]
    assert paths == ["/a%20&%20b/c%C3%A4t.jpg*"]
    assert batch.findtext(f"{NAMESPACE}Paths/{NAMESPACE}Quantity") == "1"


@pytest.mark.parametrize(
    ("beginning", "paths"),
    [
        ("photos/cat.jpg", ["/photos/cat.jpg*"]),
        ("a=b,(c)'!$&;:@", ["/a=b,(c)'!$&;:@*"]),
        ('<>"#%{}|\\^[]` ?', ["/%3C%3E%22%23%25%7B%7D%7C%5C%5E%5B%5D%60%20%3F*"]),
        # CloudFront knows no way to say a tilde here.
        ("a/b~c.jpg", ["/a/b*"]),
        ("~x", ["/*"]),
        ("a+b", ["/a+b*", "/a%2Bb*"]),
        ("a%2Bb", ["/a%252Bb*"]),
    ],
)
def test_the_spelling_is_that_of_the_cache(beginning: str, paths: list[str]) -> None:
    assert paths_of(beginning) == paths


@given(KEYS)
def test_every_url_of_an_image_begins_with_a_path_that_is_forgotten(key: str) -> None:
    for path in paths_of(invalidation_prefix(key)):
        assert path.isascii()
        assert path.isprintable()
        assert len(path) <= 4000
        assert "~" not in path
        beginning = unquote(path.removeprefix("/").removesuffix("*"), errors="strict")
        for url in (key, rendition_prefix(key) + "~w=640,fm=webp.webp"):
            assert url.startswith(beginning)


@pytest.mark.parametrize(
    "busy",
    [failure("TooManyInvalidationsInProgress"), failure("Throttling"), failure("ServiceUnavailable", 503)],
)
def test_what_time_heals_is_tried_again_as_the_same_change(busy: Reply) -> None:
    with scripted(busy, DONE) as script:
        invalidations(script).forget("cat.jpg", "change-1")
    first, second = script.seen
    assert first.body == second.body


@pytest.mark.parametrize(
    ("reply", "tries", "told"),
    [
        (failure("TooManyInvalidationsInProgress"), 4, "status 400"),
        (failure("AccessDenied", 403), 1, "AccessDenied"),
        (failure("NoSuchDistribution", 404), 1, "NoSuchDistribution"),
        (Reply(404, b"<html>"), 1, "404"),
    ],
)
def test_what_was_not_forgotten_is_work_for_later(reply: Reply, tries: int, told: str) -> None:
    with scripted(reply) as script, pytest.raises(Unavailable, match=told):
        invalidations(script).forget("cat.jpg", "change-1")
    assert len(script.seen) == tries


def test_the_environment_says_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(DONE) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", script.address)
        Invalidations("E2EXAMPLE", credentials=aws.credentials).forget("cat.jpg", "change-1")
    assert len(script.seen) == 1


def test_each_partition_has_an_address_of_its_own() -> None:
    world, china = global_endpoint("cloudfront", "eu-west-1"), global_endpoint("cloudfront", "cn-north-1")
    assert (world[0].url, world[1]) == ("https://cloudfront.amazonaws.com", "us-east-1")
    assert (china[0].host, china[1]) == ("cloudfront.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1")
