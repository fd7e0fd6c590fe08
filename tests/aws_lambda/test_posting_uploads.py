"""Presigned upload forms: their policy and signature. tests/aws/test_upload_forms.py sends them to S3."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from gateway import Api

from image_processor.aws.credentials import Credentials
from image_processor.aws.endpoints import Endpoint
from image_processor.aws.post_policy import PostForm, PostTarget, post_form
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import image_id
from image_processor.domain.models import Limits
from support.aws import REGION
from support.ingest import BUCKET, IngestFixture

NOW = datetime(2026, 1, 31, 23, 59, 30, 500_000, tzinfo=UTC)
MAX_BYTES = 2_000_000

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/example")


@pytest.fixture
def api() -> Api:
    return Api(IngestFixture(limits=Limits(max_bytes=MAX_BYTES)), upload_prefix="in/")


def build_policy(fields: Any) -> Any:
    return json.loads(base64.b64decode(fields["policy"]))


def form_of(credentials: Credentials) -> PostForm:
    endpoint = Endpoint("https", f"{BUCKET}.s3.eu-west-1.amazonaws.com")
    target = PostTarget(BUCKET, "in/cat é.jpg", "image/jpeg", MAX_BYTES)
    return post_form(target, endpoint, "eu-west-1", credentials, NOW)


def test_the_policy_fixes_bucket_key_size_media_type_and_time(api: Api) -> None:
    answer = api("POST", "/uploads", {"key": "in/cat é.png"})
    assert answer.status == 200
    form = answer.json
    assert (form["id"], form["key"]) == (image_id(BUCKET, "in/cat é.png"), "in/cat é.png")
    assert (form["url"], form["max_bytes"]) == (f"https://{BUCKET}.s3.{REGION}.amazonaws.com", MAX_BYTES)
    policy, fields = build_policy(form["fields"]), form["fields"]
    rows = [row for row in policy["conditions"] if isinstance(row, dict)]
    others = [row for row in policy["conditions"] if not isinstance(row, dict)]
    assert others == [["content-length-range", 1, MAX_BYTES]]
    exact = {name: value for row in rows for name, value in row.items()}
    # S3 refuses a field that the policy does not name, and a policy whose field is missing.
    assert exact == {"bucket": BUCKET, **{k: v for k, v in fields.items() if k not in _UNNAMED}}
    assert (exact["key"], exact["Content-Type"]) == ("in/cat é.png", "image/png")
    left = datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=900)
    assert datetime.fromisoformat(form["expires_at"]) == datetime.fromisoformat(policy["expiration"])


_UNNAMED = {"policy", "x-amz-signature"}


@pytest.mark.parametrize("token", [None, "session/token"])
def test_the_signature_equals_boto3s(token: str | None) -> None:
    form = form_of(Credentials("AKIAEXAMPLE", "secret/example", token))
    theirs = S3SigV4PostAuth(BotocoreCredentials("AKIAEXAMPLE", "secret/example", token), "s3", "eu-west-1")
    request = AWSRequest("POST", form.url)
    request.context["timestamp"] = form.fields["x-amz-date"]
    assert form.fields["x-amz-date"] == "20260131T235930Z"
    assert form.fields["x-amz-credential"] == theirs.scope(request)
    assert form.fields["x-amz-signature"] == theirs.signature(form.fields["policy"], request)
    assert form.fields.get("x-amz-security-token") == token
    assert ({"x-amz-security-token": token} in build_policy(form.fields)["conditions"]) == (token is not None)


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [(None, timedelta(minutes=15)), (timedelta(hours=1), timedelta(minutes=15)), (timedelta(minutes=5),) * 2],
)
def test_a_form_expires_with_its_credentials(lifetime: timedelta | None, expected: timedelta) -> None:
    form = form_of(Credentials("A", "s", "t", NOW + lifetime if lifetime else None))
    assert form.expires_at == (NOW + expected).replace(microsecond=0)
    assert build_policy(form.fields)["expiration"] == form.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "media_type", sorted(each.media_type for each in FORMATS.values() if not each.opt_in)
)
def test_every_readable_media_type_can_be_uploaded(api: Api, media_type: str) -> None:
    fields = api("POST", "/uploads", {"key": "in/cat", "content_type": media_type}).json["fields"]
    assert fields["Content-Type"] == media_type


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.JPG", "image/jpeg"), ("a.jpeg", "image/jpeg"), ("a.tif", "image/tiff"), ("a.tiff", "image/tiff")],
)
def test_the_default_media_type_follows_the_extension(api: Api, name: str, media_type: str) -> None:
    assert api("POST", "/uploads", {"key": "in/" + name}).json["fields"]["Content-Type"] == media_type


TYPES = (
    "image/jpeg | image/png | image/webp | image/avif | image/gif | image/tiff | image/apng | image/heic"
    " | image/jxl"
)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, ["expected a key: 1-1024 bytes of UTF-8 text for key, got nothing"]),
        ({"key": "cat.jpg"}, ["expected a key that starts with in/ for key, got 'cat.jpg'"]),
        ({"key": "in/${filename}.jpg"}, ["expected a key without ${filename} for key"]),
        ({"key": "in/a.txt"}, [f"expected {TYPES} for content_type, got nothing"]),
        ({"key": "in/a.jpg", "content_type": ""}, [f"expected {TYPES} for content_type, got "]),
        ({"key": "a.svg", "content_type": "image/svg+xml"}, ["starts with in/", f"expected {TYPES}"]),
        ({"key": "in/../../a.jpg"}, ["expected a key inside the bucket's root for key"]),
        ({"key": "in/a.jpg", "content_type": 5, "size": 1}, ["for content_type, got 5", "for size"]),
    ],
)
def test_an_invalid_request_is_400_with_every_problem(api: Api, body: Any, details: list[str]) -> None:
    answer = api("POST", "/uploads", body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert len(answer.json["problems"]) == len(details)
    for detail in details:
        assert detail in answer.json["detail"]


def test_a_key_that_no_rule_matches_gets_no_form(api: Api) -> None:
    answer = api("POST", "/uploads", {"key": "in/._cat.jpg"})
    assert (answer.status, answer.json["code"]) == (422, "skipped")


def test_missing_credentials_are_a_server_error(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert api("POST", "/uploads", {"key": "in/a.jpg"}).status == 503
