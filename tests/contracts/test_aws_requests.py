"""Signed requests: signatures against botocore's, kept connections, tries, credentials."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
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
from image_processor.aws.client import Body, Client, Request
from image_processor.aws.credentials import Credentials, credentials_from
from image_processor.aws.endpoints import (
    bucket_endpoint,
    endpoint_of,
    override_of,
    parse_endpoint,
    region_from,
)
from image_processor.aws.signature import Scope, escape_path, escape_query, signed_headers
from image_processor.aws.wire import Connection
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
    def test_is_that_of_botocore(
        self,
        api: str,
        method: str,
        key: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
        token: str | None,
    ) -> None:
        # Outside of S3 a path is normalised before it is signed; DynamoDB knows only one.
        target = escape_path(f"/bucket/{key}" if api == "s3" else "/")
        if query:
            target += "?" + escape_query(query.items())
        theirs = AWSRequest(method, f"http://host.example:81{target}", dict(headers), body)
        signer = botocore.auth.S3SigV4Auth if api == "s3" else botocore.auth.SigV4Auth
        with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
            signer(botocore.credentials.Credentials("id", "secret", token), api, "eu-west-1").add_auth(theirs)
        ours = signed_headers(
            method,
            target,
            {**headers, "host": "host.example:81"},
            sha256(body).hexdigest(),
            Scope("eu-west-1", api),
            Credentials("id", "secret", token),
            NOW,
        )
        assert ours["authorization"] == theirs.headers["Authorization"]
        assert {
            "host": "host.example:81",
            **{name.lower(): value for name, value in theirs.headers.items()},
        } == ours

    def test_secrets_are_not_shown(self) -> None:
        shown = repr(Credentials("id", "very-secret", "very-secret-token"))
        assert "id" in shown
        assert "very-secret" not in shown


@contextmanager
def client_of(script: Script, **more: object) -> Iterator[Client]:
    made = Client(parse_endpoint(script.address), Scope("eu-west-1", "s3"), aws.credentials, **more)  # type: ignore[arg-type] # a test's pause
    yield made
    made.close()


GET = Request("GET", "/a b", {"x": "y z"}, {"x-test": "1"})


class TestClient:
    def test_sends_what_it_signed_and_gives_what_came(self) -> None:
        with scripted(Reply(404, b"body", {"X-Answer": "42"})) as script, client_of(script) as client:
            answer = client.send(Request("PUT", "/a b", {"x": "y z"}, {"x-test": "1"}, Body.of(b"sent")))
        (seen,) = script.seen
        assert (seen.method, seen.target, seen.body) == ("PUT", "/a%20b?x=y%20z", b"sent")
        assert seen.headers["x-test"] == "1"
        assert "Credential=test/" in seen.headers["authorization"]
        assert (answer.status, answer.body, answer.headers["x-answer"]) == (404, b"body", "42")

    def test_a_connection_serves_one_request_after_the_other(self) -> None:
        with scripted(Reply(body=b"x")) as script, client_of(script) as client:
            for _ in range(3):
                client.send(GET)
            with client.open(GET) as response:
                assert response.read() == b"x"
            client.send(GET)
        assert [seen.connection for seen in script.seen] == [0] * 5

    def test_a_body_left_unread_costs_its_connection(self) -> None:
        with scripted(Reply(body=b"x" * 1000)) as script, client_of(script) as client:
            with client.open(GET) as response:
                response.read(10)
            assert client.send(GET).body == b"x" * 1000
        assert [seen.connection for seen in script.seen] == [0, 1]

    def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_pause(self) -> None:
        pauses: list[float] = []
        with scripted(Reply(), HANG_UP, Reply()) as script, client_of(script, pause=pauses.append) as client:
            client.send(GET)
            assert client.send(GET).status == 200
        assert [seen.connection for seen in script.seen] == [0, 0, 1]
        assert pauses == []

    @pytest.mark.parametrize("bad", [HANG_UP, Reply(500), Reply(503, b"<Code>SlowDown</Code>"), Reply(429)])
    @pytest.mark.parametrize("way", ["send", "open"])
    def test_trouble_is_tried_again_after_growing_pauses(self, bad: Reply, way: str) -> None:
        pauses: list[float] = []
        with scripted(bad, bad, bad, Reply(201)) as script, client_of(script, pause=pauses.append) as client:
            if way == "send":
                assert client.send(GET).status == 201
            else:
                with client.open(GET) as response:
                    assert response.status == 201
        assert len(pauses) == 3
        assert all(0 <= pause <= 0.05 * 2**number for number, pause in enumerate(pauses, start=1))

    def test_an_answer_that_breaks_off_is_tried_again(self) -> None:
        replies = (Reply(body=b"12345", sent=3), Reply(body=b"12345"))
        with scripted(*replies) as script, client_of(script, pause=lambda _: None) as client:
            assert client.send(GET).body == b"12345"

    def test_four_tries_are_all(self) -> None:
        with (
            scripted(Reply(503)) as script,
            client_of(script, pause=lambda _: None) as client,
            pytest.raises(Unavailable, match="s3 cannot answer: status 503 after 4 tries"),
        ):
            client.send(GET)
        assert len(script.seen) == 4

    def test_what_the_caller_calls_throttled_is_tried_again(self) -> None:
        with (
            scripted(Reply(400, b"slow"), Reply(400)) as script,
            client_of(script, pause=lambda _: None) as client,
        ):
            assert client.send(GET, throttled=lambda answer: answer.body == b"slow").status == 400
        assert len(script.seen) == 2

    def test_a_file_is_sent_from_its_beginning_every_time(self) -> None:
        content = b"x" * 1_000_000
        body = Body(io.BytesIO(content), len(content), sha256(content).hexdigest())
        with scripted(Reply(500), Reply()) as script, client_of(script, pause=lambda _: None) as client:
            client.send(Request("PUT", "/", body=body))
        assert [seen.body for seen in script.seen] == [content, content]

    def test_silence_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "Connection", partial(Connection, seconds=0.05))
        over = threading.Event()
        with scripted(Reply()) as script, client_of(script, pause=lambda _: None) as client:
            script.meanwhile = over.wait
            try:
                with pytest.raises(Unavailable, match="TimeoutError"):
                    client.send(GET)
            finally:
                over.set()

    def test_nobody_there_is_unavailable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        nobody = Client(
            parse_endpoint(address), Scope("eu-west-1", "s3"), aws.credentials, pause=lambda _: None
        )
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            nobody.send(GET)


class TestTls:
    def test_a_server_that_nobody_vouches_for_hears_nothing(self, tmp_path: Path) -> None:
        context, _ = make_certificate(tmp_path)
        with (
            scripted(Reply(), tls=context) as script,
            client_of(script, pause=lambda _: None) as client,
            pytest.raises(Unavailable, match="SSLCertVerificationError"),
        ):
            client.send(GET)
        assert script.seen == []

    def test_a_server_that_is_vouched_for_is_spoken_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context, certificate = make_certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with scripted(Reply(body=b"x"), tls=context) as script, client_of(script) as client:
            assert [client.send(GET).body for _ in range(2)] == [b"x", b"x"]
        assert [seen.connection for seen in script.seen] == [0, 0]


class TestEndpoints:
    def test_aws_is_spoken_to_with_tls(self) -> None:
        assert endpoint_of("dynamodb", "eu-west-1", None).url == "https://dynamodb.eu-west-1.amazonaws.com"
        assert endpoint_of("s3", "cn-north-1", None).url == "https://s3.cn-north-1.amazonaws.com.cn"

    def test_a_bucket_is_a_host_unless_it_has_a_dot_or_the_endpoint_is_another(self) -> None:
        regional = "s3.eu-west-1.amazonaws.com"
        assert bucket_endpoint("photos", "eu-west-1", None).url == f"https://photos.{regional}"
        assert bucket_endpoint("my.photos", "eu-west-1", None).url == f"https://{regional}/my.photos"
        assert bucket_endpoint("photos", "eu-west-1", "http://local:1/").url == "http://local:1/photos"

    def test_the_environment_names_another_endpoint_for_one_or_for_all(self) -> None:
        both = {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"}
        assert [override_of(api, both) for api in ("s3", "dynamodb")] == ["http://s3", "http://all"]
        assert override_of("s3", {}) is None

    @pytest.mark.parametrize("url", ["", "host:1", "ftp://host", "https://", "http://host?x"])
    def test_what_is_no_address_is_told(self, url: str) -> None:
        with pytest.raises(InvalidSettings, match="AWS_ENDPOINT_URL"):
            parse_endpoint(url)

    def test_a_region_is_needed_and_must_look_like_one(self) -> None:
        assert region_from({"AWS_REGION": "eu-west-1"}) == "eu-west-1"
        assert region_from({"AWS_DEFAULT_REGION": "us-gov-west-1"}) == "us-gov-west-1"
        for wrong in ({}, {"AWS_REGION": "evil.example/"}):
            with pytest.raises(InvalidSettings, match="AWS_REGION"):
                region_from(wrong)


def credentials_answer(token: str, lasts: timedelta) -> Reply:
    end = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"AccessKeyId": "id", "SecretAccessKey": "secret", "Token": token, "Expiration": end}
    return Reply(body=json.dumps(fields).encode())


class TestCredentials:
    def test_come_from_the_environment(self) -> None:
        keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
        assert credentials_from(keys)() == Credentials("id", "secret")
        assert credentials_from({**keys, "AWS_SESSION_TOKEN": "token"})() == Credentials(
            "id", "secret", "token"
        )

    def test_are_needed(self) -> None:
        with pytest.raises(InvalidSettings, match="AWS_ACCESS_KEY_ID"):
            credentials_from({"AWS_ACCESS_KEY_ID": "id"})

    def test_of_a_restored_function_are_asked_for_until_they_last(self) -> None:
        short, long = timedelta(minutes=4), timedelta(hours=1)
        replies = [credentials_answer("1", short), credentials_answer("2", long), Reply(500)]
        with scripted(*replies) as script:
            environment = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{script.address}/path?query=1",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in",
            }
            get = credentials_from(environment)
            assert [get().token for _ in range(4)] == ["1", "2", "2", "2"]
        assert [seen.target for seen in script.seen] == ["/path?query=1"] * 2
        assert script.seen[0].headers["authorization"] == "let me in"

    @pytest.mark.parametrize("reply", [Reply(500), Reply(body=b"[]"), Reply(body=b"{}"), HANG_UP])
    def test_that_do_not_come_are_unavailable(self, reply: Reply) -> None:
        with scripted(reply) as script:
            get = credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": script.address})
            with pytest.raises(Unavailable, match="no credentials"):
                get()

    @pytest.mark.parametrize("address", ["http://evil.example/", "https://127.0.0.1/", "file:///etc/passwd"])
    def test_are_asked_for_on_this_machine_only(self, address: str) -> None:
        with pytest.raises(InvalidSettings, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": address})
