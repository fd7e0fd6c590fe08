"""Settings: one variable each, all problems_of at once, each with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    REMOTE_SETTINGS,
    URL_SETTINGS,
    Settings,
    dialect_settings,
    effective,
    from_environment,
)
from image_processor.domain.errors import InvalidSettings
from image_processor.domain.models import ExifField, IccPolicy


def read(**variables):
    return from_environment({PREFIX + name: value for name, value in variables.items()})


def test_an_empty_environment_gives_the_defaults():
    settings = from_environment({"PATH": "/bin", "HOME": "/"})
    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    assert settings.worker_count >= 1


def test_every_setting_can_be_set():
    settings = read(
        DATA="/srv/images",
        UPLOAD_BUCKET="my-uploads",
        PROCESSED_BUCKET="my-renditions",
        TABLE="records",
        UPLOAD_PREFIX="incoming/",
        PUBLIC_URL="https://img.example/a/",
        DISTRIBUTION="E2EXAMPLE1",
        QUEUE="https://sqs.eu-west-1.amazonaws.com/123456789012/images-IngestQueue-1",
        DEAD_LETTERS="http://127.0.0.1:5000/123456789012/dead_letters",
        RECIPE="my.toml",
        HOST="0.0.0.0",
        PORT="9000",
        ALLOWED_HOSTS="img.example, www.example",
        WORKERS="3",
        CACHE_CONTROL="no-store",
        ICC="embed",
        FONTS="/srv/fonts",
        OVERLAYS="logos/",
        EXIF="iso, make,iso",
        SWEEP_SECONDS="5",
        MAX_BYTES="2",
        MAX_PIXELS="3",
        MAX_FRAMES="4",
        MAX_SCANS="5",
        MAX_OUTPUT_PIXELS="6",
        MAX_MEMORY="700",
        CPU_SECONDS="7",
    )
    assert (settings.data, settings.recipe) == (Path("/srv/images"), "my.toml")
    assert (settings.upload_bucket, settings.processed_bucket) == ("my-uploads", "my-renditions")
    assert (settings.table, settings.upload_prefix) == ("records", "incoming/")
    assert (settings.public_url, settings.distribution) == ("https://img.example/a", "E2EXAMPLE1")
    assert (settings.host, settings.port, settings.worker_count) == ("0.0.0.0", 9000, 3)
    assert settings.queue == "https://sqs.eu-west-1.amazonaws.com/123456789012/images-IngestQueue-1"
    assert settings.dead_letters == "http://127.0.0.1:5000/123456789012/dead_letters"
    assert settings.allowed_hosts == ("img.example", "www.example")
    assert (settings.cache_control, settings.icc, settings.sweep_seconds) == ("no-store", IccPolicy.EMBED, 5)
    assert (settings.fonts, settings.overlays) == (Path("/srv/fonts"), "logos/")
    assert settings.exif == (ExifField.MAKE, ExifField.ISO)
    limits = settings.limits
    assert (limits.max_bytes, limits.max_pixels, limits.max_frames) == (2 * 2**20, 3_000_000, 4)
    assert limits.max_memory == 700 * 2**20
    assert (limits.max_scans, limits.max_output_pixels, limits.cpu_seconds) == (5, 6_000_000, 7)


def test_every_setting_has_a_field():
    fields = {row.field for row in (*GENERAL_SETTINGS, *URL_SETTINGS, *REMOTE_SETTINGS, *AWS_SETTINGS)}
    assert fields == set(Settings.__struct_fields__) - {"limits", "dialect_settings", "origins"}
    assert {row.name.lower() for row in LIMIT_SETTINGS} == set(Settings().limits.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("PORT", "65536", "0-65535"),
        ("PORT", "http", "0-65535"),
        ("WORKERS", "-1", "0-256"),
        ("CACHE_CONTROL", "a\nSet-Cookie: b", "a line of ASCII"),
        ("UPLOAD_BUCKET", "My_Bucket", "a bucket name"),
        ("PUBLIC_URL", "img.example", "an address like https://img.example"),
        ("PUBLIC_URL", "https://img.example/?a", "an address like https://img.example"),
        ("DISTRIBUTION", "E2/../x", "a distribution id"),
        ("QUEUE", "arn:aws:sqs:eu-west-1:123456789012:images", "a queue URL"),
        ("DEAD_LETTERS", "https://sqs.eu-west-1.amazonaws.com/1/a?b", "a queue URL"),
        ("ICC", "keep", "strip | embed | preserve"),
        ("EXIF", "make,maker", f"some of {','.join(ExifField)}"),
        ("EXIF", "all", f"some of {','.join(ExifField)}"),
        ("MAX_BYTES", "0", "1-4096"),
        ("CPU_SECONDS", "", "1-3600"),
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(name, text, expected):
    with pytest.raises(InvalidSettings) as caught:
        read(**{name: text})
    assert str(caught.value) == f"expected {expected} for {PREFIX}{name}, got {text!r}"


def test_an_unknown_variable_is_invalid_and_every_problem_is_reported():
    with pytest.raises(InvalidSettings) as caught:
        read(MAX_BYTE="1", PORT="x")
    assert {problem.name for problem in caught.value.problems} == {PREFIX + "MAX_BYTE", PREFIX + "PORT"}
    expected = {problem.name: problem.expected for problem in caught.value.problems}
    assert expected[PREFIX + "MAX_BYTE"].startswith(f"a setting that exists, such as {PREFIX}MAX_BYTES")


def test_only_listed_exif_fields_are_kept():
    assert read().exif == read(EXIF="").exif == ()
    assert read(EXIF="gps").exif == (ExifField.GPS,)


def test_dialects_keep_their_order_and_unknown_ones_are_invalid():
    assert read().dialects == ()
    assert read(DIALECTS=" imgproxy, Thumbor,thumbor").dialects == ("imgproxy", "thumbor")
    with pytest.raises(InvalidSettings, match="for IMAGE_PROCESSOR_DIALECTS, got 'imagekit'"):
        read(DIALECTS="imagekit")


def test_secrets_are_not_shown():
    secrets = {
        "THUMBOR_KEY": "hush-hush",
        "DIT_SECRET": "hush-hush",
        "IMGPROXY_KEY": "686f7573",
        "IMGPROXY_SALT": "686f7573",
        "CLOUDINARY_SECRET": "hush-hush",
        "IMGIX_TOKENS": "hush-hush,hush",
        "SIGNING_KEYS": "a:hush-hush-hush-hush",
    }
    settings = read(**secrets)
    assert settings.dialect_settings == {
        "thumbor_key": "hush-hush",
        "dit_secret": "hush-hush",
        "imgproxy_key": b"hous",
        "imgproxy_salt": b"hous",
        "cloudinary_secret": "hush-hush",
        "imgix_tokens": ("hush-hush", "hush"),
    }
    specs = (*URL_SETTINGS, *dialect_settings())
    shown = {row.name: value for row, value in effective(settings, specs)}
    assert shown["IMGPROXY_SIGNATURE_BYTES"] == "32"
    secret = {row.name for row in specs if row.secret}
    assert secret == set(secrets)
    assert {shown[name] for name in secrets} == {"(set)"}
    for word in ("hush", "hous", "686f"):
        assert word not in repr(shown)
        assert word not in repr(settings)


def test_an_invalid_secret_is_not_shown():
    with pytest.raises(InvalidSettings) as caught:
        read(IMGPROXY_KEY="my-secret", SIGNING_KEYS="my-secret")
    assert "my-secret" not in str(caught.value)
    assert "expected pairs of hex digits for IMAGE_PROCESSOR_IMGPROXY_KEY" in str(caught.value)
