"""Signatures at the edge: unsigned requests reach no origin, and equivalent signed URLs share an object."""

from __future__ import annotations

from functools import partial

import pytest
from edge_function import Host
from edge_signed import asked, code_of, opened, signed, with_cat
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, named

CAT = "/photos/cat.jpg"
PICTURE = "w=15&blur=3&fm=webp"
STORED = "photos/cat.jpg/~w=15,blur=3,fm=webp.webp"


@pytest.fixture
def edge(node: Host) -> Edge:
    return with_cat(opened(node))


def test_a_signed_rendition_is_rendered_and_stored(edge: Edge) -> None:
    query = signed(CAT[1:], PICTURE)
    result = edge.ask(CAT, query=query)
    assert (result.status, result.body) == (200, b"w=15,blur=3,fm=webp of cat")
    assert STORED in edge.ingest.processed.bodies()
    edge.later(61)
    again = edge.ask(CAT, query=query)
    assert (again.status, again.body) == (200, result.body)
    assert [request.uri for request in edge.bucket.asked] == ["/" + STORED] * 2
    assert len(edge.function.asked) == 1


def test_origins_receive_only_the_signature_of_a_signed_url(edge: Edge) -> None:
    edge.ask(CAT, query=signed(CAT[1:], PICTURE, ends=60), cookie="a=b", accept="image/webp")
    for origin in (edge.bucket, edge.function):
        (request,) = origin.asked
        assert {part.partition("=")[0] for part in request.query.split("&")} == {"kid", "expires", "s"}
        assert set(request.headers) == {"user-agent"}


def test_equivalent_signed_urls_share_a_cache_entry(edge: Edge) -> None:
    spellings = (
        signed(CAT[1:], PICTURE),
        signed(CAT[1:], "FM=WebP&Blur=3&W=15"),
        signed(CAT[1:], "width=15&format=webp&blur=3&w=15&v=7"),
        signed(CAT[1:], "%77=1%35&blur=%33&fm=webp", ends=90),
        signed(CAT[1:], PICTURE, kid="old"),
    )
    answers = [edge.ask(path, query=query) for query in spellings for path in (CAT, "/photos/%63at%2Ejpg")]
    assert {answer.status for answer in answers} == {200}
    assert (len(edge.bucket.asked), len(edge.function.asked)) == (1, 1)
    by_path = edge.ask(f"{CAT}/~blur=3,w=15,fm=webp.webp", query=signed(CAT[1:], PICTURE).split("&", 3)[3])
    assert (by_path.status, by_path.headers["x-cache"]) == (200, "Hit from cloudfront")


def test_every_changed_byte_is_rejected_before_any_origin(edge: Edge) -> None:
    query = signed(CAT[1:], PICTURE, ends=60)
    url = f"{CAT}?{query}"
    for at in range(1, len(url)):
        if at == url.index("?"):
            continue
        for bit in (1, 2):
            path, _, changed = (url[:at] + chr(ord(url[at]) ^ bit) + url[at + 1 :]).partition("?")
            answer = edge.ask(path, query=changed)
            assert answer.status == 403, (at, path, changed)
            assert code_of(answer) in {"signature-mismatch", "signature-key-unknown", "signature-missing"}
    assert asked(edge) == 0
    assert edge.ask(CAT, query=query).status == 200


def altered_is_refused(edge: Edge) -> None:
    query = signed(CAT[1:], PICTURE)
    for path, changed in (
        (CAT, query.replace("w=15", "w=16")),
        (CAT, query + "&h=3"),
        (CAT, query.replace("kid=new", "kid=old")),
        (CAT, query + "&expires=1900000000"),
        (CAT, query + "&s=x"),
        (CAT, query + "&nonsense=1"),
        ("/photos/dog.jpg", query),
        (f"{CAT}/~w=16,fm=webp.webp", query.rpartition("&kid")[2]),
    ):
        assert edge.ask(path, query=changed).status == 403, changed
    assert asked(edge) == 0


def test_an_altered_url_reaches_no_origin(edge: Edge) -> None:
    altered_is_refused(edge)


def test_an_expired_url_is_rejected_at_the_edge(edge: Edge) -> None:
    query = signed(CAT[1:], PICTURE, ends=100)
    edge.later(99)
    assert edge.ask(CAT, query=query).status == 200
    edge.later(1)
    before = asked(edge)
    assert code_of(edge.ask(CAT, query=query)) == "signature-expired"
    # The later expiry of another URL cannot be reused, and a cached rendition still needs a signature.
    assert code_of(edge.ask(CAT, query=query.replace("expires=1800000100", "expires=1900000000"))) == (
        "signature-mismatch"
    )
    assert asked(edge) == before


def test_keys_rotate_without_a_deployment(edge: Edge) -> None:
    old, new = signed(CAT[1:], PICTURE, kid="old"), signed(CAT[1:], PICTURE)
    assert [edge.ask(CAT, query=query).status for query in (old, new)] == [200, 200]
    del edge.store["k/old"]
    assert code_of(edge.ask(CAT, query=old)) == "signature-key-unknown"
    assert edge.ask(CAT, query=new).status == 200


def test_a_redirect_to_a_large_rendition_passes_the_edge(edge: Edge) -> None:
    edge.ingest.put("large.jpg", b"x" * 4_500_000)
    sent = edge.ask("/large.jpg", query=signed("large.jpg", PICTURE))
    assert sent.status == 307
    path, _, query = sent.headers["location"].partition("?")
    answer = edge.ask(path, query=query)
    assert (answer.status, len(answer.body) > 4_400_000) == (200, True)


def test_a_transformation_too_long_for_a_name_stays_a_query(edge: Edge) -> None:
    text = "over=" + "~20".join(["text"] * 40)
    query = signed(CAT[1:], f"{text}&w=15&fm=webp")
    edge.ask(CAT, query=query)
    for origin in (edge.bucket, edge.function):
        (request,) = origin.asked
        assert request.uri == CAT
        assert request.query.startswith("w=15&over=text~20")
    (other,) = (edge.ask(CAT, query=signed(CAT[1:], f"{text}&w=16&fm=webp")),)
    assert other.headers["x-cache"] != "Hit from cloudfront"


def test_a_key_too_long_for_a_prefix_stays_a_query(edge: Edge) -> None:
    key = "ä" * 351
    edge.ingest.put(key, b"cat")
    path = "/" + "%C3%A4" * 351
    assert edge.ask(path, query=signed(path[1:], PICTURE)).body == b"w=15,blur=3,fm=webp of cat"
    assert edge.bucket.asked[0].uri == path


# ------------------------------------------------------------------ changed templates fail the scenarios


def without_store(resources: Json) -> None:
    del resources["EdgeFunction"]["Properties"]["FunctionConfig"]["KeyValueStoreAssociations"]


def seal_in_key(resources: Json) -> None:
    config = resources["RenditionCachePolicy"]["Properties"]["CachePolicyConfig"]
    config["ParametersInCacheKeyAndForwardedToOrigin"]["QueryStringsConfig"]["QueryStrings"] = ["expires"]


def seal_not_sent(resources: Json) -> None:
    config = resources["RenditionOriginPolicy"]["Properties"]["OriginRequestPolicyConfig"]
    config["QueryStringsConfig"]["QueryStrings"] = ["kid"]


def with_code(old: str, new: str, resources: Json) -> None:
    function = resources["EdgeFunction"]["Properties"]
    assert old in function["FunctionCode"]
    function["FunctionCode"] = function["FunctionCode"].replace(old, new)


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (without_store, test_a_signed_rendition_is_rendered_and_stored),
        (seal_not_sent, test_a_signed_rendition_is_rendered_and_stored),
        (seal_in_key, test_equivalent_signed_urls_share_a_cache_entry),
        (partial(with_code, "return'mismatch'", "return''"), altered_is_refused),
        (partial(with_code, ":'expired'", ":''"), test_an_expired_url_is_rejected_at_the_edge),
        (partial(with_code, "return'key-unknown'", "return''"), test_keys_rotate_without_a_deployment),
        (
            partial(with_code, ".length>200", ".length>900"),
            test_a_transformation_too_long_for_a_name_stays_a_query,
        ),
    ],
    ids=named,
)
def test_a_changed_function_or_template_fails_the_scenario(
    node: Host, mutate: Mutation, scenario: Scenario
) -> None:
    assert_seen(mutate, scenario, node, lambda host, change: with_cat(opened(host, mutate=change)))
