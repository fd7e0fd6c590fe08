"""The S3 store: which client a key uses, and the errors that S3's responses stand for."""

from __future__ import annotations

import posixpath
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import unquote

import pytest
from contract_keys import DIFFICULT_KEYS, FULL, PLAIN, keys_of
from domain_strategies import KEYS
from hypothesis import given

from image_processor.aws import client as client_module
from image_processor.aws.credentials import Credentials, credentials_from
from image_processor.aws.retries import INTERACTIVE, Retries
from image_processor.domain.errors import (
    ImageProcessorError,
    Invalid,
    InvalidSettings,
    NotFound,
    PreconditionFailed,
    Refused,
    Unavailable,
    Unreadable,
)
from image_processor.domain.ports import ABSENT, Absent, Attributes
from image_processor.storage.s3 import S3Store, obstore_client
from image_processor.storage.s3.obstore_client import is_expressible
from support import aws
from support.scripted_http import HANG_UP, Reply, scripted

XML = "<?xml version='1.0'?><Error><Code>{}</Code><Message>m</Message></Error>"
HEADERS = {"ETag": '"e1"', "Last-Modified": "Sun, 17 May 2026 12:30:05 GMT", "Content-Type": "image/webp"}
PLAIN_KEY, INEXPRESSIBLE_KEY = "photos/cat.jpg", "photos//cat.jpg"
TWO_ATTEMPTS = Retries(attempts=2)
BOTH_CLIENTS = pytest.mark.parametrize("key", [PLAIN_KEY, INEXPRESSIBLE_KEY])


def error(status: int, code: str) -> Reply:
    return Reply(status, XML.format(code).encode(), {"Content-Type": "application/xml"})


@pytest.fixture
def bucket() -> str:
    return aws.make_bucket(aws.address())


@pytest.fixture
def store(bucket: str) -> S3Store:
    return aws.open_store(aws.address(), bucket)


class TestKeys:
    @given(key=KEYS)
    def test_obstore_requests_exactly_the_expressible_key(self, key: str) -> None:
        """Other keys are never sent by it; these arrive unchanged, percent-encoded."""
        with scripted(Reply(404)) as script:
            client = aws.open_store(script.address, "bucket")._obstore
            if not is_expressible(key):
                return
            with pytest.raises(NotFound):
                client.head(key)
        assert unquote(script.seen[0].target) == f"/bucket/{key}"

    @pytest.mark.parametrize(
        "key", [key for key in DIFFICULT_KEYS if not is_expressible(key)], ids=lambda key: ascii(key)[1:25]
    )
    def test_an_inexpressible_key_never_touches_similar_keys(self, store: S3Store, key: str) -> None:
        """obstore would treat `a/` as `a`, and path libraries `a/../b` as `b`."""
        near = {key.strip("/"), posixpath.normpath(key).strip("/"), key.replace("//", "/")} - {key, "", "."}
        for other in near:
            store.put(other, b"other", PLAIN)
        store.put(key, b"encoded", FULL)
        store.delete(key)
        assert {other: store.get(other).body for other in near} == dict.fromkeys(near, b"other")

    @BOTH_CLIENTS
    @pytest.mark.parametrize("token", ["the-token", None])
    def test_only_the_given_credentials_sign_requests(
        self, monkeypatch: pytest.MonkeyPatch, key: str, token: str | None
    ) -> None:
        environment = {"AWS_ACCESS_KEY_ID": "the-id", "AWS_SECRET_ACCESS_KEY": "secret"}
        if token:
            environment["AWS_SESSION_TOKEN"] = token
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.setenv(f"AWS_{name}", "not-these")
        with scripted(Reply(404)) as script:
            store = S3Store(
                "bucket",
                endpoint=script.address,
                region=aws.REGION,
                credentials=credentials_from(environment),
            )
            with pytest.raises(NotFound):
                store.get(key)
        headers = script.seen[0].headers
        assert "Credential=the-id/" in headers["authorization"]
        assert headers.get("x-amz-security-token") == token

    def test_expiring_credentials_are_requested_again(self) -> None:
        """As with SnapStart. Credentials of the environment are read once."""
        now = datetime.now(UTC)
        ending = (Credentials(f"id-{n}", "secret", "token", now + timedelta(seconds=n)) for n in count())
        with scripted(Reply(404)) as script:
            store = S3Store(
                "bucket", endpoint=script.address, region=aws.REGION, credentials=lambda: next(ending)
            )
            for _ in range(2):
                with pytest.raises(NotFound):
                    store.get(PLAIN_KEY)
        ids = [seen.headers["authorization"].split("Credential=")[1][:4] for seen in script.seen]
        assert len(set(ids)) == 2

    def test_ordinary_requests_do_not_import_the_signed_client(self, bucket: str) -> None:
        """For the cold start of the process function: put, head, get, list and delete use obstore."""
        program = f"""
import sys
from image_processor.aws.credentials import Credentials
from image_processor.domain.ports import Attributes
from image_processor.storage.s3 import S3Store, obstore_client
keys = Credentials("a", "b")
store = S3Store({bucket!r}, endpoint={aws.address()!r}, region="us-east-1", credentials=lambda: keys)
store.put("a/b", b"", Attributes())
store.head("a/b"), store.get("a/b"), list(store.read("a/b", 0, 1)), list(store.list("a/", direct=True))
store.delete("a/b")
print(sorted({{"http.client", "ssl", "email", "xml", "tempfile"}} & set(sys.modules)))
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_an_inexpressible_key_does_not_hide_others_in_a_listing(self, store: S3Store) -> None:
        for key in ("a/b", "a//c", "a/", "a/.", "a/\n"):
            store.put(key, b"", PLAIN)
        assert keys_of(store.list("a/", direct=True)) == ["a/", "a/\n", "a/.", "a/b"]

    def test_a_folder_marker_is_listed(self, store: S3Store) -> None:
        store.put("a/", b"", PLAIN)
        store.put("a/b", b"", PLAIN)
        assert keys_of(store.list("a/", direct=True)) == ["a/", "a/b"]

    def test_a_listing_reads_several_pages(self) -> None:
        def page(key: str, more: str) -> Reply:
            return Reply(
                body=f"""<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
                <Contents><Key>{key}</Key><LastModified>2026-05-17T12:30:05.000Z</LastModified>
                <ETag>&quot;e1&quot;</ETag><Size>7</Size></Contents>{more}</ListBucketResult>""".encode()
            )

        token = "<NextContinuationToken>t+/=</NextContinuationToken>"
        with scripted(page("a%2Bb+c", token), page("%C3%A9", "")) as script:
            entries = list(aws.open_store(script.address, "bucket").list("p", start_after="A"))
        assert [(entry.key, entry.size, entry.version) for entry in entries] == [
            ("a+b c", 7, "e1"),
            ("é", 7, "e1"),
        ]
        assert "prefix=p&start-after=A" in script.seen[0].target
        assert "continuation-token=t%2B%2F%3D" in script.seen[1].target


class TestResponses:
    @BOTH_CLIENTS
    @pytest.mark.parametrize(
        ("reply", "expected", "message"),
        [
            (error(404, "NoSuchKey"), NotFound, "expected an object"),
            (error(404, "NoSuchBucket"), Unavailable, "in the bucket photos failed: NoSuchBucket"),
            (error(403, "AccessDenied"), Unavailable, "in the bucket photos .*s3:ListBucket"),
            (error(301, "PermanentRedirect"), Unavailable, "in the bucket photos failed"),
            (error(400, "ExpiredToken"), Unavailable, "in the bucket photos failed"),
            (error(503, "SlowDown"), Unavailable, "failed|after 2 tries"),
            (HANG_UP, Unavailable, "failed|after 2 tries"),
        ],
    )
    def test_errors_of_a_read(
        self, key: str, reply: Reply, expected: type[ImageProcessorError], message: str
    ) -> None:
        with scripted(reply) as script:
            store = aws.open_store(script.address, "photos", TWO_ATTEMPTS)
            for read in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(expected, match=message) as caught:
                    read(key)
                assert "<Code>" not in str(caught.value)
                assert caught.value.__cause__ is None

    @BOTH_CLIENTS
    @pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState", "KMS.DisabledException"])
    def test_a_denied_object_that_is_listed_is_unreadable(self, key: str, code: str) -> None:
        """Any other 403 is trouble of the role or the bucket, and retried."""
        listing = Reply(
            body=f"""<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Contents><Key>{key}</Key><LastModified>2026-05-17T12:30:05.000Z</LastModified>
            <ETag>&quot;e1&quot;</ETag><Size>7</Size></Contents></ListBucketResult>""".encode()
        )
        with scripted() as script:
            script.respond = lambda seen: listing if "list-type" in seen.target else error(403, code)
            store = aws.open_store(script.address, "photos")
            for read in (store.head, store.get, lambda key: store.read(key, 0, 1)):
                with pytest.raises(Unreadable, match="in the bucket photos to be readable") as caught:
                    read(key)
                assert caught.value.version == "e1"
        with scripted() as script:
            other = Reply(body=listing.body.replace(key.encode(), key.encode() + b".jpg"))
            script.respond = lambda seen: other if "list-type" in seen.target else error(403, code)
            with pytest.raises(Unavailable):
                aws.open_store(script.address, "photos").head(key)

    @BOTH_CLIENTS
    @pytest.mark.parametrize("busy", [error(503, "SlowDown"), Reply(500)])
    def test_a_busy_bucket_is_asked_again_as_often_as_the_caller_can_wait(
        self, key: str, busy: Reply, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "_random", lambda: 0)
        monkeypatch.setattr(obstore_client, "_INITIAL_BACKOFF", timedelta(milliseconds=1))
        monkeypatch.setattr(obstore_client, "_MAX_BACKOFF", timedelta(milliseconds=1))
        with scripted(*[busy] * 9, Reply(headers=HEADERS)) as script:
            assert aws.open_store(script.address, "bucket").get(key).body == b""
        assert len(script.seen) == 10
        with scripted(busy) as script, pytest.raises(Unavailable):
            aws.open_store(script.address, "bucket", INTERACTIVE).get(key)
        assert len(script.seen) == 4

    @pytest.mark.parametrize("direct", [True, False])
    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            (error(404, "NoSuchBucket"), "in the bucket photos failed: NoSuchBucket"),
            (error(403, "AccessDenied"), "in the bucket photos .*s3:ListBucket"),
            (Reply(body=b"not XML"), "in the bucket photos: its response is not XML"),
        ],
    )
    def test_errors_of_a_listing(self, reply: Reply, message: str, *, direct: bool) -> None:
        with scripted(reply) as script, pytest.raises(Unavailable, match=message):
            list(aws.open_store(script.address, "photos").list("a/", direct=direct))

    @BOTH_CLIENTS
    @pytest.mark.parametrize("condition", [ABSENT, "e1"])
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (error(412, "PreconditionFailed"), PreconditionFailed),
            (error(409, "ConditionalRequestConflict"), PreconditionFailed),
            (error(404, "NoSuchKey"), PreconditionFailed),
            (error(404, "NoSuchBucket"), Unavailable),
            (error(403, "AccessDenied"), Unavailable),
        ],
    )
    def test_errors_of_a_conditional_write(
        self, key: str, condition: str | Absent, reply: Reply, expected: type[ImageProcessorError]
    ) -> None:
        with scripted(reply) as script, pytest.raises(expected):
            aws.open_store(script.address, "bucket").put(key, b"", PLAIN, condition=condition)
        sent = script.seen[0].headers
        assert (sent.get("if-none-match"), sent.get("if-match")) == (
            ("*", None) if condition is ABSENT else (None, '"e1"')
        )

    @BOTH_CLIENTS
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (error(412, "PreconditionFailed"), PreconditionFailed),
            (error(409, "ConditionalRequestConflict"), PreconditionFailed),
            (error(404, "NoSuchKey"), PreconditionFailed),
            (error(404, "NoSuchBucket"), Unavailable),
            (error(501, "NotImplemented"), Unavailable),
        ],
    )
    def test_errors_of_a_conditional_delete(
        self, key: str, reply: Reply, expected: type[ImageProcessorError]
    ) -> None:
        with scripted(reply) as script, pytest.raises(expected):
            aws.open_store(script.address, "bucket", TWO_ATTEMPTS).delete(key, condition="e1")
        assert (script.seen[0].method, script.seen[0].headers["if-match"]) == ("DELETE", '"e1"')

    @BOTH_CLIENTS
    def test_the_limit_is_checked_before_the_body_is_read(self, key: str) -> None:
        """The server announces a gigabyte and never sends it."""
        announced = Reply(headers={**HEADERS, "Content-Length": "1000000000"})
        with scripted(announced) as script, pytest.raises(Refused, match="at most 9 bytes"):
            aws.open_store(script.address, "bucket").get(key, limit=9)

    @BOTH_CLIENTS
    def test_a_truncated_body_is_unavailable(self, key: str) -> None:
        with scripted(Reply(body=b"12345", headers=HEADERS, sent=3)) as script:
            store = aws.open_store(script.address, "bucket")
            with pytest.raises(Unavailable):
                store.get(key)
            with pytest.raises(Unavailable):
                list(store.read(key, 0, 5))

    @BOTH_CLIENTS
    def test_an_object_stored_by_another_program_is_read(self, key: str) -> None:
        headers = {
            **HEADERS,
            "Content-Encoding": "gzip",
            "x-amz-meta-1": "one",
            "x-amz-storage-class": "GLACIER_IR",
        }
        with scripted(Reply(body=b"x", headers=headers)) as script:
            stored = aws.open_store(script.address, "bucket").get(key)
        assert stored.attributes == Attributes("image/webp", None, {"1": "one"})
        assert stored.entry.version == "e1"
        assert stored.entry.modified == datetime(2026, 5, 17, 12, 30, 5, tzinfo=UTC)

    @BOTH_CLIENTS
    @pytest.mark.parametrize("version", ["", "a b", 'a"b', "a\nx-evil: 1", "é"])
    def test_a_version_that_is_not_an_etag_is_not_sent(self, store: S3Store, key: str, version: str) -> None:
        for call in (
            lambda: store.get(key, version=version),
            lambda: store.read(key, 0, 1, version=version),
        ):
            with pytest.raises(NotFound):
                call()
        store.put(key, b"x", PLAIN)
        for call in (
            lambda: store.get(key, version=version),
            lambda: store.read(key, 0, 1, version=version),
            lambda: store.put(key, b"y", PLAIN, condition=version),
        ):
            with pytest.raises(PreconditionFailed):
                call()
        assert store.get(key).body == b"x"


class TestAttributes:
    @pytest.mark.parametrize(
        "attributes",
        [
            Attributes("image/webp\r\nx-evil: 1"),
            Attributes("é"),
            Attributes(cache_control="no-store\n"),
            Attributes(metadata={"name": "line\nbreak"}),
            Attributes(metadata={"name": " space"}),
            Attributes(metadata={"name": "é"}),
            Attributes(metadata={"Upper": ""}),
            Attributes(metadata={"a b": ""}),
            Attributes(metadata={"": ""}),
            Attributes(metadata={"content-type": "text/html"}),
        ],
    )
    @BOTH_CLIENTS
    def test_that_no_header_can_hold_are_rejected(
        self, key: str, attributes: Attributes, store: S3Store
    ) -> None:
        for write in (
            lambda: store.put(key, b"", attributes),
            lambda: store.put_stream(key, [b""], attributes, limit=1),
        ):
            with pytest.raises(Invalid):
                write()
        assert list(store.list()) == []


class TestStreams:
    @BOTH_CLIENTS
    def test_a_long_stream_is_one_request(self, key: str) -> None:
        chunk = bytes(range(256)) * 4096
        with scripted(Reply(headers={"ETag": '"e1"'})) as script:
            entry = aws.open_store(script.address, "bucket").put_stream(key, [chunk] * 20, FULL, limit=10**8)
        (seen,) = script.seen
        assert (seen.method, seen.target, seen.body) == ("PUT", f"/bucket/{key}", chunk * 20)
        assert seen.headers["x-amz-meta-fingerprint"] == "ab12"
        assert (entry.size, entry.version) == (len(chunk) * 20, "e1")

    def test_a_failed_stream_sends_no_request(self) -> None:
        with scripted(Reply(500)) as script:
            store = aws.open_store(script.address, "bucket")
            with pytest.raises(Refused):
                store.put_stream("key", [b"x" * 10_000_000] * 2, PLAIN, limit=19_999_999)
        assert script.seen == []


class TestSettings:
    def test_an_explicit_endpoint_wins_over_the_environment(
        self, store: S3Store, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put(PLAIN_KEY, b"x", PLAIN)
        store.put(INEXPRESSIBLE_KEY, b"x", PLAIN)
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        again = aws.open_store(aws.address(), bucket)
        assert again.get(PLAIN_KEY).body == again.get(INEXPRESSIBLE_KEY).body == b"x"

    def test_region_endpoint_and_credentials_come_from_the_environment(
        self, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_REGION", aws.REGION)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.address())
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        store = S3Store(bucket)
        store.put(PLAIN_KEY, b"x", PLAIN)
        store.put(INEXPRESSIBLE_KEY, b"x", PLAIN)
        assert len(list(store.list())) == 2

    def test_a_region_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        with pytest.raises(InvalidSettings, match="AWS_REGION"):
            S3Store("bucket", credentials=aws.credentials)
