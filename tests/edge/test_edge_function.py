"""The CloudFront function: each spelling of a URL leads bucket and function to the same key."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote, unquote_plus, unquote_to_bytes

import pytest
from edge_function import FunctionFault, Host, viewer_request
from edge_messages import Answer, Request
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, function_code, named
from hypothesis import given
from hypothesis import strategies as st

NAME = "w=10,fm=jpeg.jpg"
KEYS = (
    "plain.jpg",
    "one two.jpg",
    "1+1.jpg",
    "100%.jpg",
    "%2B.jpg",
    "a%20b c+d.jpg",
    "#1?.jpg",
    "&=;:@!$'()*,.jpg",
    "Grüße/ångström.jpg",
    "cafe\u0301.jpg",
    "猫/🐱👩‍🚀.jpg",
    "deep/er/..jpg",
    "/leading.jpg",
    "a//b.jpg",
    "~.jpg",
    'quo"te\\.jpg',
    ".image-processors/cat.jpg",
)


def spellings(key: str) -> set[str]:
    """Spellings of the path of a key."""
    strict = quote(f"/{key}/{NAME}", safe="/")
    every_byte = "/" + "".join(f"%{byte:02x}" for byte in f"{key}/{NAME}".encode())
    return {
        strict,
        strict.replace("%2B", "+"),
        strict.replace("%2C", ","),
        quote(f"/{key}/{NAME}", safe="/!$&'()*+,;=:@~"),
        every_byte,
    }


@pytest.mark.parametrize("key", KEYS)
def test_every_spelling_of_a_key_reaches_its_object(node: Host, key: str) -> None:
    for uri in spellings(key):
        every_spelling_reaches(key, uri, Edge(node))


def every_spelling_reaches(key: str, uri: str, edge: Edge) -> None:
    edge.ingest.put(key, b"cat")
    result = edge.ask(uri)
    assert (result.status, f"{key}/{NAME}" in edge.ingest.processed.bodies()) == (200, True), uri
    edge.later(61)
    edge.ask(uri)
    assert len(edge.function.asked) == 1, f"{uri} is not where the bucket has it"


def test_plus_and_percent_2b_share_a_cache_entry(edge: Edge) -> None:
    edge.ingest.put("1+1.jpg", b"cat")
    assert [edge.ask(f"/1{plus}1.jpg/{NAME}").status for plus in ("+", "%2B")] == [200, 200]
    assert len(edge.bucket.asked) == 1


@given(text=st.text(st.characters(codec="utf-8"), min_size=1), unquoted=st.sampled_from(["/", "/+"]))
def test_bucket_and_function_read_the_same_key(node: Host, text: str, unquoted: str) -> None:
    uri = quote("/" + text, safe=unquoted)
    passed = viewer_request(node, function_code(), Request("GET", uri), {})
    if isinstance(passed, Answer):
        first, last = text.lstrip("/").split("/")[0], text.rpartition("/")[2]
        assert first == ".image-processor" or last.startswith("~")
        return
    assert unquote_plus(passed.uri) == unquote_to_bytes(passed.uri).decode() == "/" + text


def test_other_parts_of_the_request_are_unchanged(host: Host) -> None:
    request = Request("HEAD", "/a+b.jpg/w=10", "", {"host": "cdn.example", "range": "bytes=0-1"})
    passed = viewer_request(host, function_code(), request, {})
    assert passed == Request("HEAD", "/a%2Bb.jpg/w=10", "", dict(request.headers))


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("/%zz", 400),
        ("/%ff", 400),
        ("/%", 400),
        ("/.image-processor/x", 404),
        ("/%2eimage-processor", 404),
        ("//%2Eimage%2Dprocessor%2Fx", 404),
    ],
)
def test_paths_of_no_rendition_are_rejected(host: Host, uri: str, status: int) -> None:
    answer = viewer_request(host, function_code(), Request("GET", uri), {})
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")


@pytest.mark.parametrize(
    "uri", ["/.image-processors/x", "/a/.image-processor/x", "/.image-processor.jpg/x", "/"]
)
def test_similar_paths_pass(host: Host, uri: str) -> None:
    assert viewer_request(host, function_code(), Request("GET", uri), {}) == Request("GET", uri)


@pytest.mark.parametrize(
    "body",
    ["return eval('event')", "return new Function('return 1')()", "setTimeout(handler, 1)", "process.exit(1)",
     "require('fs')", "fetch('https://example.org')", "return structuredClone(event)", "throw 'mistake'"],
)  # fmt: skip
def test_node_provides_only_the_documented_globals(node: Host, body: str) -> None:
    with pytest.raises(FunctionFault):
        node.run(f"function handler(event) {{ {body} }}", {})


@pytest.mark.parametrize("body", ["return event?.request", "const {request} = event; return request"])
def test_njs_rejects_unsupported_syntax(node: Host, njs: Host, body: str) -> None:
    event = {"request": 1}
    assert node.run(f"function handler(event) {{ {body} }}", event) == 1
    with pytest.raises(FunctionFault):
        njs.run(f"function handler(event) {{ {body} }}", event)


@pytest.mark.parametrize(
    "body",
    [
        "event.request.method = 'POST'; return event.request",
        "event.request.headers.host.value = 'elsewhere'; return event.request",
        "event.request.headers['x-edge-x'] = {value: '1'}; return event.request",
        "event.request.headers['Upper'] = {value: '1'}; return event.request",
        "event.request.uri = 'nowhere'; return event.request",
        "event.request.uri += '?x=1'; return event.request",
        "return 1",
    ],
)
def test_an_invalid_result_is_a_fault(host: Host, body: str) -> None:
    request = Request("GET", "/a", headers={"host": "cdn.example"})
    with pytest.raises(FunctionFault):
        viewer_request(host, f"function handler(event) {{ {body}; }}", request)


def test_a_failing_function_is_503(node: Host) -> None:
    def broken(resources: Json) -> None:
        resources["EdgeFunction"]["Properties"]["FunctionCode"] = "function handler() { throw 'mistake' }"

    assert Edge(node, broken).ask("/a").status == 503


# ------------------------------------------------------------------ changed functions fail the scenarios


def function_with(old: str, new: str, resources: Json) -> None:
    function = resources["EdgeFunction"]["Properties"]
    assert old in function["FunctionCode"]
    function["FunctionCode"] = function["FunctionCode"].replace(old, new)


def record_refused(uri: str, edge: Edge) -> None:
    assert edge.ask(uri).status == 404
    assert edge.bucket.asked == []


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (
            partial(function_with, "[?#+]", "[?#]"),
            partial(every_spelling_reaches, "1+1.jpg", f"/1+1.jpg/{NAME}"),
        ),
        (
            partial(function_with, "[?#+]/g", "[?#+]/"),
            partial(every_spelling_reaches, "1+1+1.jpg", f"/1+1+1.jpg/{NAME}"),
        ),
        (
            partial(function_with, "=decodeURIComponent(request.uri)", "=request.uri"),
            partial(record_refused, "/%2eimage-processor/x"),
        ),
        (partial(function_with, r"^\/+", r"^\/"), partial(record_refused, "//.image-processor/x")),
        (partial(function_with, r"(\/|$)", r"\/"), partial(record_refused, "/.image-processor")),
    ],
    ids=named,
)
def test_a_changed_function_fails_the_scenario(node: Host, mutate: Mutation, scenario: Scenario) -> None:
    assert_seen(mutate, scenario, node)
