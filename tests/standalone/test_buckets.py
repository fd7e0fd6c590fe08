"""Which pairs of stores a library may have: two that do not share objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_processor.bootstrap.aws import bucket_names
from image_processor.bootstrap.buckets import bucket_access, check_conditions, open_bucket_stores
from image_processor.config.settings import Settings, from_environment
from image_processor.domain.errors import InvalidSettings, Unavailable
from image_processor.domain.ports import Entry, Stores
from support.memory_catalog import MemoryCatalog
from support.memory_store import MemoryStore


def names(upload: str, processed: str) -> tuple[str, str]:
    values = {"UPLOAD_BUCKET": upload, "PROCESSED_BUCKET": processed}
    return bucket_names(from_environment({f"IMAGE_PROCESSOR_{name}": url for name, url in values.items()}))


@pytest.mark.parametrize(
    ("upload", "processed"),
    [
        ("bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket", "s3://bucket/renditions"),
        ("s3://bucket/photos", "bucket"),
        ("file:///a/b/", "file:///a/b"),
        ("file:///a/b", "file:///a/c/../b/renditions"),
    ],
)
def test_a_store_is_not_on_both_sides_however_it_is_written(upload: str, processed: str) -> None:
    """Reconciliation would delete originals as renditions that belong to none."""
    with pytest.raises(InvalidSettings, match="another bucket than IMAGE_PROCESSOR_UPLOAD_BUCKET's"):
        names(upload, processed)


def test_a_link_to_the_directory_of_originals_is_that_directory(tmp_path: Path) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "originals")
    with pytest.raises(InvalidSettings):
        names(f"file://{tmp_path}/originals", f"file://{tmp_path}/link")


@pytest.mark.parametrize(
    ("upload", "processed"),
    [("bucket", "bucket-2"), ("s3://bucket", "file:///bucket"), ("file:///a/b", "file:///a/bc")],
)
def test_stores_with_similar_names_are_two(upload: str, processed: str) -> None:
    assert names(upload, processed) == tuple(url.rpartition("://")[2] for url in (upload, processed))


def test_a_bucket_that_is_missing_is_named_before_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    settings = Settings(data=tmp_path, upload_bucket="uploads-of-mine")
    with (
        pytest.raises(InvalidSettings, match="PROCESSED_BUCKET"),
        open_bucket_stores(settings, tmp_path / "c"),
    ):
        pass


def test_missing_credentials_name_no_option_that_the_server_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidSettings) as raised:
        bucket_access()
    assert [problem.name for problem in raised.value.problems] == ["AWS_PROFILE", "AWS_REGION"]
    assert "--" not in str(raised.value)


class Ignoring(MemoryStore):
    def put(self, *arguments: Any, condition: object = None) -> Entry:  # noqa: ARG002 - which it ignores
        return super().put(*arguments)


class Unreachable(MemoryStore):
    def put(self, *_: Any, **__: Any) -> Entry:
        raise Unavailable("s3 cannot answer")


def stores(processed: MemoryStore) -> Stores:
    return Stores(MemoryStore(), processed, MemoryCatalog())


def test_a_service_that_ignores_conditions_is_refused_unless_that_is_accepted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    check_conditions(Settings(), stores(MemoryStore()))
    with pytest.raises(InvalidSettings, match="example, which ignores them"):
        check_conditions(Settings(), stores(Ignoring()))
    assert not caplog.messages
    check_conditions(Settings(unconditional_writes=True), stores(Ignoring()))
    assert "ignores If-Match" in caplog.text


def test_a_service_that_cannot_answer_yet_does_not_stop_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    check_conditions(Settings(), stores(Unreachable()))
    assert "not checked" in caplog.text


def test_aws_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    check_conditions(Settings(), stores(Ignoring()))
