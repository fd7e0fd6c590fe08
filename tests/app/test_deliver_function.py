"""The deliver function over fakes: stored renditions, made ones, conditions, large ones, errors."""

from __future__ import annotations

import base64
import json

import pytest

from image_processor.app import reads
from image_processor.app.reads import MAX_BODY, handle
from image_processor.delivery.find import declared_original, find
from image_processor.errors import NotFound, Unavailable
from image_processor.http_api.views import ProblemView
from image_processor.model import Kind
from image_processor.ports import Attributes
from support.ingest import RECIPE, Room, upload

KEY = "cat 1.jpg/w=10,fm=jpeg.jpg"
PATH = "/cat%201.jpg/w=10,fm=jpeg.jpg"
BODY = b"w=10,fm=jpeg of cat"


@pytest.fixture
def room():
    room = Room()
    room.put("cat 1.jpg", b"cat")
    return room


def ask(room, path=PATH, method="GET", **headers):
    made = []

    def make(original):
        made.append(original)
        room.uploads.head(original)
        room.processor().process(upload(original, kind=Kind.RECONCILE))

    event = {"rawPath": path, "headers": headers, "requestContext": {"http": {"method": method}}}
    answer = handle(event, lambda key: find(room.processed, key, RECIPE, make), room.processed, "public")
    answer["made"] = made
    return answer


def body_of(answer):
    return base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]


def test_a_declared_rendition_is_made_at_its_first_request_and_stored(room):
    answer = ask(room)
    assert (answer["statusCode"], body_of(answer)) == (200, BODY)
    assert answer["headers"]["content-type"] == "image/jpeg"
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert answer["made"] == ["cat 1.jpg"]
    assert ask(room)["made"] == []
    room.assert_converged()


def test_conditions_ranges_and_head_are_honoured(room):
    etag = ask(room)["headers"]["etag"]
    assert ask(room, **{"if-none-match": etag})["statusCode"] == 304
    part = ask(room, range="bytes=2-3")
    assert (part["statusCode"], body_of(part)) == (206, BODY[2:4])
    assert part["headers"]["content-range"] == f"bytes 2-3/{len(BODY)}"
    assert ask(room, range="bytes=900-")["statusCode"] == 416
    head = ask(room, method="HEAD")
    assert (head["statusCode"], "body" in head) == (200, False)
    assert head["headers"]["content-length"] == str(len(BODY))


@pytest.mark.parametrize(
    "path",
    [
        "/cat%201.jpg/w=11,fm=jpeg.jpg",
        "/cat%201.jpg/w=010,fm=jpeg.jpg",
        "/none.jpg/w=10,fm=jpeg.jpg",
        "/ignored/cat.jpg/w=10,fm=jpeg.jpg",
        "/cat%201.jpg",
        "/",
        "",
        "/../w=10,fm=jpeg.jpg",
        "/.image-processor/records/x.json",
    ],
)
def test_what_no_recipe_declares_is_not_there_and_costs_no_work(room, path):
    room.processed.put(".image-processor/records/x.json", b"{}", Attributes())
    answer = ask(room, path)
    assert answer["statusCode"] == 404
    assert answer["headers"]["cache-control"] == "max-age=5"
    assert list(room.catalog.scan()) == []


def test_a_rendition_of_a_refused_original_is_not_there(room):
    room.put("bad.jpg", b"bad")
    assert ask(room, "/bad.jpg/w=10,fm=jpeg.jpg")["statusCode"] == 404
    assert room.record("bad.jpg").status == "refused"


def test_a_rendition_too_large_for_an_answer_is_stored_and_redirected_to(room, monkeypatch):
    assert MAX_BODY * 4 / 3 < 6_000_000
    monkeypatch.setattr(reads, "MAX_BODY", len(BODY) - 1)
    answer = ask(room)
    assert answer["statusCode"] == 307
    assert answer["headers"] == {"location": PATH, "cache-control": "no-store"}
    assert room.processed.get(KEY).body == BODY
    part = ask(room, range="bytes=0-3")
    assert (part["statusCode"], body_of(part)) == (206, BODY[:4])


def test_bad_requests_are_told_so(room):
    assert ask(room, "/%ff/w=10,fm=jpeg.jpg")["statusCode"] == 400
    posted = ask(room, method="POST")
    assert (posted["statusCode"], posted["headers"]["allow"]) == (405, "GET, HEAD")


def test_a_transient_failure_is_503_and_cached_by_nobody(room):
    def unavailable(_):
        raise Unavailable("secret detail")

    event = {"rawPath": PATH, "headers": {}, "requestContext": {"http": {"method": "GET"}}}
    answer = handle(event, unavailable, room.processed, "public")
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (503, "no-store")
    assert "secret" not in answer["body"]
    assert json.loads(answer["body"])["code"] == "unavailable"


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/%ff", "GET", {}, 400),
        ("/none", "GET", {}, 404),
        (PATH, "PUT", {}, 405),
        (PATH, "GET", {"if-match": '"other"'}, 412),
        (PATH, "GET", {"range": "bytes=900-"}, 416),
    ],
)
def test_errors_are_the_problem_documents_of_the_rest_api(room, path, method, headers, status):
    answer = ask(room, path, method, **headers)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (status, "application/problem+json")
    assert ProblemView.model_validate_json(answer["body"]).status == status


def test_a_request_is_counted(room, capsys):
    ask(room)
    ask(room, "/none")
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Function"], line["Requests"], line["NotFound"]) for line in counted] == [
        ("deliver", 1, 0),
        ("deliver", 1, 1),
    ]


def test_a_rendition_written_anew_between_look_and_read_is_asked_for_again(room):
    ask(room)
    stored = room.processed.head(KEY)
    room.processed.put(KEY, b"newer", Attributes())
    event = {"rawPath": PATH, "headers": {}, "requestContext": {"http": {"method": "GET"}}}
    assert handle(event, lambda _: stored, room.processed, "public")["statusCode"] == 503


@pytest.mark.parametrize(
    ("key", "original"),
    [
        ("a/cat.jpg/w=10,fm=jpeg.jpg", "a/cat.jpg"),
        ("a/cat.jpg/w=10,fm=png.png", None),
        ("a/cat.jpg/fm=jpeg,w=10.jpg", None),
        ("w=10,fm=jpeg.jpg", None),
        ("a/cat.jpg/notes.txt", None),
    ],
)
def test_the_original_of_a_declared_rendition(key, original):
    assert declared_original(key, RECIPE) == original


def test_find_looks_at_nothing_that_is_no_rendition_by_its_name(room):
    room.processed.put("a/notes.txt", b"x", Attributes())
    with pytest.raises(NotFound):
        find(room.processed, "a/notes.txt", RECIPE, lambda _: None)
