"""What the edge caches, for how long, and that the path alone is the cache key."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from edge_cache import CachePolicy
from edge_function import Host
from edge_messages import Answer
from edge_signed import opened, signed
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, distribution, named

from image_processor.config.settings import Settings
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Attributes

URI = "/cat.jpg/w=10,fm=jpeg.jpg"
KEY = URI[1:]
BODY = b"w=10,fm=jpeg of cat"


def put(edge: Edge, body: bytes = BODY, cache_control: str | None = "public, max-age=60") -> None:
    edge.ingest.processed.put(KEY, body, Attributes("image/jpeg", cache_control))


def test_a_rendition_is_cached_as_its_cache_control_says(edge: Edge) -> None:
    put(edge)
    assert edge.ask(URI).headers["x-cache"] == "Miss from cloudfront"
    put(edge, b"newer")
    edge.later(59)
    kept = edge.ask(URI)
    assert (kept.body, kept.headers["x-cache"]) == (BODY, "Hit from cloudfront")
    edge.later(1)
    assert edge.ask(URI).body == b"newer"


def test_a_new_rendition_is_cached_like_a_stored_one(edge: Edge) -> None:
    edge.ingest.put("cat.jpg", b"cat")
    edge.ask(URI)
    edge.later(59)
    assert edge.ask(URI).headers["x-cache"] == "Hit from cloudfront"
    edge.later(1)
    assert edge.ask(URI).headers["x-cache"] == "Miss from cloudfront"


def a_missing_original_is_cached(edge: Edge, seconds: int = 60) -> None:
    assert edge.ask(URI).status == 404
    edge.ingest.put("cat.jpg", b"cat")
    edge.later(seconds - 1)
    assert edge.ask(URI).status == 404
    assert len(edge.function.asked) == 1
    edge.later(1)
    assert edge.ask(URI).status == 200


def test_a_missing_original_is_cached_for_a_minute(edge: Edge) -> None:
    a_missing_original_is_cached(edge)


@pytest.mark.parametrize("seconds", [3, 600])
def test_the_time_for_a_missing_original_is_a_setting(node: Host, seconds: int) -> None:
    a_missing_original_is_cached(Edge(node, settings=Settings(missing_seconds=seconds)), seconds)


def test_a_missing_original_with_a_fallback_is_cached_as_long(node: Host) -> None:
    edge = Edge(node, settings=Settings(fallback="none.jpg"))
    edge.ingest.put("none.jpg", b"none")
    answers = [edge.ask(URI) for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(404, b"w=10,fm=jpeg of none")] * 2
    assert len(edge.function.asked) == 1
    edge.ingest.put("cat.jpg", b"cat")
    edge.later(60)
    assert edge.ask(URI).status == 200


def refused_is_cached(edge: Edge) -> None:
    """CloudFront never caches 413 or 422."""
    edge.ingest.put("cat.jpg", b"big 9999999999")
    assert [edge.ask(URI).status for _ in range(2)] == [415, 415]
    assert len(edge.function.asked) == 1
    assert json.loads(edge.ask(URI).body)["reason"] == "too-many-pixels"
    edge.later(60)
    edge.ingest.put("cat.jpg", b"cat")
    assert edge.ask(URI).status == 200


def test_a_refused_original_is_cached_for_a_minute(edge: Edge) -> None:
    refused_is_cached(edge)


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("/cat.jpg/w=11,fm=jpeg.jpg", 403),
        ("/../cat.jpg/w=10,fm=jpeg.jpg", 400),
        ("/cat.jpg?preset=none", 403),
    ],
)
def test_an_undeclared_or_invalid_url_is_cached_for_five_minutes(edge: Edge, uri: str, status: int) -> None:
    edge.ingest.put("cat.jpg", b"cat")
    path, _, query = uri.partition("?")
    for later in (0, 299):
        edge.later(later)
        assert edge.ask(path, query=query).status == status
    assert len(edge.function.asked) == 1
    edge.later(1)
    edge.ask(path, query=query)
    assert len(edge.function.asked) == 2


def test_the_signature_error_of_one_url_is_not_cached_for_another(node: Host) -> None:
    """During a rotation the function may not have the edge's key yet. Signatures are not in the cache key."""
    edge = opened(node)
    edge.ingest.put("cat.jpg", b"cat")
    edge.store["k/next"] = edge.store["k/new"]
    query = signed("cat.jpg", "w=15&fm=webp")
    unknown = signature_query(
        Keyring({"next": edge.store["k/new"].encode()}).sign(parse_url("cat.jpg", "w=15&fm=webp"))
    )
    assert edge.ask("/cat.jpg", query=f"w=15&fm=webp&{unknown}").status == 403
    assert len(edge.function.asked) == 1
    assert edge.ask("/cat.jpg", query=query).status == 200


def test_a_failure_is_cached_for_one_second(edge: Edge) -> None:
    edge.ingest.put("cat.jpg", b"cat")
    original = edge.ingest.processed
    head, original.head = original.head, _unavailable
    assert edge.ask(URI).status == 503
    original.head = head
    assert edge.ask(URI).status == 503
    edge.later(1)
    assert edge.ask(URI).status == 200


def test_a_stale_copy_is_served_while_both_origins_fail(edge: Edge) -> None:
    put(edge)
    edge.ask(URI)
    edge.later(61)
    edge.bucket.fault = 503
    edge.ingest.processed.head = _unavailable
    assert edge.ask(URI).body == BODY
    asked = len(edge.bucket.asked)
    assert edge.ask(URI).body == BODY
    assert len(edge.bucket.asked) == asked


def test_a_stale_error_is_not_served(edge: Edge) -> None:
    assert edge.ask(URI).status == 404
    edge.later(60)
    edge.bucket.fault = 502
    assert edge.ask(URI).status == 502


def _unavailable(_: str) -> None:
    raise Unavailable("for a test")


def test_a_redirect_to_a_large_rendition_is_not_cached(edge: Edge) -> None:
    edge.ingest.put("cat.jpg", b"x" * 4_500_000)
    assert [edge.ask(URI).status for _ in range(2)] == [307, 200]


def test_ignored_parameters_do_not_change_the_cache_key(edge: Edge) -> None:
    put(edge)
    answers = [edge.ask(URI, query=query) for query in ("", "v=2", "v=3&v=4")]
    assert [answer.body for answer in answers] == [BODY] * 3
    assert [request.query for request in edge.bucket.asked] == [""]


def test_unknown_parameters_are_rejected(edge: Edge) -> None:
    put(edge)
    assert edge.ask(URI, query="source=mail").status == 400
    assert edge.bucket.asked == []


def test_tracking_parameters_do_not_split_the_cache(edge: Edge) -> None:
    put(edge)
    answers = [edge.ask(URI, query=query) for query in ("", "utm_source=mail", "fbclid=IwAR0&utm_id=7")]
    assert [answer.body for answer in answers] == [BODY] * 3
    assert [request.query for request in edge.bucket.asked] == [""]


def test_accept_encoding_does_not_split_the_cache(edge: Edge) -> None:
    put(edge)
    spellings = (
        "gzip, deflate, br, zstd",
        "br;q=1.0, gzip;q=0.8",
        "gzip, br",
        "gzip",
        "gzip, deflate",
        "",
        "zstd",
    )
    answers = [edge.ask(URI, accept_encoding=spelling) for spelling in spellings]
    assert {(answer.body, answer.headers.get("content-encoding")) for answer in answers} == {(BODY, None)}
    assert [request.headers.get("accept-encoding") for request in edge.bucket.asked] == [None]


def test_head_has_the_headers_of_get(edge: Edge) -> None:
    put(edge)
    for _ in ("missed", "kept"):
        head = edge.ask(URI, "HEAD")
        assert (head.status, head.body) == (200, b"")
    assert len(edge.bucket.asked) == 1
    get = edge.ask(URI)
    names = ("content-type", "content-length", "etag", "cache-control")
    assert [get.headers[name] for name in names] == [head.headers[name] for name in names]


def test_a_cached_get_answers_head(edge: Edge) -> None:
    put(edge)
    edge.ask(URI)
    head = edge.ask(URI, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(BODY)))
    assert len(edge.bucket.asked) == 1


def test_head_of_a_missing_rendition_renders_it(edge: Edge) -> None:
    edge.ingest.put("cat.jpg", b"cat")
    head = edge.ask(URI, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(BODY)))
    assert KEY in edge.ingest.processed.bodies()
    assert edge.ask("/none.jpg/w=10,fm=jpeg.jpg", "HEAD").status == 404


@pytest.mark.parametrize("origin", ["the bucket", "the function", "the cache"])
def test_conditions_and_ranges_are_honoured_by(edge: Edge, origin: str) -> None:
    edge.ingest.put("cat.jpg", b"cat")
    if origin != "the function":
        put(edge)
    # Each request finds the cache cold, unless a hit is expected.
    tag = edge.ask(URI).headers["etag"]
    for headers, status, body in (
        ({"if_none_match": tag}, 304, b""),
        ({"if_none_match": '"other"'}, 200, BODY),
        ({"range": "bytes=2-3"}, 206, BODY[2:4]),
        ({"range": "bytes=-3"}, 206, BODY[-3:]),
        ({"range": "bytes=4-"}, 206, BODY[4:]),
        ({"range": "bytes=4-", "if_range": '"other"'}, 200, BODY),
    ):
        if origin != "the cache":
            edge.later(61)
            edge.bucket.fault = 503 if origin == "the function" else None
        answer = edge.ask(URI, **headers)
        assert (answer.status, answer.body) == (status, body), headers
    if origin == "the cache":
        assert (len(edge.bucket.asked), edge.function.asked) == (1, [])


def test_a_range_beyond_the_end_is_416_and_not_cached(edge: Edge) -> None:
    put(edge)
    assert edge.ask(URI, range="bytes=900-").status == 416
    assert edge.ask(URI).body == BODY
    assert edge.function.asked == []


# ------------------------------------------------------------------ the table of the developer guide

POLICY = CachePolicy(0, 100, 1000, headers=(), without=frozenset(), encodings=())
FLOOR = replace(POLICY, minimum=50)


@pytest.mark.parametrize(
    ("policy", "status", "cache_control", "seconds"),
    [
        (POLICY, 200, "max-age=10", 10),
        (POLICY, 200, "max-age=5000", 1000),
        (POLICY, 200, "max-age=10, s-maxage=20", 20),
        (POLICY, 200, "", 100),
        (POLICY, 200, "no-store", 0),
        (POLICY, 200, "max-age=10, private", 0),
        (FLOOR, 200, "max-age=10", 50),
        (FLOOR, 200, "max-age=60", 60),
        (FLOOR, 200, "no-store", 50),
        (FLOOR, 200, "", 100),
        (POLICY, 307, "no-store", 0),
        (POLICY, 206, "max-age=10", 0),
        (POLICY, 304, "max-age=10", 0),
        (POLICY, 404, "", 7),
        (POLICY, 404, "no-store", 0),
        (POLICY, 501, "no-store", 0),
        (POLICY, 503, "no-store", 10),
        (POLICY, 404, "max-age=3", 7),
        (POLICY, 404, "max-age=30", 30),
        (POLICY, 404, "max-age=5000", 1000),
        (POLICY, 500, "", 10),
        (POLICY, 403, "", 0),
        (POLICY, 403, "max-age=3", 10),
        (POLICY, 416, "max-age=3", 0),
    ],
)
def test_ttl_of_responses(policy: CachePolicy, status: int, cache_control: str, seconds: int) -> None:
    assert policy.seconds(Answer(status, {"cache-control": cache_control}), {404: 7}) == seconds


# ------------------------------------------------------------------ changed templates fail the scenarios


def cache_policy(name: str, value: int, resources: Json) -> None:
    resources["RenditionCachePolicy"]["Properties"]["CachePolicyConfig"][name] = value


def key_part(part: str, setting: str, value: object, resources: Json) -> None:
    config = resources["RenditionCachePolicy"]["Properties"]["CachePolicyConfig"]
    row = config["ParametersInCacheKeyAndForwardedToOrigin"]
    (row[part] if part else row)[setting] = value


def without_error_seconds(status: int, resources: Json) -> None:
    rows = distribution(resources)["CustomErrorResponses"]
    rows[:] = [row for row in rows if row["ErrorCode"] != status]


def without_head(resources: Json) -> None:
    distribution(resources)["DefaultCacheBehavior"]["AllowedMethods"] = ["GET"]


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (partial(cache_policy, "MinTTL", 60), test_a_redirect_to_a_large_rendition_is_not_cached),
        (partial(cache_policy, "MaxTTL", 30), test_a_rendition_is_cached_as_its_cache_control_says),
        (
            partial(key_part, "", "EnableAcceptEncodingBrotli", True),
            test_accept_encoding_does_not_split_the_cache,
        ),
        (partial(cache_policy, "MaxTTL", 30), a_missing_original_is_cached),
        (
            partial(without_error_seconds, 503),
            test_a_failure_is_cached_for_one_second,
        ),
        (without_head, test_head_has_the_headers_of_get),
    ],
    ids=named,
)
def test_a_changed_template_fails_the_scenario(node: Host, mutate: Mutation, scenario: Scenario) -> None:
    assert_seen(mutate, scenario, node)
