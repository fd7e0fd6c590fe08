"""CloudFront invalidations: one signed call, with paths in the spelling that CloudFront expects."""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from domain_strategies import KEYS
from hypothesis import given
from hypothesis import strategies as st

from image_processor.aws import client as client_module
from image_processor.aws.endpoints import global_endpoint
from image_processor.aws.invalidation import Invalidations, coalesce, invalidation_paths
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
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(client_module, "_random", lambda: 0)


def invalidations(script: Script) -> Invalidations:
    return Invalidations("E2EXAMPLE", endpoint=script.address, credentials=aws.credentials)


def test_one_call_invalidates_the_paths() -> None:
    with scripted(DONE) as script:
        invalidations(script).invalidate(invalidation_paths("a & b/cät.jpg"), "change-1")
    (seen,) = script.seen
    assert (seen.method, seen.target) == ("POST", "/2020-05-31/distribution/E2EXAMPLE/invalidation")
    # All regions share one endpoint, and its signatures name us-east-1.
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
    ("prefix", "paths"),
    [
        ("photos/cat.jpg", ["/photos/cat.jpg*"]),
        ("a=b,(c)'!$&;:@", ["/a=b,(c)'!$&;:@*"]),
        ('<>"#%{}|\\^[]` ?', ["/%3C%3E%22%23%25%7B%7D%7C%5C%5E%5B%5D%60%20%3F*"]),
        # CloudFront accepts no tilde here.
        ("a/b~c.jpg", ["/a/b*"]),
        ("~x", ["/*"]),
        ("a+b", ["/a+b*", "/a%2Bb*"]),
        ("a%2Bb", ["/a%252Bb*"]),
    ],
)
def test_paths_have_the_spelling_of_the_cache(prefix: str, paths: list[str]) -> None:
    assert invalidation_paths(prefix) == paths


@given(KEYS)
def test_every_url_of_an_image_starts_with_an_invalidated_path(key: str) -> None:
    for path in invalidation_paths(invalidation_prefix(key)):
        assert path.isascii()
        assert path.isprintable()
        assert len(path) <= 4000
        assert "~" not in path
        prefix = unquote(path.removeprefix("/").removesuffix("*"), errors="strict")
        for url in (key, rendition_prefix(key) + "~w=640,fm=webp.webp"):
            assert url.startswith(prefix)


@pytest.mark.parametrize(
    "busy",
    [failure("TooManyInvalidationsInProgress"), failure("Throttling"), failure("ServiceUnavailable", 503)],
)
def test_a_temporary_error_is_retried_with_the_same_reference(busy: Reply) -> None:
    with scripted(busy, DONE) as script:
        invalidations(script).invalidate(["/cat.jpg*"], "change-1")
    first, second = script.seen
    assert first.body == second.body


@pytest.mark.parametrize(
    ("reply", "attempts", "message"),
    [
        (failure("TooManyInvalidationsInProgress"), 4, "status 400"),
        (failure("AccessDenied", 403), 1, "AccessDenied"),
        (failure("NoSuchDistribution", 404), 1, "NoSuchDistribution"),
        (Reply(404, b"<html>"), 1, "404"),
    ],
)
def test_a_failed_invalidation_is_unavailable(reply: Reply, attempts: int, message: str) -> None:
    with scripted(reply) as script, pytest.raises(Unavailable, match=message):
        invalidations(script).invalidate(["/cat.jpg*"], "change-1")
    assert len(script.seen) == attempts


def test_the_environment_overrides_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(DONE) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", script.address)
        Invalidations("E2EXAMPLE", credentials=aws.credentials).invalidate(["/cat.jpg*"], "change-1")
    assert len(script.seen) == 1


def test_each_partition_has_an_endpoint() -> None:
    world, china = global_endpoint("cloudfront", "eu-west-1"), global_endpoint("cloudfront", "cn-north-1")
    assert (world[0].url, world[1]) == ("https://cloudfront.amazonaws.com", "us-east-1")
    assert (china[0].host, china[1]) == ("cloudfront.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1")


@pytest.mark.parametrize(
    ("paths", "limit", "expected"),
    [
        (["/a.jpg*", "/b.jpg*"], 2, ["/a.jpg*", "/b.jpg*"]),
        (["/a.jpg*", "/a.jpg*"], 1, ["/a.jpg*"]),
        (["/a/*", "/a/b.jpg*", "/a/b/c.jpg*", "/ab.jpg*"], 9, ["/a/*", "/ab.jpg*"]),
        # The folder with the most changes first; others keep what has not changed.
        (["/a/1*", "/a/2*", "/a/3*", "/b/1*", "/b/2*", "/c.jpg*"], 4, ["/a/*", "/b/1*", "/b/2*", "/c.jpg*"]),
        (["/a/1*", "/a/2*", "/a/3*", "/b/1*", "/b/2*", "/c.jpg*"], 3, ["/a/*", "/b/*", "/c.jpg*"]),
        (["/x/a/1*", "/x/b/1*", "/y/1*"], 2, ["/x/*", "/y/1*"]),
        ([f"/{n}.jpg*" for n in range(1000)], 7, ["/*"]),
        ([f"/2026/{n % 5}/{n}.jpg*" for n in range(1000)], 7, [f"/2026/{n}/*" for n in range(5)]),
        ([], 7, []),
    ],
)
def test_paths_are_coalesced_to_folders(paths: list[str], limit: int, expected: list[str]) -> None:
    assert sorted(coalesce(paths, limit)) == expected


SEGMENTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.lists(SEGMENTS.map(lambda key: f"/{key}*"), max_size=40), st.integers(1, 8))
def test_coalesced_paths_are_few_and_cover_every_change(paths: list[str], limit: int) -> None:
    coalesced = coalesce(paths, limit)
    assert len(coalesced) <= limit
    for path in paths:
        assert any(path.startswith(other[:-1]) for other in coalesced)
