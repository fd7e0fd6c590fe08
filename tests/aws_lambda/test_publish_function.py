"""The function `publish`: a custom resource that makes the edge's store hold what recipe and settings say."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from image_processor.aws.credentials import Credentials, StaticCredentials
from image_processor.aws.key_value_store import KeyValueStore
from image_processor.aws.signature import Scope
from image_processor.aws.signature_v4a import signed_headers_v4a
from image_processor.aws_lambda import publish_function
from image_processor.bootstrap.edge import publish, publish_edge
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.edge_entries import entries
from image_processor.domain.errors import (
    Invalid,
    InvalidRecipe,
    InvalidSettings,
    PreconditionFailed,
    Unavailable,
)
from support.aws_emulation.key_value_store import Request
from support.edge_store_server import edge_store_server
from support.scripted_http import Reply, scripted

ARN = "arn:aws:cloudfront::111122223333:key-value-store/1a-2b"
SECRET = "correct-horse-battery-staple"
KEYS = {"IMAGE_PROCESSOR_SIGNING_KEYS": f"new:{SECRET}"}
OWNER = StaticCredentials(Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token"))
WANTED = entries(parse_recipe(DEFAULT_RECIPE), Settings(signing_keys=(("new", SECRET),)))
CREATE = {
    "RequestType": "Create",
    "ResponseURL": "https://responses.example.org/1",
    "StackId": "arn:stack",
    "RequestId": "1",
    "LogicalResourceId": "EdgeEntries",
}


@pytest.fixture
def seen() -> list[Request]:
    return []


@pytest.fixture
def store(seen: list[Request]) -> Iterator[KeyValueStore]:
    with edge_store_server(seen) as address:
        yield KeyValueStore(ARN, endpoint=address, credentials=OWNER)


def test_only_differences_are_written(store: KeyValueStore, seen: list[Request]) -> None:
    store.update(store.version(), {"k/old": "something", "n/gone": "all", "hints": "1"}, [])
    assert publish(WANTED, store) == len(WANTED) + 3
    assert store.read() == WANTED
    before = len(seen)
    assert publish(WANTED, store) == 0
    assert "POST" not in {request.method for request in seen[before:]}


def test_many_entries_are_read_in_pages_and_written_in_batches(
    store: KeyValueStore, seen: list[Request]
) -> None:
    many = {f"n/{number}": "some" for number in range(120)}
    assert publish(many, store) == 120
    assert [len(json.loads(each.body)["Puts"]) for each in seen if each.method == "POST"] == [50, 50, 20]
    assert store.read() == many


def test_the_arn_is_one_segment_of_the_path(store: KeyValueStore, seen: list[Request]) -> None:
    store.version()
    assert (
        seen[0].path == "/key-value-stores/arn%3Aaws%3Acloudfront%3A%3A111122223333%3Akey-value-store%2F1a-2b"
    )


def test_a_store_has_the_endpoint_of_its_account(monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyValueStore(ARN, credentials=OWNER)
    assert store._client._endpoint.url == "https://111122223333.cloudfront-kvs.global.api.aws"
    with pytest.raises(Invalid, match="expected its ARN for the key value store, got 'store'"):
        KeyValueStore("store", credentials=OWNER)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE", "http://127.0.0.1:1")
    assert KeyValueStore("store", credentials=OWNER)._client._endpoint.url == "http://127.0.0.1:1"


def test_another_writer_makes_it_read_again(store: KeyValueStore) -> None:
    class Busy:
        """Somebody else changes the store between reading and writing, ``times`` times."""

        def __init__(self, times: int) -> None:
            self.times = times

        def version(self) -> str:
            return store.version()

        def read(self) -> dict[str, str]:
            return store.read()

        def update(self, version: str, puts: Any, deletes: Any) -> str:
            if self.times:
                self.times -= 1
                store.update(version, {f"n/other{self.times}": "all"}, [])
            return store.update(version, puts, deletes)

    assert publish_edge(KEYS, ARN, lambda _: Busy(2)) == len(WANTED) + 2
    assert store.read() == WANTED
    with pytest.raises(PreconditionFailed, match="got ConflictException"):
        publish_edge({}, ARN, lambda _: Busy(3))


def test_a_refused_call_says_which_and_shows_no_entries() -> None:
    reply = Reply(403, SECRET.encode(), {"x-amzn-ErrorType": "AccessDeniedException:http://x"})
    with scripted(reply) as script:
        store = KeyValueStore(ARN, endpoint=script.address, credentials=OWNER)
        with pytest.raises(Unavailable) as failure:
            store.update("E1", {"k/new": SECRET}, [])
    assert str(failure.value) == (
        "expected UpdateKeys of CloudFront's KeyValueStore to succeed, got AccessDeniedException"
    )


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({"IMAGE_PROCESSOR_SIGNING_KEYS": ""}, InvalidSettings),
        ({"IMAGE_PROCESSOR_SIGNING_KEYS": "new:short"}, InvalidSettings),
        ({"IMAGE_PROCESSOR_RECIPE": "/no/such/recipe.toml"}, InvalidRecipe),
    ],
)
def test_in_doubt_nothing_is_written(environment: dict[str, str], error: type[Exception]) -> None:
    def unexpected(arn: str) -> Any:
        raise AssertionError(arn)

    with pytest.raises(error):
        publish_edge(environment, ARN, unexpected)


# ---------------------------------------------------------------------- the custom resource
class Responses:
    """What CloudFormation was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []

    def __call__(self, url: str, response: dict[str, str]) -> None:
        self.sent.append((url, response))


def fail(error: Exception) -> publish_function.Publish:
    def run(*_: object) -> int:
        raise error

    return run


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_STORE_ARN", ARN)


def test_each_request_gets_one_response_with_the_same_id() -> None:
    sent = Responses()
    for kind in ("Create", "Update"):
        publish_function.respond({**CREATE, "RequestType": kind}, lambda *_: 3, sent)
    (url, first), (_, second) = sent.sent
    assert url == CREATE["ResponseURL"]
    assert first == second
    assert first == {
        "Status": "SUCCESS",
        "Reason": "3 entries changed",
        "PhysicalResourceId": "edge-entries",
        "StackId": "arn:stack",
        "RequestId": "1",
        "LogicalResourceId": "EdgeEntries",
    }


def test_deletion_changes_nothing() -> None:
    sent = Responses()
    event = {**CREATE, "RequestType": "Delete", "PhysicalResourceId": "before"}
    publish_function.respond(event, fail(AssertionError("published")), sent)
    assert (sent.sent[0][1]["Status"], sent.sent[0][1]["PhysicalResourceId"]) == ("SUCCESS", "before")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("the store cannot answer"), "the store cannot answer"),
        (RuntimeError(SECRET), f"expected to publish to {ARN}, got RuntimeError"),
        (Unavailable("long" * 2000), "long" * 250),
    ],
)
def test_a_failure_is_a_response_too(
    error: Exception, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = Responses()
    publish_function.respond(CREATE, fail(error), sent)
    assert (sent.sent[0][1]["Status"], sent.sent[0][1]["Reason"]) == ("FAILED", reason)
    assert SECRET not in capsys.readouterr().out


def test_a_response_is_put_without_a_content_type() -> None:
    with scripted(Reply()) as script:
        publish_function.handle(
            {**CREATE, "ResponseURL": f"{script.address}/r?X-Amz-Signature=1"}, lambda *_: 1
        )
    (request,) = script.seen
    assert (request.method, request.target) == ("PUT", "/r?X-Amz-Signature=1")
    assert request.headers["content-type"] == ""
    assert json.loads(request.body)["Status"] == "SUCCESS"


def test_any_other_event_publishes_and_raises() -> None:
    assert publish_function.handle({}, lambda *_: 2) == {"changed": 2}
    with pytest.raises(Unavailable):
        publish_function.handle({}, fail(Unavailable("busy")))


# ---------------------------------------------------------------------- Signature Version 4A
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256."""


def public_key(credentials: Credentials) -> Any:
    """The key of AWS's derivation: a counter-mode KDF over HMAC-SHA256 ("How SigV4a works")."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - moto's, of the tests alone

    label = b"AWS4-ECDSA-P256-SHA256"
    for counter in range(1, 255):
        fixed = (
            b"\0\0\0\1" + label + b"\0" + credentials.access_key_id.encode() + bytes([counter]) + b"\0\0\1\0"
        )
        number = int.from_bytes(
            hmac.digest(b"AWS4A" + credentials.secret_access_key.encode(), fixed, "sha256")
        )
        if number <= ORDER - 2:
            return ec.derive_private_key(number + 1, ec.SECP256R1()).public_key()
    raise AssertionError


def test_the_signature_verifies_with_the_key_that_aws_derives() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above

    body = b'{"Puts": []}'
    digest = hashlib.sha256(body).hexdigest()
    target = "/key-value-stores/arn%3Aaws%2Fa/keys?MaxResults=50"
    headers = signed_headers_v4a(
        "POST",
        target,
        {"host": "1.cloudfront-kvs.global.api.aws", "if-match": "E1"},
        digest,
        Scope("*", "cloudfront-keyvaluestore"),
        OWNER(),
        datetime(2026, 1, 31, 12, tzinfo=UTC),
    )
    algorithm, *terms = headers["authorization"].replace(",", "").split()
    fields = dict(term.split("=", 1) for term in terms)
    assert (algorithm, headers["x-amz-region-set"]) == ("AWS4-ECDSA-P256-SHA256", "*")
    assert headers["x-amz-security-token"] == "token"
    assert fields["Credential"] == "AKIDEXAMPLE/20260131/cloudfront-keyvaluestore/aws4_request"
    signed = fields["SignedHeaders"].split(";")
    assert {"host", "if-match", "x-amz-region-set", "x-amz-security-token"} <= set(signed)
    # The path is escaped once more, as for every service but S3.
    canonical = "\n".join(
        [
            *("POST", "/key-value-stores/arn%253Aaws%252Fa/keys", "MaxResults=50"),
            *(f"{name}:{headers[name]}" for name in signed),
            *("", fields["SignedHeaders"], digest),
        ]
    )
    text = "\n".join(
        [
            *(algorithm, headers["x-amz-date"], "20260131/cloudfront-keyvaluestore/aws4_request"),
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    public_key(OWNER()).verify(bytes.fromhex(fields["Signature"]), text.encode(), ec.ECDSA(SHA256()))
