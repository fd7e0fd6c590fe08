"""HTTP/1.1 as it comes over the wire: what is understood, and what counts as a broken connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.aws.endpoints import Endpoint
from image_processor.aws.wire import Connection, Response

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
FRAMING = {"content-length", "transfer-encoding", "connection"}


@contextmanager
def talking(*answers: bytes) -> Iterator[Connection]:
    """A connection to a server that sends ``answers``, one for each request, and hangs up."""

    def talk(listener: socket.socket) -> None:
        with listener.accept()[0] as peer:
            for answer in answers:
                heard = b""
                while b"\r\n\r\n" not in heard:
                    block = peer.recv(65536)
                    if not block:
                        return
                    heard += block
                peer.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=[listener])
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        with closing(Connection(Endpoint("http", host), None, seconds=5)) as connection:
            yield connection
        thread.join()


def ask(connection: Connection, method: str = "GET") -> Response:
    return connection.ask(method, "/", {"host": "h", "content-length": "0"}, b"")


def chunked(blocks: list[bytes]) -> bytes:
    return b"".join(b"%x;note=1\r\n%b\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"


@given(
    status=st.integers(200, 599).filter(lambda status: status not in {204, 304}),
    reason=st.sampled_from([b"", b" ", b" OK", b" Not Found"]),
    headers=st.dictionaries(TOKENS.filter(lambda name: name not in FRAMING), VALUES, max_size=5),
    blocks=st.lists(st.binary(min_size=1, max_size=40), max_size=3),
    by_chunks=st.booleans(),
)
def test_what_is_written_by_the_book_is_read(
    status: int, reason: bytes, headers: dict[str, str], blocks: list[bytes], *, by_chunks: bool
) -> None:
    body = b"".join(blocks)
    framing = b"Transfer-Encoding: chunked" if by_chunks else b"Content-Length:%d" % len(body)
    lines = [b"%b: %b" % (name.title().encode(), value.encode()) for name, value in headers.items()]
    head = b"\r\n".join([b"HTTP/1.1 %d%b" % (status, reason), framing, *lines, b"", b""])
    with talking(head + (chunked(blocks) if by_chunks else body)) as connection:
        response = ask(connection)
        assert (response.status, response.left) == (status, len(body))
        assert response.read() == body
        assert {name: response.headers[name] for name in headers} == headers
        assert connection.kept


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n folded: 1\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"1" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_anything_else_is_a_broken_connection(answer: bytes) -> None:
    with talking(answer) as connection, pytest.raises(OSError):  # noqa: PT011 - whichever: it is asked again
        ask(connection).read()


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", 200),
    ],
)
def test_an_answer_without_a_body_leaves_the_connection_at_the_next(
    method: str, answer: bytes, status: int
) -> None:
    following = b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx"
    with talking(answer, following) as connection:
        response = ask(connection, method)
        assert (response.status, response.left, response.read()) == (status, 0, b"")
        assert ask(connection).read() == b"x"


def test_a_server_that_closes_says_so() -> None:
    with talking(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n") as connection:
        assert ask(connection).read() == b""
        assert not connection.kept


def test_a_body_is_read_in_parts() -> None:
    with talking(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde") as connection:
        response = ask(connection)
        assert [response.read(2), response.left, response.read(2), response.read(2)] == [
            b"ab",
            3,
            b"cd",
            b"e",
        ]


@pytest.mark.parametrize("target", ["/ HTTP/1.1\r\nx: y", "/\0"])
def test_no_line_is_smuggled_in(target: str) -> None:
    with talking() as connection, pytest.raises(ValueError, match="control characters"):
        connection.ask("GET", target, {}, b"")


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (Endpoint("https", "dynamodb.eu-west-1.amazonaws.com"), ("dynamodb.eu-west-1.amazonaws.com", 443)),
        (Endpoint("http", "localhost"), ("localhost", 80)),
        (Endpoint("http", "127.0.0.1:8000"), ("127.0.0.1", 8000)),
        (Endpoint("http", "[::1]:8000"), ("::1", 8000)),
        (Endpoint("http", "[::1]"), ("::1", 80)),
    ],
)
def test_where_it_connects_to(
    endpoint: Endpoint, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def connect(where: tuple[str, int], _seconds: float) -> socket.socket:
        asked.append(where)
        raise ConnectionRefusedError

    monkeypatch.setattr("image_processor.aws.wire.socket.create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        Connection(endpoint, None)
    assert asked == [address]
