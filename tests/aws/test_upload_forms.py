"""S3 accepts presigned upload forms, and rejects what violates their policy."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest

from image_processor.bootstrap.aws import _post_signer
from image_processor.storage.s3 import S3Store
from support.aws import REGION, make_bucket
from support.aws_emulation.server import EmulatedAws
from support.plain_http import NO_CERTIFICATES

MAX_BYTES = 2_000_000


def post(form: Any, body: bytes, **changed: str) -> httpx.Response:
    """The form as a browser sends it: the fields in order, then the file."""
    return httpx.post(
        form["url"],
        data={**form["fields"], **changed},
        files={"file": ("my cat.jpg", body)},
        verify=NO_CERTIFICATES,
    )


@pytest.fixture
def bucket(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket of LocalStack, which checks a form against its policy as S3 does."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return make_bucket(aws.endpoint)


def test_s3_accepts_the_form(bucket: str) -> None:
    assert post(sign(bucket, "in/cat é.jpg"), b"a cat").status_code == 204
    stored = S3Store(bucket).get("in/cat é.jpg")
    assert (stored.body, stored.attributes.media_type) == (b"a cat", "image/jpeg")


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b"", {}),
        (b"x" * (MAX_BYTES + 1), {}),
        (b"x", {"key": "in/other.jpg"}),
        (b"x", {"Content-Type": "text/html"}),
    ],
)
def test_s3_rejects_a_form_that_violates_the_policy(
    bucket: str, body: bytes, changed: dict[str, str]
) -> None:
    assert post(sign(bucket, "in/cat.jpg"), body, **changed).status_code in {400, 403}
    assert list(S3Store(bucket).list()) == []


def sign(bucket: str, key: str) -> Any:
    form = _post_signer(bucket, MAX_BYTES)(key, "image/jpeg")
    return {"url": form.url, "fields": form.fields}
