"""Signed requests: signatures like botocore's, kept connections, timeouts, retries, credentials."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from unittest import mock

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from domain_strategies import KEYS
from hypothesis import given
from hypothesis import strategies as st

from image_processor.aws import client as client_module
from image_processor.aws import retries as retries_module
from image_processor.aws.client import Body, Client, Request
from image_processor.aws.connection import Timeouts
from image_processor.aws.credentials import Credentials, credentials_from
from image_processor.aws.endpoints import (
    bucket_endpoint,
    endpoint_override,
    parse_endpoint,
    region_from,
    regional_endpoint,
)
from image_processor.aws.retries import INTERACTIVE, PATIENT, Backoff, Deadline, Retries
from image_processor.aws.signature import Scope, escape_path, escape_query, signed_headers
from image_processor.domain.errors import InvalidSettings, Unavailable
from support import aws
from support.certificates import make_certificate
from support.scripted_http import HANG_UP, Reply, Script, scripted

NOW = datetime(2026, 5, 17, 12, 30, 5, tzinfo=UTC)
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=12)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "x-amz-meta-a", "x-amz-target", "if-match", "range"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.strip),
)


class TestSignature:
    @given(
        api=st.sampled_from(["s3", "dynamodb"]),
        method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        key=KEYS,
        query=st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3),
        headers=HEADERS,
        body=st.binary(max_size=20),
        token=st.none() | st.text("abc/+=", min_size=1),
    )
    def test_equals_botocore_s(
        self,
        api: str,
        method: str,
        key: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
        token: str | None,
    ) -> None:
        # Outside S3, botocore normalises the path before it signs it; DynamoDB uses only `/`.
        target = escape_path(f"/bucket/{key}" if api == "s3" else "/")
        if query:
            target += "?" + escape_query(query.items())
        expected = AWSRequest(method, f"http://host.example:81{target}", dict(headers), body)
        signer = botocore.auth.S3SigV4Auth if api == "s3" else botocore.auth.SigV4Auth
        with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
            signer(botocore.credentials.Credentials("id", "secret", token), api, "eu-west-1").add_auth(
                expected
            )
        signed = signed_headers(
            method,
            target,
            {**headers, "host": "host.example:81"},
            sha256(body).hexdigest(),
            Scope("eu-west-1", api),
            Credentials("id", "secret", token),
            NOW,
        )
        assert signed["authorization"] == expected.headers["Authorization"]
        assert {
            "host": "host.example:81",
            **{name.lower(): value for name, value in expected.headers.items()},
        } == signed

    def test_repr_hides_secrets(self) -> None:
        text = repr(Credentials("id", "very-secret", "very-secret-token"))
        assert "id" in text
        assert "very-secret" not in text


@contextmanager
def client_of(script: Script, **options: object) -> Iterator[Client]:
    client = Client(parse_endpoint(script.address), Scope("eu-west-1", "s3"), aws.credentials, **options)  # type: ignore[arg-type] # a test's options
    yield client
    client.close()


GET = Request("GET", "/a b", {"x": "y z"}, {"x-test": "1"})
ONCE = Retries(attempts=1)


def no_sleep(_seconds: float) -> None:
    """Retry at once."""


@contextmanager
def raw_server(*responses: bytes, hold_open: bool = False) -> Iterator[str]:
    """The address of a server that sends these bytes, one item per connection, and hangs up, or waits
    for the client to hang up."""

    def serve(listener: socket.socket) -> None:
        for response in responses:
            with listener.accept()[0] as peer:
                while b"\r\n\r\n" not in peer.recv(65536):
                    pass
                peer.sendall(response)
                if hold_open:
                    peer.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


class TestClient:
    def test_sends_what_it_signed_and_returns_the_response(self) -> None:
        with scripted(Reply(404, b"body", {"X-Answer": "42"})) as script, client_of(script) as client:
            response = client.send(
                Request("PUT", "/a b", {"x": "y z"}, {"x-test": "1"}, Body.from_bytes(b"sent"))
            )
        (seen,) = script.seen
        assert (seen.method, seen.target, seen.body) == ("PUT", "/a%20b?x=y%20z", b"sent")
        assert seen.headers["x-test"] == "1"
        assert "Credential=test/" in seen.headers["authorization"]
        assert (response.status, response.body, response.headers["x-answer"]) == (404, b"body", "42")

    def test_a_connection_serves_several_requests(self) -> None:
        with scripted(Reply(body=b"x")) as script, client_of(script) as client:
            for method in ("GET", "HEAD", "DELETE"):
                client.send(Request(method, "/"))
            with client.stream(GET) as response:
                assert response.read(10) == b"x"
            client.send(GET)
        assert [seen.connection for seen in script.seen] == [0] * 5

    def test_an_unread_body_costs_the_connection(self) -> None:
        with scripted(Reply(body=b"x" * 1000)) as script, client_of(script) as client:
            with client.stream(GET) as response:
                response.read(10)
            assert client.send(GET).body == b"x" * 1000
        assert [seen.connection for seen in script.seen] == [0, 1]

    def test_a_connection_that_the_server_closes_is_not_kept(self) -> None:
        replies = (Reply(body=b"x", headers={"Connection": "close"}, close=True), Reply(body=b"y"))
        with scripted(*replies) as script, client_of(script) as client:
            assert [client.send(GET).body for _ in range(2)] == [b"x", b"y"]
        assert [seen.connection for seen in script.seen] == [0, 1]

    def test_a_stale_kept_connection_is_replaced_without_a_pause(self) -> None:
        pauses: list[float] = []
        with scripted(Reply(), HANG_UP, Reply()) as script, client_of(script, sleep=pauses.append) as client:
            client.send(GET)
            assert client.send(GET).status == 200
        assert [seen.connection for seen in script.seen] == [0, 0, 1]
        assert pauses == []

    @pytest.mark.parametrize(
        ("bad", "first"),
        [
            (HANG_UP, 0.05),
            (Reply(500), 0.05),
            (Reply(503, b"<Code>SlowDown</Code>"), 1.0),
            (Reply(429), 1.0),
        ],
    )
    @pytest.mark.parametrize("method", ["send", "stream"])
    def test_failures_are_retried_after_growing_pauses_longer_ones_after_throttling(
        self, bad: Reply, first: float, method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "_random", lambda: 1.0)
        pauses: list[float] = []
        with scripted(bad, bad, bad, Reply(201)) as script, client_of(script, sleep=pauses.append) as client:
            if method == "send":
                assert client.send(GET).status == 201
            else:
                with client.stream(GET) as response:
                    assert response.status == 201
        assert pauses == [first, 2 * first, 4 * first]

    def test_a_truncated_response_is_retried(self) -> None:
        replies = (Reply(body=b"12345", sent=3), Reply(body=b"12345"))
        with scripted(*replies) as script, client_of(script, sleep=no_sleep) as client:
            assert client.send(GET).body == b"12345"

    def test_a_truncated_stream_is_an_error(self) -> None:
        with (
            scripted(Reply(body=b"12345", sent=3)) as script,
            client_of(script) as client,
            client.stream(GET) as response,
        ):
            assert response.read(10) == b"123"
            with pytest.raises(OSError, match="2 bytes before its end"):
                response.read(10)

    @pytest.mark.parametrize(("retries", "attempts"), [(PATIENT, 10), (INTERACTIVE, 4)])
    def test_attempts_are_bounded(self, retries: Retries, attempts: int) -> None:
        with (
            scripted(Reply(500)) as script,
            client_of(script, sleep=no_sleep, retries=retries) as client,
            pytest.raises(Unavailable, match=f"s3 cannot answer: status 500 after {attempts} tries"),
        ):
            client.send(GET)
        assert len(script.seen) == attempts

    def test_a_throttled_request_is_retried(self) -> None:
        with (
            scripted(Reply(400, b"slow"), Reply(400)) as script,
            client_of(script, sleep=no_sleep) as client,
        ):
            response = client.send(GET, is_throttled=lambda response: response.body == b"slow")
            assert response.status == 400
        assert len(script.seen) == 2

    def test_every_attempt_sends_a_file_from_its_start(self) -> None:
        content = b"x" * 1_000_000
        body = Body(io.BytesIO(content), len(content), sha256(content).hexdigest())
        with scripted(Reply(500), Reply()) as script, client_of(script, sleep=no_sleep) as client:
            client.send(Request("PUT", "/", body=body))
        assert [seen.body for seen in script.seen] == [content, content]

    def test_a_silent_server_is_given_up(self) -> None:
        over = threading.Event()
        timeouts = Timeouts(silence=0.05)
        with scripted(Reply()) as script, client_of(script, sleep=no_sleep, timeouts=timeouts) as client:
            script.meanwhile = over.wait
            try:
                with pytest.raises(Unavailable, match="TimeoutError"):
                    client.send(GET)
            finally:
                over.set()

    @pytest.mark.parametrize(
        "start", [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
    )
    def test_an_exchange_that_never_falls_silent_ends_all_the_same(self, start: bytes) -> None:
        def drip(listener: socket.socket) -> None:
            with listener.accept()[0] as peer, suppress(OSError):
                peer.sendall(start)
                for _ in range(60):
                    peer.sendall(b"H")
                    time.sleep(0.05)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=drip, args=[listener])
            thread.start()
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            timeouts = Timeouts(silence=1, exchange=0.3)
            client = Client(
                parse_endpoint(address),
                Scope("eu-west-1", "s3"),
                aws.credentials,
                timeouts=timeouts,
                retries=ONCE,
            )
            started = time.monotonic()
            with pytest.raises(Unavailable, match="TimeoutError"):
                client.send(GET)
            assert time.monotonic() - started < 2
            thread.join()

    @pytest.mark.parametrize(
        "response",
        [
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
        ],
    )
    def test_a_malformed_response_is_a_failed_attempt(self, response: bytes) -> None:
        with raw_server(response) as address:
            client = Client(parse_endpoint(address), Scope("eu-west-1", "s3"), aws.credentials, retries=ONCE)
            with pytest.raises(Unavailable, match="ProtocolError"):
                client.send(GET)

    def test_a_chunked_response_is_read(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        with raw_server(head + b"3;note=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", hold_open=True) as address:
            client = Client(parse_endpoint(address), Scope("eu-west-1", "s3"), aws.credentials)
            assert client.send(GET).body == b"abcde"
            client.close()

    def test_a_response_above_the_limit_is_a_failed_attempt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "_MAX_BODY", 4)
        with (
            scripted(Reply(body=b"12345")) as script,
            client_of(script, sleep=no_sleep) as client,
            pytest.raises(Unavailable, match="OSError"),
        ):
            client.send(GET)

    def test_a_refused_connection_is_unavailable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(parse_endpoint(address), Scope("eu-west-1", "s3"), aws.credentials, sleep=no_sleep)
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            client.send(GET)


class TestRetries:
    """Pauses by a clock that only they move."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [0.0]
        monkeypatch.setattr(retries_module, "monotonic", lambda: now[0])
        return now

    def pauses(
        self, retries: Retries, clock: list[float], *, throttled: bool, random: float = 1
    ) -> list[float]:
        taken = []
        backoff = Backoff(retries)
        while (pause := backoff.pause(is_throttled=throttled, random=random)) is not None:
            taken.append(pause)
            clock[0] += pause
        return taken

    @pytest.mark.parametrize("random", [0.1, 0.5, 1])
    @pytest.mark.parametrize("throttled", [True, False])
    def test_no_pause_is_over_20_seconds_and_all_are_within_the_budget(
        self, clock: list[float], random: float, *, throttled: bool
    ) -> None:
        taken = self.pauses(Retries(attempts=50, budget=100), clock, throttled=throttled, random=random)
        assert 60 < sum(taken) <= 100
        assert max(taken) == 20 * random

    def test_a_patient_caller_outlasts_half_a_minute_of_throttling(self, clock: list[float]) -> None:
        assert self.pauses(PATIENT, clock, throttled=True) == [1, 2, 4, 8]
        assert sum(self.pauses(PATIENT, clock, throttled=True, random=0.5)) > 15

    def test_who_waits_for_a_response_waits_at_most_two_seconds_for_retries(self, clock: list[float]) -> None:
        assert self.pauses(INTERACTIVE, clock, throttled=True) == [1]
        assert sum(self.pauses(INTERACTIVE, clock, throttled=False)) < 2

    def test_no_retry_waits_beyond_the_deadline_of_the_invocation(self, clock: list[float]) -> None:
        deadline = Deadline()
        retries = Retries(deadline=deadline)
        deadline.set(4)
        assert self.pauses(retries, clock, throttled=True) == [1, 2]
        assert deadline.remaining == 1
        deadline.set(10)
        assert self.pauses(retries, clock, throttled=True) == [1, 2, 4]


class TestTls:
    def test_nothing_is_sent_to_a_server_without_a_trusted_certificate(self, tmp_path: Path) -> None:
        context, _ = make_certificate(tmp_path)
        with (
            scripted(Reply(), tls=context) as script,
            client_of(script, sleep=no_sleep) as client,
            pytest.raises(Unavailable, match="SSLCertVerificationError"),
        ):
            client.send(GET)
        assert script.seen == []

    def test_a_server_with_a_trusted_certificate_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context, certificate = make_certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with scripted(Reply(body=b"x"), tls=context) as script, client_of(script) as client:
            assert [client.send(GET).body for _ in range(2)] == [b"x", b"x"]
        assert [seen.connection for seen in script.seen] == [0, 0]


class TestEndpoints:
    def test_aws_endpoints_use_tls(self) -> None:
        assert (
            regional_endpoint("dynamodb", "eu-west-1", None).url == "https://dynamodb.eu-west-1.amazonaws.com"
        )
        assert regional_endpoint("s3", "cn-north-1", None).url == "https://s3.cn-north-1.amazonaws.com.cn"

    def test_a_bucket_is_part_of_the_host_unless_it_has_a_dot_or_the_endpoint_is_not_aws_s(self) -> None:
        regional = "s3.eu-west-1.amazonaws.com"
        assert bucket_endpoint("photos", "eu-west-1", None).url == f"https://photos.{regional}"
        assert bucket_endpoint("my.photos", "eu-west-1", None).url == f"https://{regional}/my.photos"
        assert bucket_endpoint("photos", "eu-west-1", "http://local:1/").url == "http://local:1/photos"

    def test_the_environment_overrides_one_endpoint_or_all(self) -> None:
        both = {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"}
        assert [endpoint_override(api, both) for api in ("s3", "dynamodb")] == ["http://s3", "http://all"]
        assert endpoint_override("s3", {}) is None

    @pytest.mark.parametrize("url", ["", "host:1", "ftp://host", "https://", "http://host?x"])
    def test_an_invalid_url_is_an_error(self, url: str) -> None:
        with pytest.raises(InvalidSettings, match="AWS_ENDPOINT_URL"):
            parse_endpoint(url)

    def test_a_valid_region_is_required(self) -> None:
        assert region_from({"AWS_REGION": "eu-west-1"}) == "eu-west-1"
        assert region_from({"AWS_DEFAULT_REGION": "us-gov-west-1"}) == "us-gov-west-1"
        for wrong in ({}, {"AWS_REGION": "evil.example/"}):
            with pytest.raises(InvalidSettings, match="AWS_REGION"):
                region_from(wrong)


def credentials_reply(token: str, validity: timedelta) -> Reply:
    end = (datetime.now(UTC) + validity).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"AccessKeyId": "id", "SecretAccessKey": "secret", "Token": token, "Expiration": end}
    return Reply(body=json.dumps(fields).encode())


class TestCredentials:
    def test_come_from_the_environment(self) -> None:
        keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
        assert credentials_from(keys)() == Credentials("id", "secret")
        assert credentials_from({**keys, "AWS_SESSION_TOKEN": "token"})() == Credentials(
            "id", "secret", "token"
        )

    def test_are_required(self) -> None:
        with pytest.raises(InvalidSettings, match="AWS_ACCESS_KEY_ID"):
            credentials_from({"AWS_ACCESS_KEY_ID": "id"})

    def test_from_an_endpoint_are_refreshed_before_they_expire(self) -> None:
        short, long = timedelta(minutes=4), timedelta(hours=1)
        replies = [credentials_reply("1", short), credentials_reply("2", long), Reply(500)]
        with scripted(*replies) as script:
            environment = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{script.address}/path?query=1",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
            }
            get = credentials_from(environment)
            assert [get().token for _ in range(4)] == ["1", "2", "2", "2"]
        assert [seen.target for seen in script.seen] == ["/path?query=1"] * 2
        assert script.seen[0].headers["authorization"] == "token"

    @pytest.mark.parametrize("reply", [Reply(500), Reply(body=b"[]"), Reply(body=b"{}"), HANG_UP])
    def test_that_cannot_be_fetched_are_unavailable(self, reply: Reply) -> None:
        with scripted(reply) as script:
            get = credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": script.address})
            with pytest.raises(Unavailable, match="no credentials"):
                get()

    @pytest.mark.parametrize("address", ["http://evil.example/", "https://127.0.0.1/", "file:///etc/passwd"])
    def test_are_fetched_from_this_machine_only(self, address: str) -> None:
        with pytest.raises(InvalidSettings, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": address})
