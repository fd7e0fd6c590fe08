"""The heads that are read without a parser: each is read as h11 reads it, or left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from image_processor.api.plain_request import MAX_HEAD, parse_plain_request

HEAD = (
    b"GET /renditions/a%20b.jpg?w=640&fm=auto HTTP/1.1\r\nHost: localhost:8000\r\n"
    b'Accept: image/avif,*/*;q=0.8\r\nX-Empty:\r\nIf-None-Match:  "a"\t\r\nConnection: keep-alive\r\n\r\n'
)


def by_h11(data: bytes) -> tuple[str, bytes, dict[str, str]] | None:
    """Method, target and headers of a request that h11 finds complete, alone and without a body."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        request, end = connection.next_event(), connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request) or not isinstance(end, h11.EndOfMessage):
        return None
    if connection.trailing_data != (b"", False) or connection.their_state is not h11.DONE:
        return None
    headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
    assert len(headers) == len(request.headers)
    return request.method.decode(), request.target, headers


def by_us(data: bytes) -> tuple[str, bytes, dict[str, str]] | None:
    request = parse_plain_request(data)
    return request and (request.method, request.target, dict(request.headers.by_name))


def test_what_browsers_send_is_read() -> None:
    assert by_us(HEAD) == by_h11(HEAD)
    request = parse_plain_request(HEAD.replace(b"GET", b"HEAD"))
    assert request is not None
    assert (request.method, request.headers.host) == ("HEAD", "localhost:8000")
    assert request.headers.conditions == (None, None, '"a"', None, None, None)


STARTS = (
    b"GET |HEAD |POST |/a|http://h/a|*|?b=c|%00| HTTP/1.1\r\n| HTTP/1.0\r\n|GET /a HTTP/1.1\r\nHost: a\r\n"
)
LINES = (
    b"Host: a|Host: b|hOST:a \t|Range: bytes=0-1|X-Y: a b|X y: 1|Connection: close|Connection: Keep-Alive|"
    b"Connection: upgrade\r\nUpgrade: h2c|Content-Length: 0|Content-Length: 3|Transfer-Encoding: chunked|"
    b"Expect: 100-continue| folded|X: \xe9|X: a\rb|X: \0|X : a|"
)
PIECES = st.sampled_from(
    [*STARTS.split(b"|"), *(line + b"\r\n" for line in LINES.split(b"|")), *(b"\n", b"\r", b"abc", b"\x7f")]
)


@given(st.lists(PIECES, max_size=9).map(b"".join))
@settings(max_examples=400, deadline=None)
@example(HEAD + HEAD)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
def test_pieces_of_requests_are_read_as_h11_reads_them(data: bytes) -> None:
    _assert_same(data)


@given(st.integers(0, len(HEAD) - 1), st.binary(max_size=3), st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_altered_requests_are_read_as_h11_reads_them(position: int, new: bytes, cut: int) -> None:
    _assert_same(HEAD[:position] + new + HEAD[position + cut :])


def _assert_same(data: bytes) -> None:
    request = by_us(data)
    assert request is None or request == by_h11(data)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "Connection: close",
            "Connection: keep-alive, upgrade",
            "Content-Length: 0",
            "Expect: 100-continue",
        ),
        *(
            "Transfer-Encoding: chunked",
            "Accept: again",
            "Upgrade: websocket",
            "X: \xe9",
            " folded",
            "Host: b",
        ),
    ],
)
def test_what_needs_more_than_one_look_is_left_to_h11(line: str) -> None:
    assert parse_plain_request(HEAD[:-2] + line.encode("latin-1") + b"\r\n\r\n") is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD[:-1],
        HEAD + b"GET",
        HEAD + HEAD,
        b"\r\n" + HEAD,
        HEAD.replace(b"GET", b"get"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"GET /", b"GET http://localhost/"),
        HEAD.replace(b"Host: localhost:8000\r\n", b""),
        HEAD[:-2] + b"X: " + b"a" * MAX_HEAD + b"\r\n\r\n",
        b"",
    ],
)
def test_other_forms_are_left_to_h11(data: bytes) -> None:
    assert parse_plain_request(data) is None
