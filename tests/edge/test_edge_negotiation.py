"""Which request headers decide the rendition, and that no others are part of the cache key."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import partial

import pytest
from edge_function import Host
from edge_signed import asked, opened, signed
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, distribution, named
from generate import DIALECT_PARAMETERS
from msgspec.structs import replace

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.edge_entries import entries
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.url import parameter_names as names
from image_processor.domain.models import ImageMetadata
from image_processor.domain.ports import Attributes

CAT = "/cat.jpg"
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI = "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
ACCEPTS = (
    CHROME, SAFARI, "*/*", "image/*", "", "image/png", "image/avif,image/webp", "image/webp;q=0",
    "image/avif;q=0,image/webp", "image/webp,image/avif", "image/avif",
    "text/html,image/webp;q=0.9,*/*;q=0.8",
)  # fmt: skip


def made(edge: Edge, key: str = "cat.jpg") -> Edge:
    edge.ingest.put(key, b"cat")
    return edge


@pytest.fixture
def edge(node: Host) -> Edge:
    return made(opened(node))


def three_at_most(edge: Edge) -> None:
    query = signed("cat.jpg", "w=15&fm=auto")
    answers = {accept: edge.ask(CAT, query=query, accept=accept) for accept in ACCEPTS}
    types = {accept: answer.headers["content-type"] for accept, answer in answers.items()}
    assert (types[CHROME], types[SAFARI], types["*/*"]) == ("image/avif", "image/webp", "image/jpeg")
    assert types["image/webp;q=0"] == types["image/*"] == types[""] == "image/jpeg"
    assert len(edge.function.asked) == 3
    assert {answer.headers["vary"] for answer in answers.values()} == {"Accept"}


def test_fm_auto_makes_at_most_three_cache_entries(edge: Edge) -> None:
    three_at_most(edge)


def test_a_preset_without_format_is_negotiated(edge: Edge) -> None:
    types = [edge.ask(CAT, query="preset=small", accept=accept).headers["content-type"] for accept in ACCEPTS]
    assert set(types) == {"image/webp", "image/jpeg"}
    # The preset has no AVIF.
    assert len(edge.function.asked) == 2


BUILT_IN = parse_recipe(DEFAULT_RECIPE)


def declared_formats_alone(edge: Edge) -> None:
    """The first open URL of the documentation: browsers with WebP and without AVIF get JPEG."""
    answers = {accept: edge.ask(CAT, query="w=640&fm=auto", accept=accept) for accept in ACCEPTS}
    assert {answer.status for answer in answers.values()} == {200}
    types = {accept: answer.headers["content-type"] for accept, answer in answers.items()}
    assert (types[CHROME], types[SAFARI], types["*/*"]) == ("image/avif", "image/jpeg", "image/jpeg")
    # WebP is not declared: a client that accepts it is no cache entry of its own.
    assert [request.headers.get("accept") for request in edge.function.asked] == ["image/avif", None]


def test_unsigned_requests_are_negotiated_among_the_declared_formats(node: Host) -> None:
    declared_formats_alone(made(opened(node, recipe=BUILT_IN)))


@pytest.mark.parametrize(
    "query",
    ["w=640&fm=auto", "auto=format&w=640", "preset=responsive", "preset=responsive&w=320&fm=auto", "w=640"],
)
def test_edge_and_package_negotiate_alike(node: Host, query: str) -> None:
    """What the edge leaves of Accept decides as the whole header does."""
    edge = made(opened(node, recipe=BUILT_IN))
    original = ImageMetadata(400, 300, "jpeg", 1, False, 1000, "")
    resolver = RequestResolver(BUILT_IN, Policy(), lambda _: original, lambda: 0)
    for accept in set(ACCEPTS) - {"image/avif"}:  # no browser accepts AVIF and not WebP
        ref = resolver.resolve(HttpRequest("GET", CAT[1:], query, {"accept": accept}))
        assert edge.ask(CAT, query=query, accept=accept).body == f"{ref.transformation} of cat".encode(), (
            accept
        )


def test_a_signed_request_has_the_choice_of_all_formats(node: Host) -> None:
    edge = made(opened(node, recipe=BUILT_IN))
    answer = edge.ask(CAT, query=signed("cat.jpg", "w=640&fm=auto"), accept=SAFARI)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")


@pytest.mark.parametrize("query", ["w=15&fm=webp", "w=15", "preset=small&fm=jpeg"])
def test_accept_is_ignored_for_fixed_formats(edge: Edge, query: str) -> None:
    query = signed("cat.jpg", query)
    types = {edge.ask(CAT, query=query, accept=accept).headers["content-type"] for accept in ACCEPTS}
    assert (len(types), len(edge.bucket.asked)) == (1, 1)
    assert "accept" not in edge.bucket.asked[0].headers


def test_a_plain_path_is_one_cache_entry(edge: Edge) -> None:
    for accept in ACCEPTS:
        edge.ask(CAT + "/w=10,fm=jpeg.jpg", accept=accept, sec_ch_width=str(len(accept)), dpr="2")
    assert asked(edge) == 2


# ------------------------------------------------------------------ client hints


def hinted(edge: Edge) -> None:
    query = signed("cat.jpg", "w=auto&fm=webp")
    answers = [edge.ask(CAT, query=query, sec_ch_width=width) for width in ("161", "300.5", "320", "170")]
    assert {answer.body for answer in answers} == {b"w=320,fm=webp of cat"}
    assert len(edge.function.asked) == 1


def test_a_width_is_rounded_up_before_the_cache(node: Host) -> None:
    edge = made(opened(node, hints=True))
    hinted(edge)
    query = signed("cat.jpg", "w=auto&fm=webp")
    assert edge.ask(CAT, query=query, width="5000").body == b"w=3840,fm=webp of cat"
    for nothing in ({}, {"width": "0"}, {"width": "wide"}, {"sec_ch_width": "x", "width": "300"}):
        assert edge.ask(CAT, query=query, **nothing).body == b"fm=webp of cat"
    assert len(edge.function.asked) == 3


def test_a_pixel_ratio_is_a_whole_one_and_the_width_comes_first(node: Host) -> None:
    edge = made(opened(node, hints=True))
    query = signed("cat.jpg", "w=10&dpr=auto&fm=webp")
    bodies = [edge.ask(CAT, query=query, sec_ch_dpr=ratio).body for ratio in ("1.5", "2", "1.01")]
    assert set(bodies) == {b"w=20,fm=webp of cat"}
    assert edge.ask(CAT, query=query, dpr="9").body == b"w=40,fm=webp of cat"
    assert len(edge.function.asked) == 2
    both = signed("cat.jpg", "w=auto&dpr=auto&fm=webp")
    assert edge.ask(CAT, query=both, sec_ch_dpr="2", sec_ch_width="300").body == b"w=320,fm=webp of cat"
    assert edge.ask(CAT, query=both, sec_ch_dpr="3", sec_ch_width="300").headers["x-cache"].startswith("Hit")


def test_hints_are_an_error_if_disabled(edge: Edge) -> None:
    for query in ("w=auto", "dpr=auto&fm=auto"):
        answer = edge.ask(CAT, query=signed("cat.jpg", query), width="300")
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid-request")
    assert asked(edge) == 0


# ------------------------------------------------------------------ dialects

FOREIGN = (
    ("/unsafe/300x200/smart/cat.jpg", ""),
    ("/300x200/filters:quality(80)/a+b.jpg", ""),
    ("/fit-in/300x300/test.jpg", "signature=7d84&expires=20270101T000000Z"),
    ("/oWaL7/rs:fit:300:200/plain/local%3A%2F%2F%2Fcat.jpg@webp", ""),
    ("/eyJidWNrZXQiOiJiIn0=", ""),
    ("/_next/image", "url=%2Fcat.jpg&w=640&q=75"),
    ("/.netlify/images", "url=/cat.jpg&w=50&h=50&fit=cover&position=left&fm=webp&q=80"),
    ("/cdn-cgi/image/w=15,f=auto/cat.jpg", ""),
    ("/demo/image/upload/s--Ai4Znfl3--/c_fill,g_auto,w_15/f_auto/v1/a%20b/cat.jpg", ""),
)


def dialects(edge: Edge) -> None:
    edge.store["dialects"] = "1"
    for path, query in FOREIGN:
        edge.ask(path, query=query, accept=CHROME)
    assert [(request.uri, request.query) for request in edge.function.asked] == list(FOREIGN)
    assert {request.headers["accept"] for request in edge.function.asked} == {"image/avif,image/webp"}


def test_dialect_urls_pass_unchanged(edge: Edge) -> None:
    dialects(edge)


def test_dialect_urls_are_rejected_if_none_is_enabled(edge: Edge) -> None:
    assert {edge.ask(path, query=query).status for path, query in FOREIGN} == {400, 403}
    assert asked(edge) == 0


def test_own_urls_are_still_checked_with_dialects_enabled(edge: Edge) -> None:
    edge.store["dialects"] = "1"
    for path, query in (
        (CAT, "w=15"),
        (CAT, "w=15&s=x"),
        (CAT, "kid=x&signature=7"),
        (CAT + "/~w=15", ""),
        ("/unsafe/~x.jpg", ""),
        ("/unsafe/~x.jpg", "foo=1"),
        (CAT + "/w=15,fm=webp.webp", ""),
    ):
        assert edge.ask(path, query=query).status in {400, 403}, path
    assert asked(edge) == 0


OTHERS = (
    "acl", "versionId=1", "%76ersionId=1", "response-content-type=text/html", "x-amz-security-token=1",
    "X-Amz-Signature=1", "Expires=1", "Signature=1", "partNumber=2", "list-type=2", "prefix=", "uploads=",
)  # fmt: skip


def test_dialect_urls_keep_only_parameters_of_dialects(edge: Edge) -> None:
    """S3 would obey its own, and each other one would be another object to cache."""
    edge.store["dialects"] = "1"
    edge.ask("/unsafe/cat.jpg", query="&".join(("width=1", *OTHERS, "utm=3", "%66lip=1", "expires=2")))
    assert edge.bucket.asked[0].query == "width=1&%66lip=1&expires=2"


def test_options_of_transformations_of_dit_are_kept(edge: Edge) -> None:
    """Version 8 has `resize.width`, or `resize[width]`."""
    edge.store["dialects"] = "1"
    kept = ("resize.width=1", "resize%5Bheight%5D=2", "resize[fit]=inside", "quality=3", "extract=[0,0,9,9]")
    others = (
        "resized.width=1",
        "re.size=1",
        ".width=1",
        "[width]=1",
        "acl.width=1",
        "partNumber[0]=1",
        "utm.x=1",
    )
    edge.ask("/unsafe/cat.jpg", query="&".join((*kept, *others)))
    assert edge.bucket.asked[0].query == "&".join(kept)


def test_an_unsigned_url_of_dit_8_is_rendered(node: Host) -> None:
    edge = dialect_edge(node)
    answer = edge.ask("/cat.jpg", query="resize.width=15&format=webp&utm=3")
    assert answer.body == b"w=15,enlarge=1,fm=webp of cat"


def test_a_signed_dit_url_keeps_all_parameters_but_those_of_s3(edge: Edge) -> None:
    """DIT's signature covers all parameters."""
    edge.store["dialects"] = "1"
    s3 = (
        *OTHERS,
        *(name + case for name in S3_PARAMETERS for case in ("", "=1")),
        *map(str.upper, S3_PARAMETERS),
    )
    edge.ask("/fit-in/3x3/cat.jpg", query="&".join(("", "width=1", *s3, "utm=3", "%66lip=1", "signature=2")))
    assert edge.bucket.asked[0].query == "width=1&utm=3&%66lip=1&signature=2"


def test_a_signed_dit_url_with_an_unknown_parameter_is_rendered_if_lenient(node: Host) -> None:
    query = "utm=3&width=15"
    signature = hmac.new(b"correct-horse", f"/fit-in/15x15/cat.jpg?{query}".encode(), "sha256").hexdigest()
    edge = dialect_edge(node, replace(UNSIGNED_DIALECTS, dialect_lenient=True, allow_unsigned=False))
    assert edge.ask("/fit-in/15x15/cat.jpg", query=f"{query}&signature={signature}").status == 200


IMGIX = (
    "w=15&h=15",
    "w=15&fit=crop&auto=format&txt=a%20b",
    f"w=15&ixlib=js&utm_source=x&location=1&s={'a' * 32}",
)


def test_imgix_urls_go_to_deliver_if_it_is_enabled(edge: Edge) -> None:
    """They look like the project's own, which the function would rewrite."""
    edge.store["dialects"] = "imgix"
    for query in IMGIX:
        edge.ask(CAT, query=query, accept=CHROME)
    assert [(request.uri, request.query) for request in edge.function.asked] == [
        (CAT, IMGIX[0]),
        (CAT, IMGIX[1]),
        # The signature covers all parameters; those that S3 obeys are never sent there.
        (CAT, IMGIX[2].replace("&location=1", "")),
    ]
    assert {request.headers["accept"] for request in edge.function.asked} == {"image/avif,image/webp"}


def test_of_an_unsigned_imgix_url_trackers_are_left_out(edge: Edge) -> None:
    edge.store["dialects"] = "imgix"
    edge.ask(CAT, query="w=15&ixlib=js&ixid=a&utm_source=x&fbclid=y&acl=&blend-mode=normal&expires=9")
    assert edge.bucket.asked[0].query == "w=15&blend-mode=normal&expires=9"
    assert edge.bucket.asked[0].headers["x-expires"] == "expires=9"


@pytest.mark.parametrize(
    "url",
    [
        f"{CAT}?w=15&s=x",
        f"{CAT}?w=15&kid=x",
        f"{CAT}/~w=15",
        # A rendition that only a signature opens is in the bucket under this name.
        f"{CAT}/~w=15,fm=webp.webp?w=15",
        f"{CAT}/%7Ew=15,fm=webp.webp?utm=1",
        f"{CAT}/~w=15,fm=webp.webp?s={'a' * 32}",
    ],
)
def test_own_urls_are_still_checked_with_imgix_enabled(edge: Edge, url: str) -> None:
    edge.store["dialects"] = "imgix"
    path, _, query = url.partition("?")
    assert edge.ask(path, query=query).status in {400, 403}
    assert asked(edge) == 0


def test_deliver_decides_about_unsigned_own_urls_with_imgix_enabled(node: Host) -> None:
    edge = dialect_edge(node, Settings(dialects=("imgix",), dialect_settings={"imgix_tokens": ("token",)}))
    assert edge.ask("/cat.jpg", query="w=10&fm=webp&enlarge=0").status == 200
    assert edge.ask("/cat.jpg", query="w=15&then=grey:1").status == 403


def test_a_signed_imgix_url_is_rendered(node: Host) -> None:
    settings = Settings(dialects=("imgix",), dialect_settings={"imgix_tokens": ("correct-horse",)})
    edge = dialect_edge(node, settings)
    query = "w=15&fm=webp&fit=max&ixlib=js-3"
    signature = hashlib.md5(f"correct-horse/cat.jpg?{query}".encode(), usedforsecurity=False).hexdigest()
    response = edge.ask("/cat.jpg", query=f"{query}&s={signature}")
    assert (response.status, response.body) == (200, b"w=15,fm=webp of cat")
    # It is in the cache now, but for this signature only.
    assert edge.ask("/cat.jpg", query=f"{query}&s={signature[::-1]}").status == 403
    assert edge.ask("/cat.jpg", query=query).status == 403


def test_a_dialect_url_whose_query_is_not_utf_8_is_rejected(edge: Edge) -> None:
    edge.store["dialects"] = "1"
    assert edge.ask("/unsafe/cat.jpg", query="%ff=1").status == 400
    assert asked(edge) == 0


# The operations on objects, and "Authenticating requests: using query parameters" (Amazon S3 API Reference).
S3_PARAMETERS = {
    "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "inventory", "legal-hold",
    "lifecycle", "list-type", "location", "logging", "metrics", "notification", "object-lock", "partNumber",
    "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
    "restore", "retention", "select", "session", "tagging", "torrent", "uploadId", "uploads", "versionId",
    "versioning", "versions", "website", "AWSAccessKeyId", "Signature", "Expires",
}  # fmt: skip


def test_no_parameter_is_one_of_s3() -> None:
    own = {*names.PARAMETER_ORDER, *names.SIGNATURE_PARAMETERS, *DIALECT_PARAMETERS}
    assert own & S3_PARAMETERS == set()
    assert [name for name in own if name.lower().startswith(("x-", "response-"))] == []


def test_a_changed_expiry_misses_the_cache(edge: Edge) -> None:
    """The project's `expires` is not part of the key, as each request is verified. That of a dialect is
    only verified behind the cache."""
    edge.store["dialects"] = "1"
    edge.ingest.processed.put("fit-in/3x3/test.jpg", b"kept", Attributes("image/jpeg", "max-age=60"))
    for end in ("1", "2", "2"):
        edge.ask("/fit-in/3x3/test.jpg", query=f"signature=7d&expires={end}", x_expires="whatever")
    assert [request.headers["x-expires"] for request in edge.bucket.asked] == ["expires=1", "expires=2"]
    edge.ask(CAT, query=signed("cat.jpg", "w=15&fm=webp", ends=9), x_expires="whatever")
    assert "x-expires" not in edge.bucket.asked[-1].headers


UNSIGNED_DIALECTS = Settings(
    allow_unsigned=True, dialects=("imgproxy", "dit"), dialect_settings={"dit_secret": "correct-horse"}
)
DIT = "/fit-in/15x15/cat.jpg", "expires=20270115T080030Z"
DIT_SIGNATURE = hmac.new(b"correct-horse", "?".join(DIT).encode(), "sha256").hexdigest()


def dialect_edge(host: Host, settings: Settings = UNSIGNED_DIALECTS, mutate: Mutation | None = None) -> Edge:
    return made(Edge(host, mutate, store=entries(BUILT_IN, settings), settings=settings))


def long_path(edge: Edge) -> None:
    """S3 answers 400 for a key of more than 1,024 bytes."""
    path = "/_/" + "/".join(["g:ce"] * 210) + "/rs:fit:15:0/plain/cat.jpg@webp"
    assert len(path) > 1024
    assert edge.ask(path).body == b"w=15,fm=webp of cat"


def test_a_long_dialect_url_is_rendered(node: Host) -> None:
    long_path(dialect_edge(node))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/_next/image", "url=%2Fcat.jpg&w=15&q=80&dpl=dpl_5B"),
        ("/_vercel/image", "url=/cat.jpg&w=15&q=80"),
        ("/.netlify/images", "url=cat.jpg&w=15"),
        ("/cdn-cgi/image/w=15,f=auto/cat.jpg", ""),
        ("/demo/image/upload/c_limit,w_15/f_auto/v12/cat.jpg", "_a=BATAXdDg0"),
    ],
)
def test_urls_of_platforms_are_rendered(node: Host, path: str, query: str) -> None:
    settings = Settings(
        allow_unsigned=True,
        dialects=("next", "vercel", "netlify", "cloudflare", "cloudinary"),
        dialect_settings={"next_widths": (15,)},
    )
    answer = dialect_edge(node, settings).ask(path, query=query, accept=CHROME)
    quality = ",q=80" if "q=80" in query else ""
    assert (answer.status, answer.body) == (200, f"w=15{quality},fm=avif of cat".encode())


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/_/exp:1800000030/rs:fit:15:0/plain/cat.jpg@webp", ""),
        (DIT[0], f"{DIT[1]}&signature={DIT_SIGNATURE}"),
    ],
)
def test_an_expired_dialect_url_is_not_served_from_the_cache(node: Host, path: str, query: str) -> None:
    """It would be for the 60 seconds of Cache-Control."""
    edge = dialect_edge(node)
    assert edge.ask(path, query=query).headers["cache-control"] == "public, max-age=30, must-revalidate"
    edge.later(29)
    assert edge.ask(path, query=query).headers["x-cache"] == "Hit from cloudfront"
    edge.later(1)
    assert edge.ask(path, query=query).status == 403


# ------------------------------------------------------------------ changed templates fail the scenarios


def without_header(name: str, resources: Json) -> None:
    config = resources["RenditionCachePolicy"]["Properties"]["CachePolicyConfig"]
    config["ParametersInCacheKeyAndForwardedToOrigin"]["HeadersConfig"]["Headers"].remove(name)


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (partial(without_header, "accept"), three_at_most),
        (partial(without_header, "sec-ch-width"), hinted),
    ],
    ids=named,
)
def test_a_changed_template_fails_the_scenario(node: Host, mutate: Mutation, scenario: Scenario) -> None:
    assert_seen(mutate, scenario, node, lambda host, change: made(opened(host, mutate=change, hints=True)))


def test_an_unfiltered_accept_fails_the_scenario(node: Host) -> None:
    def unfiltered(resources: Json) -> None:
        function = resources["EdgeFunction"]["Properties"]
        code = function["FunctionCode"]
        function["FunctionCode"] = code.replace(".slice(6))>=0", ".slice(6))>=-1")
        assert function["FunctionCode"] != code

    assert_seen(
        unfiltered, declared_formats_alone, node,
        lambda host, change: made(opened(host, mutate=change, recipe=BUILT_IN)),
    )  # fmt: skip


def test_without_failover_on_400_the_scenario_fails(node: Host) -> None:
    def without_400(resources: Json) -> None:
        group = distribution(resources)["OriginGroups"]["Items"][0]
        group["FailoverCriteria"]["StatusCodes"]["Items"].remove(400)

    assert_seen(without_400, long_path, node, lambda host, change: dialect_edge(host, mutate=change))
