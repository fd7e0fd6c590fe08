"""What the Python client retries, and its errors for responses of servers that are not ours."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import stamina

import image_processor_client.errors as client_errors
from image_processor.domain import errors
from image_processor.domain.errors import ImageProcessorError
from image_processor_client import (
    ApiError,
    AsyncClient,
    Client,
    ConnectionFailed,
    NotFound,
    Refused,
    ServerError,
    TooManyRequests,
    Unavailable,
)
from image_processor_client.transport import should_retry

Script = list[httpx.Response | Exception]
UPLOADED = {"id": "a", "key": "cat.jpg", "bytes": 3, "version": "v", "image": "/images/a"}
IMAGE = {"id": "a", "bucket": "uploads", "original": "cat.jpg", "status": "processed", "unheard-of": 1}


class Server:
    """Answers requests from a script, and keeps them with their bodies."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def answer_async(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)


@pytest.fixture(autouse=True)
def _without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(params=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method of a client of a scripted server."""

    def blocking(
        server: Server, method: str, *values: Any, route: Any = "direct", attempts: int = 5, **options: Any
    ) -> Any:
        http = httpx.Client(transport=httpx.MockTransport(server))
        options_of_client: Any = {"token": "t", "http": http, "uploads": route, "attempts": attempts}
        with http, Client("https://api.example/v1/", **options_of_client) as client:
            return getattr(client, method)(*values, **options)

    def in_a_loop(
        server: Server, method: str, *values: Any, route: Any = "direct", attempts: int = 5, **options: Any
    ) -> Any:
        async def run() -> Any:
            transport = httpx.MockTransport(server.answer_async)
            async with httpx.AsyncClient(transport=transport) as http:
                options_of_client: Any = {"http": http, "uploads": route, "attempts": attempts}
                client = AsyncClient("https://api.example/v1/", token="t", **options_of_client)
                return await getattr(client, method)(*values, **options)

        return asyncio.run(run())

    return blocking if request.param == "blocking" else in_a_loop


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    document = {"title": "x", "status": status, "detail": "expected a, got b", "code": code}
    return httpx.Response(status, json=document, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    "failure",
    [
        lambda: problem(503, "overloaded", retry_after="0"),
        lambda: problem(409, "claim-busy"),
        lambda: problem(429, "too-many-requests", retry_after="0"),
        lambda: httpx.Response(502, text="<html>Bad gateway</html>"),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadError("reset"),
    ],
    ids=["overloaded", "busy", "too-many", "bad-gateway", "connect", "reset"],
)
def test_a_temporary_failure_is_retried_with_the_whole_file(call: Any, failure: Any) -> None:
    server = Server([failure(), httpx.Response(201, json=UPLOADED)])
    assert call(server, "upload", b"abc", "a b.jpg").id == "a"
    assert [request.content for request in server.requests] == [b"abc", b"abc"]
    for request in server.requests:
        assert str(request.url) == "https://api.example/v1/uploads/a%20b.jpg"
        assert request.headers["authorization"] == "Bearer t"
        assert request.headers["content-length"] == "3"


def test_an_open_file_is_sent_again_from_where_it_stood(call: Any) -> None:
    server = Server([httpx.ReadError("reset"), httpx.Response(201, json=UPLOADED)])
    file = io.BytesIO(b"before abc")
    file.seek(7)
    call(server, "upload", file, "cat.jpg")
    assert [request.content for request in server.requests] == [b"abc", b"abc"]


@pytest.mark.parametrize("status", [400, 403, 413, 422, 500, 501, 507])
def test_what_a_retry_does_not_cure_is_not_retried(call: Any, status: int) -> None:
    server = Server([httpx.Response(status, text="no")])
    with pytest.raises(ApiError) as caught:
        call(server, "get", "a")
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_attempts_end(call: Any) -> None:
    server = Server([problem(503, "unavailable") for _ in range(3)])
    with pytest.raises(Unavailable, match="503 unavailable: expected a, got b"):
        call(server, "get", "a")
    unreachable = Server([httpx.ConnectError("refused") for _ in range(3)])
    with pytest.raises(ConnectionFailed, match=r"no response from https://api.example/v1/images/a: refused"):
        call(unreachable, "get", "a")


def test_a_deletion_whose_response_was_lost_is_no_error(call: Any) -> None:
    server = Server([httpx.ReadError("reset"), problem(404, "not-found")])
    assert call(server, "delete", "a") is None
    with pytest.raises(NotFound):
        call(Server([problem(404, "not-found")]), "delete", "a")


def test_the_attempts_of_one_call_have_one_key(call: Any) -> None:
    answers = [problem(503, "unavailable"), httpx.Response(200, json=IMAGE), httpx.Response(200, json=IMAGE)]
    server = Server([*answers])
    call(server, "reprocess", "a")
    call(server, "reprocess", "a")
    first, again, other = [request.headers["idempotency-key"] for request in server.requests]
    assert first == again != other


def test_retry_after_is_obeyed() -> None:
    busy = client_errors.error_from(429, {"retry-after": "7"}, b"")
    assert isinstance(busy, TooManyRequests)
    assert should_retry(busy) == 7
    assert should_retry(client_errors.error_from(503, {}, b"")) is True
    assert should_retry(client_errors.error_from(422, {"retry-after": "7"}, b"")) is False
    assert should_retry(ValueError()) is False


def test_the_file_goes_to_the_bucket_without_the_token(call: Any) -> None:
    form = {
        "id": "a",
        "key": "cat.jpg",
        "url": "https://bucket.example",
        "fields": {"key": "cat.jpg", "policy": "p"},
        "expires_at": "2030-01-01T00:00:00Z",
        "max_bytes": 9,
    }
    stored = httpx.Response(204, headers={"etag": '"e"'})
    server = Server([httpx.Response(200, json=form), stored, httpx.Response(200, json=IMAGE)])
    assert call(server, "upload", b"abc", "cat.jpg", wait=5, route="presigned").status == "processed"
    asked, posted, processed = server.requests
    assert asked.content == b'{"key":"cat.jpg"}'
    assert str(posted.url) == "https://bucket.example"
    assert "authorization" not in posted.headers
    parts = posted.content.decode()
    assert parts.index('name="policy"') < parts.index('name="file"; filename="file"') < parts.index("abc")
    assert (processed.url.path, processed.headers["prefer"]) == ("/v1/images", "wait=5")


def test_a_bucket_explains_itself_in_xml() -> None:
    body = b"<Error><Code>EntityTooLarge</Code><Message>Your proposed upload is too large</Message></Error>"
    error = client_errors.error_from(400, {}, body)
    assert (error.code, error.detail) == ("EntityTooLarge", "Your proposed upload is too large")
    gateway = client_errors.error_from(403, {}, b'{"message":"Missing Authentication Token"}')
    assert (gateway.code, gateway.detail) == ("http-403", "Missing Authentication Token")
    assert str(client_errors.error_from(500, {}, b"")) == "500 http-500: a response without a body"


def codes(class_: type[ImageProcessorError] = ImageProcessorError) -> set[str]:
    return {class_.code}.union(*(codes(child) for child in class_.__subclasses__()))


def test_every_code_of_the_server_has_a_class() -> None:
    assert errors.Invalid in ImageProcessorError.__subclasses__()
    own = {code for code in codes() if code.replace("-", "").isalpha()}
    assert own - client_errors.BY_CODE.keys() == set()


def test_an_unknown_code_has_the_class_of_its_status() -> None:
    def error(status: int) -> ApiError:
        body = b'{"title":"x","status":%d,"detail":"d","code":"of-tomorrow"}' % status
        return client_errors.error_from(status, {}, body)

    assert type(error(404)) is NotFound
    assert type(error(599)) is ServerError
    assert type(error(418)) is ApiError


def test_an_error_survives_pickling() -> None:
    body = b'{"title":"x","status":422,"detail":"d","code":"refused","reason":"empty","fix":"f"}'
    error = pickle.loads(pickle.dumps(client_errors.error_from(422, {"retry-after": "3"}, body)))
    assert isinstance(error, Refused)
    assert (error.reason, error.fix, error.retry_after) == ("empty", "f", 3)
    assert str(error) == "422 refused: d"


def test_an_address_is_one_of_http() -> None:
    with pytest.raises(
        ValueError, match=r"expected the API's address such as http://127.0.0.1:8000, got 'x'"
    ):
        Client("x")


def resumable(status: int, offset: int | None = None, **more: str) -> httpx.Response:
    """A response of the protocol for resumable uploads."""
    headers = {} if offset is None else {"upload-offset": str(offset)}
    return httpx.Response(status, headers=headers | {k.replace("_", "-"): v for k, v in more.items()})


BEGUN = {"location": "resumable/a"}
ABOUT = {"upload_length": "5", "upload_metadata": "key Y2F0LmpwZw=="}
STORED = {"content_location": "/images/i", "etag": '"v"'}


def test_a_part_is_sent_again_from_where_the_server_has_it(call: Callable[..., Any]) -> None:
    script = [
        resumable(201, **BEGUN),
        httpx.ConnectError("broken"),
        resumable(200, 2, **ABOUT),
        problem(409, "conflict"),
        resumable(200, 3, **ABOUT),
        problem(503, "unavailable", retry_after="0"),
        resumable(423),
        resumable(200, 4, **ABOUT),
        resumable(204, 5, **STORED),
    ]
    server = Server(script)
    upload = call(server, "upload_resumable", b"a cat", "cat.jpg", attempts=5)
    assert (upload.id, upload.version, upload.key, upload.image) == ("i", "v", "cat.jpg", "/images/i")
    sent = [(one.method, one.headers.get("upload-offset"), one.content) for one in server.requests]
    assert sent == [
        ("POST", None, b""),
        ("PATCH", "0", b"a cat"),
        ("HEAD", None, b""),
        ("PATCH", "2", b"cat"),
        ("HEAD", None, b""),
        ("PATCH", "3", b"at"),
        ("HEAD", None, b""),
        ("HEAD", None, b""),
        ("PATCH", "4", b"t"),
    ]
    assert {one.url.path for one in server.requests[1:]} == {"/v1/resumable/a"}
    assert {one.headers["authorization"] for one in server.requests} == {"Bearer t"}


def test_a_part_that_never_arrives_is_given_up(call: Callable[..., Any]) -> None:
    script = [resumable(201, **BEGUN)]
    for _ in range(2):
        script += [httpx.ConnectError("broken"), resumable(200, 0, **ABOUT)]
    server = Server([*script, httpx.ConnectError("broken")])
    with pytest.raises(ConnectionFailed):
        call(server, "upload_resumable", b"a cat", "cat.jpg", attempts=3)
    assert server.script == []


def test_an_error_of_the_file_is_not_retried(call: Callable[..., Any]) -> None:
    server = Server([resumable(201, **BEGUN), problem(422, "refused")])
    with pytest.raises(Refused):
        call(server, "upload_resumable", b"a cat", "cat.jpg")
    assert server.script == []


def test_a_server_without_resumable_uploads_says_so(call: Callable[..., Any]) -> None:
    server = Server([problem(404, "not-found")])
    with pytest.raises(NotFound):
        call(server, "upload_resumable", b"a cat", "cat.jpg")
