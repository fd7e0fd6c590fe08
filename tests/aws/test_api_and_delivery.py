"""The REST API through API Gateway and renditions through the function URL, of the deployed system."""

from __future__ import annotations

from urllib.parse import quote

import httpx
from pictures import picture

from image_processor.aws_lambda.deliver_function import MAX_BODY
from image_processor.domain.keys import image_id, rendition_prefix
from support.aws_emulation.deployed import Deployed
from support.plain_http import NO_CERTIFICATES


def test_post_image_returns_the_original_and_its_renditions(system: Deployed) -> None:
    key = system.upload(picture())
    answer = system.api("POST", "/images", json={"bucket": system.uploads, "key": key})
    assert answer.status_code == 200, answer.text
    image = answer.json()
    assert image["original"] == key
    assert image["processed"] in system.renditions(key)
    assert image["id"] == image_id(system.uploads, key)
    assert {each["key"] for each in image["renditions"]} == set(system.renditions(key))


def test_post_image_reports_errors(system: Deployed) -> None:
    key = system.upload(picture())
    wrong = {"bucket": "another-one", "key": key}
    assert system.api("POST", "/images", json=wrong).status_code == 400
    assert system.api("POST", "/images", json={"key": "never-there.png"}).status_code == 404
    assert system.api("POST", "/images", json={}).status_code == 400
    text = system.api("POST", "/images", json={"key": system.upload(b"no picture")})
    assert text.status_code == 422
    assert text.json()["reason"] == "not-an-image"


def test_images_are_listed_and_looked_up(system: Deployed) -> None:
    key = system.upload(picture(), "listed/one.png")
    system.wait_until_processed(key)
    listing = system.api("GET", "/images", params={"prefix": "listed/"}).json()
    (image,) = listing["images"]
    assert system.api("GET", f"/images/{image['id']}").json() == image
    assert system.api("GET", "/images/nobody-has-this-id").status_code == 404


def test_reprocess_makes_every_rendition_again(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    for each in system.renditions(key):
        system.s3.delete_object(Bucket=system.processed, Key=each)
    path = f"/images/{image_id(system.uploads, key)}/reprocess"
    answer = system.api("POST", path, headers={"Prefer": "wait=20"})
    assert answer.status_code == 200, answer.text
    assert {each["key"] for each in answer.json()["renditions"]} == set(system.renditions(key)) != set()


def test_a_delete_removes_the_original_and_its_renditions(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    assert system.api("DELETE", f"/images/{image_id(system.uploads, key)}").status_code == 204
    assert system.renditions(key) == []
    system.wait_until_idle()  # the bucket tells of the deletion too, and that event is a claim for a moment
    assert system.record(key) is None
    assert system.api("GET", f"/images/{image_id(system.uploads, key)}").status_code == 404


def test_a_signed_form_uploads_exactly_what_it_was_signed_for(system: Deployed) -> None:
    form = system.api("POST", "/uploads", json={"key": "form/a b.png"}).json()
    body = picture()
    assert post(form, body, {"key": "form/another.png"}) == 403
    assert post(form, body, {"Content-Type": "text/html"}) == 403
    assert post(form, b"") == 400
    assert post(form, body) == 204
    system.wait_until_processed("form/a b.png")


def post(form: dict[str, object], body: bytes, changed: dict[str, str] | None = None) -> int:
    fields = {**form["fields"], **(changed or {})}  # type: ignore[dict-item]  # JSON of the API
    return httpx.post(str(form["url"]), data=fields, files={"file": body}, verify=NO_CERTIFICATES).status_code


def test_the_recipe_and_health_are_served(system: Deployed) -> None:
    assert system.api("GET", "/recipe").json()["rules"]
    assert system.api("GET", "/health").json()["status"] == "ok"


def test_a_stored_rendition_is_delivered_unchanged(system: Deployed) -> None:
    key = system.upload(picture(), "delivered/a b+c.png")
    system.wait_until_processed(key)
    for each in system.renditions(key):
        stored, answer = system.rendition(each), system.deliver("/" + quote(each, safe="/=,"))
        assert answer.status_code == 200
        assert answer.content == stored["Body"]
        assert answer.headers["content-type"] == stored["ContentType"]


def test_a_missing_declared_rendition_is_rendered_and_stored(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    missing = rendition_prefix(key) + "w=320,fm=jpeg.jpg"
    system.s3.delete_object(Bucket=system.processed, Key=missing)
    answer = system.deliver("/" + missing)
    assert answer.status_code == 200
    assert system.rendition(missing)["Body"] == answer.content


def test_an_undeclared_rendition_needs_a_signature(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    before = system.everything_processed()
    undeclared = rendition_prefix(key) + "w=321,fm=jpeg.jpg"
    for path in (undeclared, key, ".image-processor/records/x"):
        assert system.deliver("/" + path).status_code == 403, path
    assert system.deliver("/never-there.png/w=320,fm=jpeg.jpg").status_code == 404
    assert system.everything_processed() == before


def test_a_rendition_too_large_for_a_response_is_stored(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    large = rendition_prefix(key) + "w=640,fm=jpeg.jpg"
    system.s3.put_object(Bucket=system.processed, Key=large, Body=bytes(MAX_BODY + 1))
    answer = system.deliver("/" + large)
    assert answer.status_code == 307
    assert answer.headers["location"] == "/" + large
