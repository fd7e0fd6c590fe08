"""Originals of another bucket, in (emulated) S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_processor.bootstrap.remote import open_remote_originals
from image_processor.config.settings import PREFIX, from_environment
from image_processor.domain.errors import InvalidSettings, NotFound, Refused, SourceFailed, SourceNotAllowed
from image_processor.domain.ports import Attributes, RemoteReader, Validators
from image_processor.remote.bucket_source import BucketSource
from image_processor.standalone.remote_originals import OriginalPending, RemoteOriginals
from image_processor.storage.s3 import S3Store
from support import aws
from support.memory_store import MemoryStore

PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
LIMIT = 1000


@pytest.fixture(scope="module")
def bucket() -> str:
    return aws.make_bucket(aws.address())


@pytest.fixture
def store(bucket: str) -> S3Store:
    return aws.open_store(aws.address(), bucket)


@pytest.fixture
def reader(store: S3Store, bucket: str) -> RemoteReader:
    return BucketSource(lambda url: store if url.host == bucket else None)


def test_an_object_is_read_and_validated_by_its_etag(
    reader: RemoteReader, store: S3Store, bucket: str
) -> None:
    entry = store.put("2024/a b.png", PNG, Attributes(cache_control="max-age=60"))
    url = f"s3://{bucket}/2024/a b.png"
    with reader.open(url, Validators(), limit=LIMIT) as file:
        assert file.chunks is not None
        assert (b"".join(file.chunks), file.validators, file.fresh_seconds) == (
            PNG,
            Validators(entry.version),
            60.0,
        )
    with reader.open(url, file.validators, limit=LIMIT) as file:
        assert file.chunks is None
    store.put("2024/a b.png", PNG + b"2", Attributes())
    with reader.open(url, file.validators, limit=LIMIT) as file:
        assert file.chunks is not None
        assert b"".join(file.chunks) == PNG + b"2"


def test_what_cannot_be_read_is_an_error(reader: RemoteReader, store: S3Store, bucket: str) -> None:
    store.put("large.png", bytes(LIMIT + 1), Attributes())
    for url, error in (
        (f"s3://{bucket}/none.png", NotFound),
        (f"s3://{bucket}/large.png", Refused),
        ("s3://another-bucket/a.png", SourceNotAllowed),
    ):
        with pytest.raises(error), reader.open(url, Validators(), limit=LIMIT):
            pass


def test_an_object_that_is_replaced_while_it_is_read_is_a_failure(bucket: str) -> None:
    store = MemoryStore()
    store.put("a.png", bytes(600_000), Attributes())
    with BucketSource(lambda _: store).open(f"s3://{bucket}/a.png", Validators(), limit=10**6) as file:
        store.put("a.png", PNG, Attributes())
        assert file.chunks is not None
        with pytest.raises(SourceFailed, match=f"cannot fetch from the bucket {bucket}"):
            list(file.chunks)


@pytest.fixture
def remote(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[RemoteOriginals, MemoryStore]]:
    """As a server over directories has it: the bucket's endpoint is that of the setting alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    text = f"old/=s3://{bucket}/2024/?endpoint={aws.address()}&region={aws.REGION}"
    settings = from_environment({f"{PREFIX}REMOTE_SOURCES": text, f"{PREFIX}DATA": str(tmp_path)})
    assert settings.remote_sources == (text,)
    uploads = MemoryStore()
    with open_remote_originals(settings, uploads, lambda _: None, lambda *_: None) as opened:
        assert opened is not None
        yield opened, uploads


def test_an_original_is_fetched_from_a_bucket_of_another_endpoint(
    remote: tuple[RemoteOriginals, MemoryStore], store: S3Store
) -> None:
    originals, uploads = remote
    store.put("2024/a b.png", PNG, Attributes())
    store.put("2023/secret.png", PNG, Attributes())
    with pytest.raises(OriginalPending) as pending:
        originals.require("old/a b.png")
    assert pending.value.future.result(60).error is None
    assert uploads.bodies() == {"old/a b.png": PNG}
    originals.require("old/../2023/secret.png")  # of no source
    assert uploads.bodies() == {"old/a b.png": PNG}


@pytest.mark.parametrize(
    "text",
    [
        "s3://archive/?endpoint=ftp://x",
        "s3://archive/?key=secret",
        "s3://archive/?region=EU west",
        "s3://archive/?endpoint",
    ],
)
def test_options_of_buckets_are_checked(text: str) -> None:
    with pytest.raises(InvalidSettings, match="expected KEY/PREFIX/"):
        from_environment({f"{PREFIX}REMOTE_SOURCES": f"old/={text}"})


def test_a_maximum_below_the_minimum_is_named() -> None:
    sources = {f"{PREFIX}REMOTE_SOURCES": "shop/=https://cdn.example/", f"{PREFIX}REMOTE_MAX_SECONDS": "60"}
    settings = from_environment(sources)
    expected = f"expected at least {PREFIX}REMOTE_MIN_SECONDS, 300 for {PREFIX}REMOTE_MAX_SECONDS, got 60"
    with (
        pytest.raises(InvalidSettings, match=expected),
        open_remote_originals(settings, MemoryStore(), lambda _: None, lambda *_: None),
    ):
        pass
