"""URLs that download originals from their bucket. tests/aws/test_studio.py opens one."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from gateway import Api

from image_processor.aws.credentials import Credentials
from image_processor.aws.endpoints import Endpoint
from image_processor.aws.presigned_get import presigned_get
from image_processor.domain.keys import image_id
from support.aws import REGION
from support.ingest import BUCKET, IngestFixture

NOW = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)
KEY = "in/cat é+1.jpg"
ID = image_id(BUCKET, KEY)
DISPOSITION = 'attachment; filename="cat.jpg"'
PATH = "/images/{id}/download"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/example")
    return Api(IngestFixture())


def test_an_original_has_a_url_that_downloads_it_under_its_name(api: Api) -> None:
    api.ingest.put(KEY, b"cat")
    api("POST", "/images", {"key": KEY})
    answer = api("GET", f"/images/{ID}/download", resource=PATH)
    assert answer.status == 200
    url = urlsplit(answer.json["url"])
    assert f"{url.scheme}://{url.netloc}" == f"https://{BUCKET}.s3.{REGION}.amazonaws.com"
    assert url.path == f"/{quote(KEY)}"
    query = parse_qs(url.query)
    assert query["response-content-disposition"] == [
        "attachment; filename=\"cat __1.jpg\"; filename*=UTF-8''cat%20%C3%A9%2B1.jpg"
    ]
    left = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(minutes=15)


def test_what_is_not_there_has_none(api: Api) -> None:
    assert api("GET", f"/images/{ID}/download", resource=PATH).status == 404
    api.ingest.put(KEY, b"cat")
    api("POST", "/images", {"key": KEY})
    api.ingest.uploads.delete(KEY)
    assert api("GET", f"/images/{ID}/download", resource=PATH).status == 404


@pytest.mark.parametrize("token", [None, "session/token+"])
def test_the_signature_equals_boto3s(token: str | None) -> None:
    endpoint = Endpoint("https", f"{BUCKET}.s3.eu-west-1.amazonaws.com")
    credentials = Credentials("AKIAEXAMPLE", "secret/example", token)
    ours = urlsplit(presigned_get(KEY, DISPOSITION, endpoint, "eu-west-1", credentials, NOW).url)
    names = {name: values[0] for name, values in parse_qs(ours.query).items()}
    assert names.get("X-Amz-Security-Token") == token
    signature = names.pop("X-Amz-Signature")
    theirs = S3SigV4QueryAuth(
        BotocoreCredentials("AKIAEXAMPLE", "secret/example", token), "s3", "eu-west-1", expires=900
    )
    request = AWSRequest("GET", f"{endpoint.url}/{quote(KEY)}")
    request.url += "?" + "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in names.items()
    )
    request.context["timestamp"] = names["X-Amz-Date"]
    request.headers["host"] = endpoint.host
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert signature == theirs.signature(text, request)


def test_a_url_ends_with_the_credentials() -> None:
    endpoint = Endpoint("http", "localhost:4566", "/bucket")
    credentials = Credentials("AKIAEXAMPLE", "secret", None, NOW + timedelta(minutes=5))
    signed = presigned_get("a.jpg", DISPOSITION, endpoint, "eu-west-1", credentials, NOW)
    assert signed.expires_at == NOW + timedelta(minutes=5)
    assert "X-Amz-Expires=300&" in signed.url
    assert signed.url.startswith("http://localhost:4566/bucket/a.jpg?")
