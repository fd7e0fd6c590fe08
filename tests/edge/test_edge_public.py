"""Which renditions are public at the edge, and that no name and no cached response opens others."""

from __future__ import annotations

import json
from functools import partial

import pytest
from edge_function import Host
from edge_signed import asked, code_of, opened, signed, with_cat
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, named

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.edge_entries import entries
from support.ingest import RECIPE

CAT = "/photos/cat.jpg"
PICTURE = "w=15&blur=3&fm=webp"
STORED = "photos/cat.jpg/~w=15,blur=3,fm=webp.webp"


@pytest.fixture
def edge(node: Host) -> Edge:
    return with_cat(opened(node))


@pytest.mark.parametrize("names", ["listed", "unknown"])
def test_an_undeclared_name_needs_a_signature(node: Host, names: str) -> None:
    edge = with_cat(opened(node, names=names == "listed"))
    edge.ask(CAT, query=signed(CAT[1:], PICTURE))
    for path in ("/" + STORED, f"{CAT}/%7Ew=15,blur=3,fm=webp.webp", f"{CAT}/~", f"{CAT}/~x", f"{CAT}/~w=1"):
        assert code_of(edge.ask(path)) == "signature-missing", path
    assert code_of(edge.ask("/" + STORED, query="s=x&kid=new")) == "signature-mismatch"
    assert asked(edge) == 2
    # With a long query it is another rendition, and must not be served by the name alone.
    for query in ("w=15", "&".join(f"over=hero,{number:_<40}" for number in range(6))):
        assert edge.ask("/" + STORED, query=query).status in {400, 403}
        assert {request.uri for request in edge.bucket.asked[1:]} <= {f"/{STORED}/w=15"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("w=10&fm=jpeg", "/photos/cat.jpg/w=10,fm=jpeg.jpg"),
        ("W=10&format=JPG", "/photos/cat.jpg/w=10,fm=jpeg.jpg"),
        ("w=10&fm=auto", "/photos/cat.jpg/w=10,fm=auto"),
        ("w=10", "/photos/cat.jpg/w=10"),
        ("preset=small&fm=webp", "/photos/cat.jpg/preset=small,fm=webp"),
        ("preset=small", "/photos/cat.jpg/preset=small"),
    ],
)
def test_public_presets_need_no_signature_at_the_edge(edge: Edge, query: str, expected: str) -> None:
    assert edge.ask(CAT, query=query).status == 200
    assert edge.bucket.asked[0].uri.removesuffix(".webp") == expected.removesuffix(".webp")


@pytest.mark.parametrize(
    "query", ["w=11&fm=jpeg", "w=10&fm=png", "w=11&fm=auto", "w=11", "preset=large", "blur=3"]
)
@pytest.mark.parametrize("names", ["listed", "unknown"])
def test_other_requests_are_rejected_once_names_are_published(node: Host, names: str, query: str) -> None:
    edge = with_cat(opened(node, names=names == "listed"))
    answer = edge.ask(CAT, query=query)
    # Without the list of names the deliver function decides, which knows the presets.
    assert answer.status == (403 if names == "listed" or query != "preset=large" else answer.status)
    assert json.loads(answer.body)["code"] in {"signature-missing", "invalid-request"}
    assert (asked(edge) == 0) == (names == "listed")


def test_an_unknown_plain_path_reaches_no_origin(edge: Edge) -> None:
    for path in (f"{CAT}/w=11,fm=jpeg.jpg", f"{CAT}/long=0123,fm=jpeg.jpg", CAT, f"{CAT}/w=11"):
        assert code_of(edge.ask(path)) == "signature-missing", path
    assert asked(edge) == 0
    assert edge.ask(f"{CAT}/w=10,fm=jpeg.jpg").status == 200


EVERYWHERE = parse_recipe("""
[presets.small]
width = 10
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["small"]
""")


def test_a_signed_public_request_gets_the_same_file(node: Host) -> None:
    edge = opened(node, recipe=EVERYWHERE)
    edge.ingest.put(CAT[1:], b"cat")
    public_is_shared(edge)


def public_is_shared(edge: Edge) -> None:
    edge.ask(CAT, query=signed(CAT[1:], "w=10&fm=jpeg"))
    assert edge.ask(f"{CAT}/w=10,fm=jpeg.jpg").headers["x-cache"] == "Hit from cloudfront"
    assert asked(edge) == 2


def test_names_public_for_some_originals_stay_private_for_others(edge: Edge) -> None:
    """The rule `ignored/**` makes nothing public: a signed rendition there must not open its plain name."""
    edge.ingest.put("ignored/cat.jpg", b"cat")
    query = signed("ignored/cat.jpg", "w=10&fm=jpeg")
    assert edge.ask("/ignored/cat.jpg", query=query).status == 200
    for path, plain in (("/ignored/cat.jpg", "w=10&fm=jpeg"), ("/ignored/cat.jpg/w=10,fm=jpeg.jpg", "")):
        assert edge.ask(path, query=plain).status in {403, 404}


def test_a_redirect_to_a_large_rendition_passes_if_unsigned_requests_are_allowed(node: Host) -> None:
    """There need not be a key to sign it with."""
    settings = Settings(allow_unsigned=True)
    edge = Edge(node, store=entries(RECIPE, settings), settings=settings)
    edge.ingest.put("large.jpg", b"x" * 4_500_000)
    sent = edge.ask("/large.jpg", query=PICTURE)
    assert (sent.status, sent.headers["location"]) == (307, "/large.jpg/~w=15,blur=3,fm=webp.webp")
    assert edge.ask(sent.headers["location"]).status == 200


# ------------------------------------------------------------------ changed functions fail the scenarios


def with_code(old: str, new: str, resources: Json) -> None:
    function = resources["EdgeFunction"]["Properties"]
    assert old in function["FunctionCode"]
    function["FunctionCode"] = function["FunctionCode"].replace(old, new)


def kept_apart(edge: Edge) -> None:
    test_names_public_for_some_originals_stay_private_for_others(edge)


@pytest.mark.parametrize(
    ("mutate", "scenario", "recipe"),
    [
        (partial(with_code, "'all'!=", "'some'!="), public_is_shared, EVERYWHERE),
        (partial(with_code, "'all'!=", "''=="), kept_apart, RECIPE),
        (
            partial(with_code, "('names')", "('no names')"),
            test_an_unknown_plain_path_reaches_no_origin,
            RECIPE,
        ),
    ],
    ids=named,
)
def test_a_changed_function_or_template_fails_the_scenario(
    node: Host, mutate: Mutation, scenario: Scenario, recipe: Recipe
) -> None:
    assert_seen(
        mutate, scenario, node, lambda host, change: with_cat(opened(host, mutate=change, recipe=recipe))
    )
