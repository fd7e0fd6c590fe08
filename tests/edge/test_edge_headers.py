"""Every response has the security headers, whatever its origin, and CORS as configured."""

from __future__ import annotations

from functools import partial

import pytest
from edge_function import Host
from edge_messages import Answer
from edge_signed import opened, signed
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, distribution, named

URI = "/cat.jpg/w=10,fm=jpeg.jpg"
HSTS = "max-age=31536000"


def ask(edge: Edge, kind: str) -> Answer:
    """One response of each kind."""
    edge.ingest.put("cat.jpg", b"cat")
    edge.ingest.put("large.jpg", b"x" * 4_500_000)
    tag = edge.ask(URI).headers["etag"]
    if kind == "stored":
        edge.later(61)
    if kind == "failed":
        edge.bucket.fault = 502  # which does not fail over
        edge.later(61)
        return edge.ask("/other.jpg/w=10,fm=jpeg.jpg")
    asked = {
        "missing": ("/none.jpg/w=10,fm=jpeg.jpg", {}),
        "large": ("/large.jpg/w=10,fm=jpeg.jpg", {}),
        "part": (URI, {"range": "bytes=0-1"}),
        "not modified": (URI, {"if_none_match": tag}),
        "record": ("/.image-processor/records/x.json", {}),
        "unreadable": ("/%zz", {}),
    }
    uri, headers = asked.get(kind, (URI, {}))
    return edge.ask(uri, **headers)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("kept", 200), ("stored", 200), ("part", 206), ("not modified", 304), ("large", 307),
        ("unreadable", 400), ("missing", 404), ("record", 404), ("failed", 502),
    ],
)  # fmt: skip
def test_every_response_has_the_security_headers(edge: Edge, kind: str, status: int) -> None:
    answer = ask(edge, kind)
    assert answer.status == status
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert answer.headers.get("strict-transport-security") == HSTS


@pytest.mark.parametrize("kind", ["kept", "stored", "missing"])
def test_a_rendition_opened_as_a_page_is_sandboxed(edge: Edge, kind: str) -> None:
    assert ask(edge, kind).headers.get("content-security-policy") == "default-src 'none'; sandbox"


def test_the_function_and_the_headers_policy_say_the_same(edge: Edge) -> None:
    generated, passed = ask(edge, "record"), ask(edge, "kept")
    same = generated.headers.keys() & passed.headers.keys() - {"cache-control", "content-type", "x-cache"}
    assert same == {"strict-transport-security", "x-content-type-options"}
    assert {name: generated.headers[name] for name in same} == {name: passed.headers[name] for name in same}


@pytest.mark.parametrize(
    ("origin", "shared", "policy"),
    [
        ("*", "*", "cross-origin"),
        ("https://a.example", "https://a.example", "cross-origin"),
        ("", None, "same-site"),
    ],
)
def test_cors_follows_the_parameter(node: Host, origin: str, shared: str | None, policy: str) -> None:
    edge = Edge(node, RenditionOrigin=origin)
    edge.ingest.put("cat.jpg", b"cat")
    answer = edge.ask(URI, origin="https://a.example")
    assert answer.headers.get("access-control-allow-origin") == shared
    assert answer.headers["cross-origin-resource-policy"] == policy
    assert "access-control-allow-origin" not in edge.ask(URI).headers
    if origin != "*":
        assert "access-control-allow-origin" not in edge.ask(URI, origin="https://b.example").headers


@pytest.mark.parametrize(
    ("parameter", "origin", "allowed"),
    [
        ("*", "https://a.example", "*"),
        ("https://a.example", "https://a.example", "https://a.example"),
        ("https://*.example", "https://a.example", "https://a.example"),
        ("https://a.example:8080", "https://a.example:8080", "https://a.example:8080"),
    ],
)
def test_a_preflight_is_answered_at_the_edge_as_the_policy_says(
    host: Host, parameter: str, origin: str, allowed: str
) -> None:
    edge = Edge(host, RenditionOrigin=parameter)
    for uri in (URI, "/%zz", "/photos/~w=1"):
        answer = edge.ask(uri, "OPTIONS", origin=origin, access_control_request_method="GET")
        assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")
        policy = edge.resources["RenditionHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"][
            "CorsConfig"
        ]
        assert {
            name: text for name, text in answer.headers.items() if name.startswith("access-control-")
        } == {
            "access-control-allow-origin": allowed,
            "access-control-allow-methods": ", ".join(policy["AccessControlAllowMethods"]["Items"]),
            "access-control-allow-headers": ", ".join(policy["AccessControlAllowHeaders"]["Items"]),
            "access-control-max-age": str(policy["AccessControlMaxAgeSec"]),
        }
    assert (edge.bucket.asked, edge.function.asked) == ([], [])


@pytest.mark.parametrize(
    ("parameter", "origin"),
    [
        ("https://a.example", "https://b.example"),
        ("https://a.example", "https://axexample"),
        ("https://a.example", "https://a.example.b"),
        ("https://a.example", "https://a.example\n"),
        ("https://*.example", "https://a.example.b"),
        ("", "https://a.example"),
        ("", ""),
    ],
)
def test_a_preflight_from_another_origin_is_not_allowed(host: Host, parameter: str, origin: str) -> None:
    edge = Edge(host, RenditionOrigin=parameter)
    answer = edge.ask(URI, "OPTIONS", origin=origin)
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert (edge.bucket.asked, edge.function.asked) == ([], [])


def no_metadata(edge: Edge) -> None:
    """Declared and on-demand renditions, from the bucket."""
    edge.ingest.put("cat.jpg", b"cat")
    urls = ((URI, ""), ("/cat.jpg", signed("cat.jpg", "w=15&fm=webp")))
    for uri, query in urls:
        assert edge.ask(uri, query=query).status == 200
    edge.later(61)
    answers = [edge.ask(uri, query=query) for uri, query in urls]
    assert len(edge.function.asked) == 2
    stored = (edge.ingest.processed.head(key) for key in edge.ingest.processed.bodies())
    written = {f"x-amz-meta-{name}" for object_ in stored for name in object_.attributes.metadata}
    config = edge.resources["RenditionHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    assert {row["Header"] for row in config["RemoveHeadersConfig"]["Items"]} == written
    assert [name for answer in answers for name in answer.headers if name.startswith("x-amz-meta")] == []


def test_viewers_get_no_metadata(node: Host) -> None:
    no_metadata(opened(node))


# ------------------------------------------------------------------ changed templates fail the scenarios


def without_policy(resources: Json) -> None:
    del distribution(resources)["DefaultCacheBehavior"]["ResponseHeadersPolicyId"]


def without_security(name: str, resources: Json) -> None:
    config = resources["RenditionHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    del config["SecurityHeadersConfig"][name]


def origins_policy_first(resources: Json) -> None:
    config = resources["RenditionHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    config["SecurityHeadersConfig"]["ContentSecurityPolicy"]["Override"] = False


def without_words(words: str, resources: Json) -> None:
    """With another text in the CloudFront function."""
    function = resources["EdgeFunction"]["Properties"]
    assert words in function["FunctionCode"]
    function["FunctionCode"] = function["FunctionCode"].replace(words, "x-other")


def answers(kind: str, status: int, edge: Edge) -> None:
    test_every_response_has_the_security_headers(edge, kind, status)


def page(edge: Edge) -> None:
    test_a_rendition_opened_as_a_page_is_sandboxed(edge, "kept")


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (without_policy, partial(answers, "stored", 200)),
        (partial(without_security, "ContentTypeOptions"), partial(answers, "stored", 200)),
        (partial(without_security, "StrictTransportSecurity"), partial(answers, "missing", 404)),
        (partial(without_security, "ContentSecurityPolicy"), page),
        (origins_policy_first, page),
        (partial(without_words, "strict-transport-security"), partial(answers, "record", 404)),
        (partial(without_words, "nosniff"), partial(answers, "unreadable", 400)),
    ],
    ids=named,
)
def test_a_changed_template_fails_the_scenario(node: Host, mutate: Mutation, scenario: Scenario) -> None:
    assert_seen(mutate, scenario, node)


def test_a_header_that_is_not_removed_fails_the_scenario(node: Host) -> None:
    def kept(resources: Json) -> None:
        config = resources["RenditionHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
        config["RemoveHeadersConfig"]["Items"].pop()

    assert_seen(kept, no_metadata, node, lambda host, change: opened(host, mutate=change))
