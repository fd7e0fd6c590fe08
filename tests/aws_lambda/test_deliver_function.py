"""The function `deliver` over fakes: stored and rendered renditions, conditions, large ones, errors."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec.structs import replace

from image_processor.api.response_models import ProblemModel
from image_processor.aws_lambda import deliver_function as reads
from image_processor.aws_lambda.deliver_function import MAX_BODY, open_deliver
from image_processor.bootstrap.aws import AwsContext
from image_processor.bootstrap.delivery import build_keyring
from image_processor.config.settings import Settings
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import Attributes
from support.ingest import BUCKET, RECIPE, IngestFixture, fake_render

KEY = "cat 1.jpg/w=10,fm=jpeg.jpg"
PATH = "/cat%201.jpg/w=10,fm=jpeg.jpg"
BODY = b"w=10,fm=jpeg of cat"
SETTINGS = Settings(signing_keys=(("new", "a secret of the new"), ("old", "a secret of the old")))


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    ingest.put("cat 1.jpg", b"cat")
    return ingest


def function(ingest, settings=SETTINGS):
    """The function, and the list of the uploads that ingest processed."""
    result = []

    def process(wanted):
        assert wanted.kind is UploadKind.RECONCILE
        result.append(wanted.key)
        return ingest.processor().process(wanted)

    cloud = AwsContext(
        *(settings, BUCKET, ingest.recipe, ingest.uploads, ingest.processed, ingest.catalog),
        process,
        sign_post=None,
        sign_get=None,
        process_isolated=None,
        render=fake_render,
    )
    return open_deliver(cloud), result


def ask(ingest, path=PATH, method="GET", query="", settings=SETTINGS, **headers):
    deliver, result = function(ingest, settings)
    event = {
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": {"method": method}},
    }
    answer = deliver(event, None)
    answer["made"] = result
    return answer


def signed(path, query="", expires=None):
    address = parse_url(path.removeprefix("/"), query)
    return "&".join(filter(None, [query, signature_query(build_keyring(SETTINGS).sign(address, expires))]))


def body_of(answer):
    return base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]


def test_a_declared_rendition_is_rendered_at_its_first_request_and_stored(ingest):
    answer = ask(ingest)
    assert (answer["statusCode"], body_of(answer)) == (200, BODY)
    assert answer["headers"]["content-type"] == "image/jpeg"
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert answer["made"] == ["cat 1.jpg"]
    assert ask(ingest)["made"] == []
    ingest.assert_converged()


def test_conditions_ranges_and_head_are_honoured(ingest):
    etag = ask(ingest)["headers"]["etag"]
    assert ask(ingest, **{"if-none-match": etag})["statusCode"] == 304
    part = ask(ingest, range="bytes=2-3")
    assert (part["statusCode"], body_of(part)) == (206, BODY[2:4])
    assert part["headers"]["content-range"] == f"bytes 2-3/{len(BODY)}"
    assert ask(ingest, range="bytes=900-")["statusCode"] == 416
    head = ask(ingest, method="HEAD")
    assert (head["statusCode"], "body" in head) == (200, False)
    assert head["headers"]["content-length"] == str(len(BODY))


@pytest.mark.parametrize(
    "path",
    [
        "/cat%201.jpg/w=11,fm=jpeg.jpg",
        "/cat%201.jpg/w=10,fm=png.png",
        "/cat%201.jpg/~w=10,q=5,fm=webp.webp",
        "/ignored/cat.jpg/w=10,fm=jpeg.jpg",
        "/cat%201.jpg",
        "/none.jpg",
        "/.image-processor/records/x.json",
    ],
)
def test_an_undeclared_rendition_needs_a_signature_before_any_store_is_read(ingest, path, monkeypatch):
    ingest.put("ignored/cat.jpg", b"cat")
    deliver, result = function(ingest)
    for store in (ingest.uploads, ingest.processed):
        for name in ("head", "get", "read", "put", "list"):
            monkeypatch.setattr(store, name, None)
    event = {"rawPath": path, "headers": {}, "requestContext": {"http": {"method": "GET"}}}
    answer = deliver(event, None)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (403, "signature-missing")
    assert answer["headers"]["cache-control"] == "max-age=300"
    assert (result, list(ingest.catalog.scan())) == ([], [])


@pytest.mark.parametrize(
    ("path", "code"), [("/", "invalid-key"), ("", "invalid-key"), ("/../w=10,fm=jpeg.jpg", "invalid-key")]
)
def test_an_invalid_key_is_an_error(ingest, path, code):
    answer = ask(ingest, path)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, code)


def test_a_declared_rendition_of_a_missing_original_is_404(ingest):
    answer = ask(ingest, "/none.jpg/w=10,fm=jpeg.jpg")
    assert (answer["statusCode"], answer["made"]) == (404, [])
    assert answer["headers"]["cache-control"] == "max-age=60"
    assert list(ingest.catalog.scan()) == []


def test_a_rendition_of_a_refused_original_has_the_reason(ingest):
    ingest.put("bad.jpg", b"bad")
    answer = ask(ingest, "/bad.jpg/w=10,fm=jpeg.jpg")
    reported = json.loads(answer["body"])
    assert (answer["statusCode"], reported["code"], reported["reason"]) == (415, "refused", "not-an-image")
    assert reported["fix"].startswith("Send a JPEG")
    assert ingest.record("bad.jpg").status == "refused"


@pytest.mark.parametrize("query", ["", "w=10&fm=jpeg"])
def test_a_lazy_rendition_is_made_at_its_first_view_under_its_public_name(ingest, query):
    ingest.recipe = replace(RECIPE, lazy=frozenset({"small"}))
    answer = ask(ingest, "/cat%201.jpg" if query else PATH, query=query)
    assert (answer["statusCode"], body_of(answer), answer["made"]) == (200, BODY, [])
    assert ingest.processed.bodies() == {KEY: BODY}
    assert ask(ingest)["headers"].get("server-timing") is None
    ingest.put("cat 1.jpg", b"other cat")
    assert body_of(ask(ingest)) == b"w=10,fm=jpeg of other cat"
    ingest.uploads.delete("cat 1.jpg")
    assert ask(ingest)["statusCode"] == 404


def test_a_transforming_query_on_a_stored_name_needs_a_signature(ingest):
    for query in ("v=1&w=11", "w=11", "v=1&&h=3"):
        answer = ask(ingest, query=query)
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (403, "signature-missing"), query
    assert ask(ingest, query="v=1&v=2")["statusCode"] == 200


@pytest.mark.parametrize(
    ("path", "query"), [("/cat%201.jpg", "w=11&fm=webp"), ("/cat%201.jpg/~w=11,fm=webp", "")]
)
def test_a_signed_url_renders_once_and_stores(ingest, path, query):
    answer = ask(ingest, path, query=signed(path, query))
    assert (answer["statusCode"], body_of(answer)) == (200, b"w=11,fm=webp of cat")
    assert {part.partition(";")[0] for part in answer["headers"]["server-timing"].split(", ")} == {
        "fetch",
        "decode",
        "render",
        "encode",
        "store",
    }
    assert ingest.processed.bodies() == {"cat 1.jpg/~w=11,fm=webp.webp": body_of(answer)}
    again = ask(ingest, path, query=signed(path, query))
    assert body_of(again) == body_of(answer)
    assert "server-timing" not in again["headers"]
    assert answer["made"] == []


def test_a_stored_rendition_of_a_changed_original_is_rendered_again(ingest):
    query = signed("/cat%201.jpg", "w=11&fm=webp")
    ask(ingest, "/cat%201.jpg", query=query)
    ingest.put("cat 1.jpg", b"another cat")
    assert body_of(ask(ingest, "/cat%201.jpg", query=query)) == b"w=11,fm=webp of another cat"


def test_altered_and_expired_urls_have_their_own_codes(ingest):
    good = signed("/cat%201.jpg", "w=11&fm=webp", expires=4_000_000_000)
    codes = {}
    for query in (
        good.replace("w=11", "w=12"),
        good.replace("kid=new", "kid=none"),
        signed("/cat%201.jpg", "w=11&fm=webp", expires=1_000_000_000),
        good.replace("expires=4", "expires=5"),
        good.partition("&s=")[0],
    ):
        answer = ask(ingest, "/cat%201.jpg", query=query)
        assert answer["statusCode"] == 403
        codes[query] = json.loads(answer["body"])["code"]
    assert list(codes.values()) == [
        "signature-mismatch",
        "signature-key-unknown",
        "signature-expired",
        "signature-mismatch",
        "signature-missing",
    ]
    assert ask(ingest, "/cat%201.jpg", query=good)["statusCode"] == 200


def test_a_rendition_too_large_for_a_response_is_stored_and_redirected_to(ingest, monkeypatch):
    assert MAX_BODY * 4 / 3 < 6_000_000
    monkeypatch.setattr(reads, "MAX_BODY", len(BODY) - 1)
    answer = ask(ingest)
    assert answer["statusCode"] == 307
    assert answer["headers"] == {"location": PATH, "cache-control": "no-store"}
    assert ingest.processed.get(KEY).body == BODY
    part = ask(ingest, range="bytes=0-3")
    assert (part["statusCode"], body_of(part)) == (206, BODY[:4])


def test_a_large_on_demand_rendition_is_redirected_to_a_signed_path(ingest, monkeypatch):
    monkeypatch.setattr(reads, "MAX_BODY", 3)
    answer = ask(ingest, "/cat%201.jpg", query=signed("/cat%201.jpg", "w=11&fm=auto"), accept="image/webp")
    path, _, query = answer["headers"]["location"].partition("?")
    assert (answer["statusCode"], path) == (307, "/cat%201.jpg/~w=11,fm=webp.webp")
    monkeypatch.undo()
    again = ask(ingest, path, query=query)
    assert body_of(again) == b"w=11,fm=webp of cat"


def test_a_large_rendition_with_a_hashed_name_is_an_error(ingest, monkeypatch):
    monkeypatch.setattr(reads, "MAX_BODY", 3)
    long = "fm=webp&over=text:" + "a" * 200
    answer = ask(ingest, "/cat%201.jpg", query=signed("/cat%201.jpg", long))
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (415, "output-too-large")


def test_bad_requests_are_errors(ingest):
    assert ask(ingest, "/%ff/w=10,fm=jpeg.jpg")["statusCode"] == 400
    posted = ask(ingest, method="POST")
    assert (posted["statusCode"], posted["headers"]["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_preflight_returns_what_the_setting_allows(ingest):
    shared = replace(SETTINGS, cors_origin="https://shop.example")
    asked = ask(ingest, method="OPTIONS", settings=shared)
    assert (asked["statusCode"], asked["headers"]["access-control-allow-methods"]) == (204, "GET, HEAD")
    assert asked["headers"]["access-control-allow-origin"] == "https://shop.example"
    assert ask(ingest, method="OPTIONS")["headers"] == {"allow": "GET, HEAD, OPTIONS"}


def test_a_transient_error_is_503_and_not_cached(ingest, monkeypatch):
    def unavailable(_):
        raise Unavailable("secret detail")

    monkeypatch.setattr(ingest.processed, "head", unavailable)
    answer = ask(ingest)
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (503, "no-store")
    assert "secret" not in answer["body"]
    assert json.loads(answer["body"])["code"] == "unavailable"


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/%ff", "GET", {}, 400),
        ("/none/w=10,fm=jpeg.jpg", "GET", {}, 404),
        ("/none", "GET", {}, 403),
        (PATH, "PUT", {}, 405),
        (PATH, "GET", {"if-match": '"other"'}, 412),
        (PATH, "GET", {"range": "bytes=900-"}, 416),
    ],
)
def test_errors_are_the_problem_documents_of_the_rest_api(ingest, path, method, headers, status):
    answer = ask(ingest, path, method, **headers)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (status, "application/problem+json")
    assert ProblemModel.model_validate_json(answer["body"]).status == status


def test_a_request_is_counted(ingest, capsys):
    ask(ingest)
    ask(ingest, "/none/w=10,fm=jpeg.jpg")
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Function"], line["Requests"], line["NotFound"]) for line in counted] == [
        ("deliver", 1, 0),
        ("deliver", 1, 1),
    ]


def test_a_rendition_replaced_during_the_request_is_503(ingest, monkeypatch):
    ask(ingest)
    stored = ingest.processed.head(KEY)
    ingest.processed.put(KEY, b"newer", Attributes())
    monkeypatch.setattr(ingest.processed, "head", lambda _: stored)
    assert ask(ingest)["statusCode"] == 503


def test_the_fallback_image_has_the_status_of_the_error(ingest):
    ingest.put("sorry.png", b"sorry")
    ingest.put("bad.jpg", b"bad")
    settings = Settings(fallback="sorry.png")
    for path, status in (("/none/w=10,fm=webp.webp", 404), ("/bad.jpg/w=10,fm=webp.webp", 415)):
        answer = ask(ingest, path, settings=settings)
        assert (answer["statusCode"], body_of(answer)) == (status, b"w=10,fm=webp of sorry")
        assert answer["headers"]["content-type"] == "image/webp"
        assert answer["headers"]["cache-control"] == "max-age=60"
    etag = answer["headers"]["etag"]
    conditions = {"if-none-match": etag, "range": "bytes=0-1"}
    again = ask(ingest, "/none/w=10,fm=webp.webp", settings=settings, **conditions)
    assert (again["statusCode"], body_of(again)) == (404, b"w=10,fm=webp of sorry")
    assert ask(ingest, "/none", settings=settings)["statusCode"] == 403
    assert "sorry.png/~w=10,fm=webp.webp" in ingest.processed.bodies()


def test_a_missing_fallback_leaves_the_error(ingest):
    answer = ask(ingest, "/none/w=10,fm=webp.webp", settings=Settings(fallback="nowhere.png"))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "not-found")
