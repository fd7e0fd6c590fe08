"""Responses to GET and HEAD: conditions and ranges of RFC 9110, without reading the object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.delivery.http.conditions import ByteRange, may_write
from image_processor.delivery.http.headers import expiring_cache_control
from image_processor.delivery.http.response import ResponseHead, build_response, entity_tag
from image_processor.domain.ports import Attributes, Entry, StoredObject

MODIFIED = datetime(2026, 3, 4, 5, 6, 7, 800_000, UTC)
LAST_MODIFIED = "Wed, 04 Mar 2026 05:06:07 GMT"
EARLIER = "Wed, 04 Mar 2026 05:06:06 GMT"
SHA256 = "ab" * 32
TAG = f'"{SHA256}"'


def stored(
    size: int = 1000, version: str = "v1", modified: datetime = MODIFIED, **more: object
) -> StoredObject:
    attributes = Attributes(**{"media_type": "image/avif", "metadata": {"sha256": SHA256}, **more})  # type: ignore[arg-type]  # a test's own words
    return StoredObject(Entry("a.jpg/w=1,fm=avif.avif", size, version, modified), attributes)


def ask(headers: dict[str, str] | None = None, method: str = "GET", size: int = 1000) -> ResponseHead:
    return build_response(method, headers or {}, stored(size), cache_control="public, max-age=60")


def test_a_plain_get_returns_everything_with_exact_headers() -> None:
    assert ask() == ResponseHead(
        200,
        {
            "content-type": "image/avif",
            "content-length": "1000",
            "etag": TAG,
            "last-modified": LAST_MODIFIED,
            "cache-control": "public, max-age=60",
            "accept-ranges": "bytes",
            "content-disposition": "inline",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        },
        ByteRange(0, 1000),
    )


def test_head_returns_the_headers_of_get_without_a_body() -> None:
    assert ask(method="HEAD") == ResponseHead(200, ask().headers, None)
    assert ask({"range": "bytes=0-9"}, "HEAD") == ResponseHead(200, ask().headers, None)


def test_an_object_s_own_cache_control_wins() -> None:
    own = build_response("GET", {}, stored(cache_control="no-cache"), cache_control="public")
    assert own.headers["cache-control"] == "no-cache"


def test_last_modified_is_in_utc() -> None:
    elsewhere = MODIFIED.astimezone(timezone(timedelta(hours=-7)))
    response = build_response("GET", {}, stored(modified=elsewhere), cache_control="public")
    assert response.headers["last-modified"] == LAST_MODIFIED


def test_the_tag_is_the_hash_else_the_version() -> None:
    assert entity_tag(stored()) == SHA256
    assert entity_tag(stored(version="18ea-5", metadata={})) == "18ea-5"


def test_a_version_unfit_for_an_entity_tag_is_hashed() -> None:
    tags = {entity_tag(stored(version=version, metadata={})) for version in ('a"b', "a b", "\u00e4", "")}
    assert len(tags) == 4
    assert all(len(tag) == 64 and tag.isalnum() for tag in tags)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": TAG}, 304),
        ({"if-none-match": f'"other", {TAG}'}, 304),
        ({"if-none-match": f"W/{TAG}"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": SHA256}, 200),
        ({"if-none-match": ""}, 200),
        ({"if-modified-since": LAST_MODIFIED}, 304),
        ({"if-modified-since": "Wednesday, 04-Mar-26 05:06:07 GMT"}, 304),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": LAST_MODIFIED, "if-none-match": '"other"'}, 200),
        ({"if-modified-since": EARLIER, "if-none-match": TAG}, 304),
        ({"if-match": TAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f"W/{TAG}"}, 412),
        ({"if-match": '"other"'}, 412),
        ({"if-match": '"other"', "if-none-match": TAG}, 412),
        ({"if-unmodified-since": LAST_MODIFIED}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
        ({"if-unmodified-since": EARLIER, "if-match": TAG}, 200),
        ({"if-unmodified-since": "never"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions(headers: dict[str, str], status: int, method: str) -> None:
    assert ask(headers, method).status == status


@pytest.mark.parametrize(
    ("headers", "over_this", "over_nothing"),
    [
        ({}, True, True),
        ({"if-none-match": "*"}, False, True),
        ({"if-none-match": '"v1"'}, False, True),
        ({"if-none-match": 'W/"v1"'}, False, True),
        ({"if-none-match": '"v2"'}, True, True),
        ({"if-match": "*"}, True, False),
        ({"if-match": '"v2", "v1"'}, True, False),
        ({"if-match": 'W/"v1"'}, False, False),
        ({"if-match": '"v2"'}, False, False),
        ({"if-match": "v1"}, False, False),
        ({"if-match": '"v1"', "if-none-match": '"v1"'}, False, False),
    ],
)
def test_preconditions_of_a_write(headers: dict[str, str], over_this: bool, over_nothing: bool) -> None:  # noqa: FBT001 - a case
    assert (may_write(headers, "v1"), may_write(headers, None)) == (over_this, over_nothing)


def test_not_modified_has_validators_and_no_length() -> None:
    response = ask({"if-none-match": TAG})
    assert response == ResponseHead(
        304, {"etag": TAG, "last-modified": LAST_MODIFIED, "cache-control": "public, max-age=60"}
    )


def test_failures_are_never_stored() -> None:
    failed = ask({"if-match": '"other"'})
    outside = ask({"range": "bytes=1000-"})
    assert (failed.status, failed.headers, failed.byte_range) == (412, {"cache-control": "no-store"}, None)
    assert (outside.status, outside.byte_range) == (416, None)
    assert outside.headers == {"cache-control": "no-store", "content-range": "bytes */1000"}


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-", ByteRange(0, 1000)),
        ("bytes=10-19", ByteRange(10, 20)),
        ("bytes=990-2000", ByteRange(990, 1000)),
        ("bytes=-1", ByteRange(999, 1000)),
        ("bytes=-2000", ByteRange(0, 1000)),
        ("BYTES = 10-19", ByteRange(10, 20)),
        ("bytes=999-9999999999999999999", ByteRange(999, 1000)),
    ],
)
def test_a_range_returns_its_part(wanted: str, part: ByteRange) -> None:
    response = ask({"range": wanted})
    assert (response.status, response.byte_range) == (206, part)
    assert response.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/1000"
    assert response.headers["content-length"] == str(part.stop - part.start)
    assert response.headers["etag"] == TAG


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_a_range_outside_returns_416_with_the_size(wanted: str) -> None:
    assert ask({"range": wanted}).status == 416


def test_a_range_of_an_empty_object_is_416() -> None:
    assert ask(size=0).byte_range == ByteRange(0, 0)
    assert ask({"range": "bytes=0-"}, size=0).status == 416
    assert ask({"range": "bytes=-5"}, size=0).status == 416


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,3-4",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=+1-2",
        "lines=0-1",
        "0-1",
        "bytes=1-99999999999999999999",
    ],
)
def test_an_unsupported_range_returns_everything(wanted: str) -> None:
    assert ask({"range": wanted}) == ask()


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), ('"other"', 200), (f"W/{TAG}", 200), ("*", 200), (LAST_MODIFIED, 200)],
)
def test_if_range_allows_a_part_of_the_same_version_only(condition: str, status: int) -> None:
    assert ask({"range": "bytes=500-", "if-range": condition}).status == status


def test_not_modified_takes_precedence_over_a_range() -> None:
    assert ask({"range": "bytes=500-", "if-none-match": TAG}).status == 304


@given(
    size=st.integers(1, 300),
    first=st.integers(0, 400) | st.none(),
    last=st.integers(0, 400) | st.none(),
)
def test_ranges_equal_python_slices(size: int, first: int | None, last: int | None) -> None:
    body = bytes(at % 256 for at in range(size))
    target = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    response = ask({"range": target}, size=size)
    if first is None and last is not None:
        expected = body[-last:] if last else b""
    elif first is None or (last is not None and last < first):
        assert response.status == 200
        return
    else:
        expected = body[first : None if last is None else last + 1]
    assert response.status == (206 if expected else 416)
    sent = body[response.byte_range.start : response.byte_range.stop] if response.byte_range else b""
    assert sent == expected
    assert response.headers.get("content-length", "0") == str(len(expected))


NAMES = ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
TEXTS = st.text(max_size=60) | st.sampled_from([TAG, "*", LAST_MODIFIED, "bytes=0-", "bytes=-1"])


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS), st.sampled_from(["GET", "HEAD"]), st.integers(0, 2000))
def test_arbitrary_headers_never_raise(headers: dict[str, str], method: str, size: int) -> None:
    response = ask(headers, method, size)
    assert response.status in {200, 206, 304, 412, 416}
    if response.byte_range is not None:
        assert method == "GET"
        assert 0 <= response.byte_range.start <= response.byte_range.stop <= size
        assert response.headers["content-length"] == str(response.byte_range.stop - response.byte_range.start)
    assert all(value.isprintable() and value.isascii() for value in response.headers.values())


@pytest.mark.parametrize(
    ("cache_control", "seconds", "expected"),
    [
        ("public, max-age=60", 30, "public, max-age=30, must-revalidate"),
        ("public, max-age=60", 90, "public, max-age=60, must-revalidate"),
        (
            "public, max-age=3600, s-maxage=7200, stale-while-revalidate=86400, stale-if-error=9, immutable",
            30,
            "public, max-age=30, s-maxage=30, must-revalidate",
        ),
        ("public", 30, "public, max-age=30, must-revalidate"),
        ("", 0, "max-age=0, must-revalidate"),
        ("no-store", 30, "no-store, must-revalidate"),
    ],
)
def test_no_cache_may_answer_after_the_expiry(cache_control, seconds, expected):
    assert expiring_cache_control(cache_control, seconds) == expected
